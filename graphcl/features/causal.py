"""Vectors of causal language models (Llama, Qwen, Gemma, Mistral and their like) out of a local folder."""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from graphcl.config import Size
from graphcl.errors import MissingExtraError, RequestError
from graphcl.features.row_cache import RowCache
from graphcl.features.sentence_encoders import FromFolder, computed_on, revision_of, without_bars
from graphcl.features.text_encoder import Encoded, TextEncoder

__all__ = ["CausalEncoder", "TokenPooling"]

TokenPooling: TypeAlias = Literal["mean", "last"]


@cache
def load_checkpoint(folder: Path, revision: str, dtype: str, device: str, *, head: bool = False) -> tuple[Any, Any]:
    """Tokenizer and model of a folder, without any code of its own; with the head that gives scores of next tokens."""
    if importlib.util.find_spec("transformers") is None:
        raise MissingExtraError("transformers", "text")
    from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

    with without_bars():
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
        model: Any = (AutoModelForCausalLM if head else AutoModel).from_pretrained(
            str(folder),
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=getattr(torch, dtype),
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    # what is padded stands behind the text: the places of its tokens stay those of a text alone
    tokenizer.padding_side = "right"
    return tokenizer, model.to(device).eval()


@dataclass(frozen=True, kw_only=True)
class CausalEncoder(FromFolder, TextEncoder):
    r"""The last hidden layer of a causal language model, over a text's tokens or at its last one.

    .. math:: x_v = \frac{1}{T} \sum_{t=1}^{T} h_t^{(L)} \quad\text{or}\quad x_v = h_T^{(L)}

    Args:
        path: folder with the checkpoint as ``transformers`` saves it; safetensors weights, no code of its own.
        revision: what the checkpoint must be (`revision_of`), noted by runs; empty takes what is there.
        pooling: ``mean`` over the tokens, or the ``last`` one, which has read them all.
        dtype: in which the model computes; the vectors are ``float32``.
        max_length: tokens that are read of a text; more are cut off at its end.
        unit: ``text`` or ``sentences``.
        most: sentences of a text that are read.
        batch_size: texts that go through the model together, of about equal length.
        device: where the model runs.

    Raises:
        MissingExtraError: transformers is not installed.
        RequestError: the folder holds no checkpoint.

    Reference:
        BehnamGhader et al., LLM2Vec: large language models are secretly powerful text encoders, COLM 2024,
        section 3.1, whose baselines without further training these are.

    Example:
        >>> CausalEncoder(path="models/Qwen3-0.6B", pooling="last").pooling
        'last'
    """

    path: str = ""
    revision: str = ""
    pooling: TokenPooling = "mean"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    max_length: Size = 512
    device: str = "cpu"

    def folder(self) -> Path:
        """Where the checkpoint lies."""
        if not self.path:
            raise RequestError("CausalEncoder.path is empty; give the folder of a causal language model")
        return Path(self.path).expanduser()

    def identity(self) -> dict[str, Any]:
        """The checkpoint by content, not by path."""
        return {
            "source": type(self).__name__,
            "revision": self.found(),
            "pooling": self.pooling,
            "dtype": self.dtype,
            "max_length": self.max_length,
            "batch_size": self.batch_size,
            **computed_on(self.device),
        }

    def describe(self) -> dict[str, Any]:
        """With the revision of the checkpoint."""
        return {**super().describe(), "revision": self.found()}

    def start(self, cache: RowCache) -> Callable[[Sequence[str]], Encoded]:
        """Pooled in ``float32``."""
        folder = self.folder()
        tokenizer, model = load_checkpoint(folder, revision_of(folder), self.dtype, self.device)

        def encode(texts: Sequence[str]) -> Encoded:
            tokens = tokenizer(
                list(texts), padding=True, truncation=True, max_length=self.max_length, return_tensors="pt"
            ).to(self.device)
            ids, mask = tokens["input_ids"], tokens["attention_mask"]
            with torch.inference_mode():
                hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
                return Encoded(_pooled(hidden, mask, self.pooling).cpu().numpy())

        return encode


def _pooled(hidden: Tensor, mask: Tensor, pooling: TokenPooling) -> Tensor:
    """``[B, T, F]`` over the tokens that are there, ``[B, F]`` in ``float32``."""
    if pooling == "last":
        return hidden[torch.arange(len(mask), device=mask.device), mask.sum(1).clamp(min=1) - 1].float()
    there = mask.float()
    return (hidden.float() * there[:, :, None]).sum(1) / there.sum(1, keepdim=True).clamp(min=1)
