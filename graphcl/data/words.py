"""Texts as weighted words: how the embedded and the text-attributed graphs get the features they are stored with."""

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from graphcl.errors import DataError
from graphcl.seeding import imported

__all__ = ["split_words", "tf_idf", "word_pieces"]

_PIECE = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def word_pieces(text: str) -> list[str]:
    """The words of a text as they are written, with identifiers taken apart at underscores, digits and capitals."""
    return _PIECE.findall(text)


def split_words(text: str) -> list[str]:
    """The words of a text in lower case, with identifiers taken apart at underscores, digits and capitals.

    Example:
        >>> split_words("HTTPServer.handle_request, base64 aBc")
        ['http', 'server', 'handle', 'request', 'base', 'a', 'bc']
    """
    return [piece.lower() for piece in word_pieces(text)]


def tf_idf(texts: Sequence[str], words: int, least: int, name: str = "tf_idf") -> tuple[Tensor, list[str]]:
    r"""TF-IDF weights of the words that stand in the most texts.

    .. math::
        x_{vw} \propto (1 + \ln \mathrm{tf}_{vw}) \Big(1 + \ln \frac{1 + N}{1 + \mathrm{df}_w}\Big), \quad \|x_v\|_2 = 1

    Args:
        texts: N of them. Words of one letter and English stop words are left out.
        words: F at most; ties are taken in alphabetical order.
        least: number of texts a word must stand in.
        name: whose texts, for messages.

    Returns:
        ``float32 [N, F]``, rows of zeros where no word is left, and the F words in alphabetical order.

    Raises:
        DataError: no word stands in that many texts.

    Example:
        >>> x, vocabulary = tf_idf(["an apple", "one apple, two pears", "pears"], 10, 2)
        >>> vocabulary, [[round(value, 2) for value in row] for row in x.tolist()]
        (['apple', 'pears'], [[1.0, 0.0], [0.71, 0.71], [0.0, 1.0]])
    """
    common = imported("sklearn.feature_extraction.text").ENGLISH_STOP_WORDS
    bags = [Counter(word for word in split_words(text) if len(word) > 1) for text in texts]
    spread = Counter(word for bag in bags for word in bag if word not in common)
    frequent = sorted((-count, word) for word, count in spread.items() if count >= least)[:words]
    if not frequent:
        raise DataError(f"{name}: no word stands in {least} of the {len(texts)} texts; lower 'least'")
    vocabulary = sorted(word for _, word in frequent)
    column = {word: number for number, word in enumerate(vocabulary)}
    rarity = {word: 1 + math.log((1 + len(texts)) / (1 + spread[word])) for word in vocabulary}
    x = np.zeros((len(texts), len(vocabulary)))
    for row, bag in enumerate(bags):
        for word, count in bag.items():
            if word in column:
                x[row, column[word]] = (1 + math.log(count)) * rarity[word]
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), np.finfo(float).tiny)
    return torch.from_numpy(x).float(), vocabulary
