"""A causal language model of two small layers with random weights, and a tokenizer of whole words."""

import pytest
import torch

from graphcl.testing import sample_texts


def make_tiny_model(folder, texts=()):
    """Save one that knows the words of the sample texts, and of these; returns the folder."""
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    words = sorted({word for text in (*sample_texts().text, *texts) for word in text.split()})
    vocabulary = {word: n for n, word in enumerate(["[UNK]", "[END]", *words])}
    plain = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    plain.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=plain, unk_token="[UNK]", eos_token="[END]")
    fast.save_pretrained(folder)
    config = transformers.LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=2048,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder
