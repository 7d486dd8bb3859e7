"""Words as features: whether they are there, how telling they are, and the directions in which they vary together."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.config import Size
from graphcl.data.words import tf_idf
from graphcl.errors import DataError
from graphcl.features.source import FeatureSource, FeatureWatch, texts_of
from graphcl.graph import unit_rows

__all__ = ["BagOfWords", "Lsa", "TfIdf"]


@dataclass(frozen=True, kw_only=True)
class BagOfWords(FeatureSource):
    r"""Which of the most widespread words a text has.

    .. math:: x_{vw} = [w \in \mathrm{text}_v]

    Args:
        words: F at most; the words that stand in the most texts are taken.
        least: number of texts a word must stand in.

    Example:
        >>> data = Data(text=["a red apple", "red pears"], num_nodes=2)
        >>> BagOfWords(least=1)(data).tolist()
        [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
    """

    words: Size = 2000
    least: Size = 3

    def rows(self, data: Data, watch: FeatureWatch | None = None) -> Tensor:
        """1 where the word is there."""
        return (tf_idf(texts_of(data), self.words, self.least, type(self).__name__)[0] > 0).float()


@dataclass(frozen=True, kw_only=True)
class TfIdf(FeatureSource):
    r"""TF-IDF weights of the most widespread words, as of the data sets that are stored with text.

    .. math::
        x_{vw} \propto (1 + \ln \mathrm{tf}_{vw}) \Big(1 + \ln \frac{1 + N}{1 + \mathrm{df}_w}\Big), \quad \|x_v\|_2 = 1

    Args:
        words: F at most.
        least: number of texts a word must stand in.

    Example:
        >>> data = Data(text=["a red apple", "red pears"], num_nodes=2)
        >>> [[round(value, 2) for value in row] for row in TfIdf(least=1)(data).tolist()]
        [[0.81, 0.0, 0.58], [0.0, 0.81, 0.58]]
    """

    words: Size = 2000
    least: Size = 3

    def rows(self, data: Data, watch: FeatureWatch | None = None) -> Tensor:
        """Rows of length 1, or of zeros where no word is known."""
        return tf_idf(texts_of(data), self.words, self.least, type(self).__name__)[0]


@dataclass(frozen=True, kw_only=True)
class Lsa(FeatureSource):
    r"""Latent semantic analysis: TF-IDF weights along the directions in which they vary most, rows of length 1.

    .. math:: X \approx U_D \Sigma_D V_D^\top, \qquad h_v \propto (U_D \Sigma_D)_v

    Args:
        dim: D, or as many as there are.
        words: of the TF-IDF weights.
        least: number of texts a word must stand in.

    Reference:
        Deerwester et al., Indexing by latent semantic analysis, JASIS 1990, section 4.

    Example:
        >>> data = Data(text=["red apple", "red pear", "green pear"], num_nodes=3)
        >>> Lsa(dim=2, least=1)(data).shape
        torch.Size([3, 2])
    """

    dim: Size = 384
    words: Size = 20_000
    least: Size = 3

    def rows(self, data: Data, watch: FeatureWatch | None = None) -> Tensor:
        """The sign of each direction is that of its largest word."""
        x = tf_idf(texts_of(data), self.words, self.least, type(self).__name__)[0].double()
        return unit_rows(principal(x, self.dim)).float()


def principal(x: Tensor, dim: int) -> Tensor:
    """Rows along the first right singular vectors of the matrix, ``[N, min(dim, rank)]``.

    Args:
        x: ``[N, F]``; centre it for principal components.
        dim: how many.
    """
    if not x.numel() or not bool(x.any()):
        raise DataError("the features are all 0; nothing varies that could be kept")
    # the smaller of the two Gram matrices: a vocabulary of 20,000 words never becomes a matrix of them by themselves
    tall = x.size(0) > x.size(1)
    gram = (x.T @ x if tall else x @ x.T).numpy()
    # imported where it is used: it takes longer to load than most commands to run
    from scipy.linalg import eigh

    values, vectors = eigh(gram, subset_by_index=(max(0, len(gram) - dim), len(gram) - 1))
    values, vectors = values[::-1], vectors[:, ::-1].copy()
    kept = int((values > values[0] * 1e-10).sum())
    directions = torch.from_numpy(vectors[:, :kept])
    if not tall:
        directions = x.T @ directions / torch.from_numpy(values[:kept].copy()).sqrt()
    largest = directions.abs().argmax(0)
    directions = directions * directions[largest, torch.arange(kept)].sign()
    return x @ directions
