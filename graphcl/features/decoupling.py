r"""A text parted into what tells about the task, its signal, and the rest, its noise; and the views made of the two.

| decoupler | who decides | needs |
|---|---|---|
| `Extractive` | how a sentence relates to others, by a sentence encoder | nothing beyond ``graphcl[text]`` |
| `RandomSplit` | chance: the placebo that any of them has to beat | nothing |
| `ChatDecoupler` | a language model behind an OpenAI-compatible endpoint | a server, and a key where it wants one |
| `CausalDecoupler` | a causal language model in a local folder | its checkpoint |

Each says for every sentence how much of it is signal, from 0 to 1. None is told the classes.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.config import Config, Positive, Rate, Seed, Size, encode
from graphcl.errors import RequestError
from graphcl.features.row_cache import row_key
from graphcl.features.sentence_encoders import MiniLM
from graphcl.features.source import FeatureWatch
from graphcl.features.text_encoder import TextEncoder, sentences_of
from graphcl.graph import unit_rows
from graphcl.seeding import imported

__all__ = ["Decoupled", "Decoupler", "Extractive", "RandomSplit", "Relation", "view_rows"]

Relation: TypeAlias = Literal["clusters", "neighbours", "task"]
"""What makes a sentence signal: nearness to a centre of all sentences, to what neighbours say, or to the task."""


@dataclass(frozen=True)
class Decoupled:
    """The sentences of each node, and how much of each is signal.

    Args:
        sentences: of each node, in order.
        shares: for each sentence, in [0, 1]: 1 is signal, 0 is noise.
        undecided: nodes that the decoupler gave no usable answer for; all their shares are a half.
    """

    sentences: Sequence[Sequence[str]]
    shares: Sequence[Sequence[float]]
    undecided: int = 0

    def signal(self, node: int) -> str:
        """The sentences of a node that are signal rather than noise."""
        return " ".join(self._which(node, signal=True))

    def noise(self, node: int) -> str:
        """The others."""
        return " ".join(self._which(node, signal=False))

    def _which(self, node: int, *, signal: bool) -> list[str]:
        said = zip(self.sentences[node], self.shares[node], strict=True)
        return [sentence for sentence, share in said if (share >= 0.5) is signal]


@dataclass(frozen=True, kw_only=True)
class Decoupler(Config, ABC):
    """Parts the text of each node; labels, masks and class names are never read."""

    @abstractmethod
    def __call__(self, data: Data, watch: FeatureWatch | None = None) -> Decoupled:
        """Part the texts of a graph (see `texts_of`).

        Args:
            data: a graph with text.
            watch: told of the progress of what takes long.
        """

    def describe(self) -> dict[str, Any]:
        """All that the parting hangs on."""
        return {"decoupler": type(self).__name__, **encode(self)}


def view_rows(
    encoder: TextEncoder, parted: Decoupled, watch: FeatureWatch | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Vectors of the signal, of the noise and of the whole of each text.

    .. math:: s_v \propto \sum_i w_i\, u_i, \qquad n_v \propto \sum_i (1 - w_i)\, u_i, \qquad
              h_v \propto \sum_i u_i

    with :math:`u_i` the vector of sentence i, of length 1, and :math:`w_i` its share of signal. Where all of a text is
    signal (or noise) the other view is 0.

    Args:
        encoder: makes the vectors of the sentences; each is made once, whatever the shares are.
        parted: the texts.
        watch: told of the progress.

    Returns:
        Three matrices ``float32 [N, F]`` with rows of length 1, or of zeros.
    """
    vectors = unit_rows(encoder.vectors([one for said in parted.sentences for one in said], watch))
    owner = torch.repeat_interleave(
        torch.arange(len(parted.sentences)), torch.tensor([len(said) for said in parted.sentences])
    )
    share = torch.tensor([one for shares in parted.shares for one in shares], dtype=vectors.dtype)[:, None]

    def gathered(weight: Tensor) -> Tensor:
        rows = vectors.new_zeros(len(parted.sentences), vectors.size(1))
        return unit_rows(rows.index_add(0, owner, vectors * weight))

    return gathered(share), gathered(1 - share), gathered(torch.ones_like(share))


@dataclass(frozen=True, kw_only=True)
class Extractive(Decoupler):
    r"""Sentences weighed by how they relate to the other sentences, to the neighbours, or to the task.

    .. math:: w_i = \sigma\Big(\kappa\, \frac{r_i - \bar r_v}{\operatorname{sd}(r_v)}\Big), \qquad
        r_i = \max_c u_i \cdot m_c \;\big|\; u_i \cdot \tfrac{1}{|N(v)|} \sum_{u \in N(v)} h_u \;\big|\; u_i \cdot t

    over the sentences i of a node v: :math:`m_c` the centres of a k-means of all sentences, :math:`h_u` the text of a
    neighbour, t the description of the task. A node of a single sentence is all signal; so is one without neighbours,
    where they decide.

    Args:
        relation: ``clusters``, ``neighbours`` or ``task``.
        task: what is asked of the texts, in a sentence and without naming classes; for ``task``.
        clusters: centres.
        sharpness: κ: the larger, the closer to all or nothing.
        seed: draws the first centres.
        encoder: makes the vectors of the sentences.

    Reference:
        Li et al., SDM-SCR, 2026 (only the abstract is public): texts parted into a task-oriented signal and its noise;
        that sentences are weighed, and by what, is this project's choice.

    Example:
        >>> Extractive(relation="neighbours").clusters
        24
    """

    relation: Relation = "clusters"
    task: str = "The topic that the text is about."
    clusters: Size = 24
    sharpness: Positive = 2.0
    seed: Seed = 0
    encoder: MiniLM = MiniLM(unit="sentences")

    def __call__(self, data: Data, watch: FeatureWatch | None = None) -> Decoupled:
        """One pass of the encoder over the sentences."""
        sentences = sentences_of(data, self.encoder.most)
        flat = [one for said in sentences for one in said]
        owner = torch.repeat_interleave(torch.arange(len(sentences)), torch.tensor([len(said) for said in sentences]))
        vectors = unit_rows(self.encoder.vectors(flat, watch))
        related = {"clusters": self._central, "neighbours": self._shared, "task": self._asked}[self.relation]
        score = related(data, flat, vectors, owner)
        share = torch.sigmoid(self.sharpness * _standard_within(score, owner, len(sentences)))
        count = torch.bincount(owner, minlength=len(sentences))
        share = torch.where((count == 1)[owner] | score.isnan(), 1.0, share)
        return Decoupled(sentences, [part.tolist() for part in share.split(count.tolist())])

    def _central(self, data: Data, flat: list[str], vectors: Tensor, owner: Tensor) -> Tensor:
        k_means = imported("sklearn.cluster").KMeans
        # in the order of the alphabet: the numbers of the nodes decide nothing
        place = {text: number for number, text in enumerate(sorted(set(flat)))}
        rows = torch.tensor([place[text] for text in flat])
        distinct = vectors.new_empty(len(place), vectors.size(1))
        distinct[rows] = vectors
        found = k_means(min(self.clusters, len(place)), n_init=1, random_state=self.seed).fit(distinct.numpy())
        centres = unit_rows(torch.from_numpy(np.asarray(found.cluster_centers_, dtype=np.float32)))
        return (vectors @ centres.T).amax(1)

    def _shared(self, data: Data, flat: list[str], vectors: Tensor, owner: Tensor) -> Tensor:
        count = int(data.num_nodes or 0)
        whole = unit_rows(vectors.new_zeros(count, vectors.size(1)).index_add(0, owner, vectors))
        u, v = data.edge_index[:, data.edge_index[0] != data.edge_index[1]]
        degree = vectors.new_zeros(count).index_add(0, v, torch.ones_like(v, dtype=vectors.dtype))
        around = torch.zeros_like(whole).index_add(0, v, whole[u]) / degree.clamp(min=1)[:, None]
        score = (vectors * around[owner]).sum(1)
        return torch.where((degree > 0)[owner], score, torch.nan)

    def _asked(self, data: Data, flat: list[str], vectors: Tensor, owner: Tensor) -> Tensor:
        if not self.task.strip():
            raise RequestError("Extractive.task is empty; say in a sentence what is asked of the texts")
        return vectors @ unit_rows(self.encoder.vectors([self.task]))[0]


def _standard_within(score: Tensor, owner: Tensor, count: int) -> Tensor:
    """Mean 0 and deviation 1 over the sentences of each node."""
    size = torch.bincount(owner, minlength=count).clamp(min=1).to(score)
    mean = score.new_zeros(count).index_add(0, owner, score) / size
    off = score - mean[owner]
    spread = (score.new_zeros(count).index_add(0, owner, off.square()) / size).sqrt()
    return off / spread.clamp(min=1e-6)[owner]


@dataclass(frozen=True, kw_only=True)
class RandomSplit(Decoupler):
    r"""The placebo: each sentence is signal or noise by the toss of a coin.

    .. math:: w_i \sim \mathrm{Bernoulli}(\mathrm{share})

    A sentence meets the same fate wherever it stands; a node's only sentence is signal.

    Args:
        share: of the sentences that are signal.
        most: sentences of a text that are read.
        seed: draws.

    Example:
        >>> data = Data(text=["Red apples. Green pears. Blue plums."], num_nodes=1)
        >>> sorted(set(RandomSplit(seed=1)(data).shares[0])) in ([0.0], [0.0, 1.0], [1.0])
        True
    """

    share: Rate = 0.5
    most: Size = 64
    seed: Seed = 0

    def __call__(self, data: Data, watch: FeatureWatch | None = None) -> Decoupled:
        """By a hash of the sentence."""
        sentences = sentences_of(data, self.most)
        shares = [
            [1.0] if len(said) == 1 else [float(_coin(one, self.seed) < self.share) for one in said]
            for said in sentences
        ]
        return Decoupled(sentences, shares)


def _coin(text: str, seed: int) -> float:
    """A number in [0, 1) that hangs on the text and the seed alone."""
    return int.from_bytes(row_key(str(seed), text)[:7], "little") / 2**56
