r"""Soft edge weights by learnt gates: what `LearnedEdgeDropout` and `LearnedEdgeNoise` have in common.

A gate is a relaxed coin (`relaxed_gates`): nearly 0 or 1 where its score is far from 0, differentiable everywhere. A
score belongs to a pair of nodes (`PairScore`), not to a stored edge; pairs are found once for a graph and remembered
(`undirected_pairs`), so that each is scored once and both directions of an edge have one weight, bit for bit.

**Cost.** For P pairs and a hidden layer of width H: :math:`O(N D H)` for the nodes, and 2 P H numbers per pass (one
pair, two orders), which are also what is kept for the gradient.
"""

from abc import abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data

from graphcl.alignment import graph_of_nodes, is_batch, plain_edge_index, set_edge_weight
from graphcl.augment.learned import LearnedAugmenter, LearnedView
from graphcl.hashing import edge_uniform
from graphcl.remembered import Remembered
from graphcl.seeding import draw_seed

__all__ = ["EdgeView", "PairScore"]

_MARGIN = 1e-4
"""Uniform numbers that a gate is made of stay this far from 0 and 1, as in the released codes."""

_LEAST = -30.0
"""Logit below which no gate falls (1e-13). A normalising encoder divides by the weights around a node; the gradient of
a weight that an adversary has driven further down overflows, and makes NaN of its logit's."""


@dataclass(eq=False)
class _Pairs:
    edges: Tensor
    num_nodes: int
    pairs: Tensor
    place: Tensor


_SEEN: Remembered[_Pairs] = Remembered()


def undirected_pairs(edge_index: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    """The pairs of nodes that edges join, each once, and which of them each edge joins.

    Args:
        edge_index: ``int64 [2, E]``.
        num_nodes: N.

    Returns:
        Pairs (smaller id, larger id) ``int64 [2, P]``, and the column of each edge's pair ``int64 [E]``.

    Example:
        >>> undirected_pairs(torch.tensor([[0, 2, 1], [2, 0, 1]]), 3)
        (tensor([[0, 1],
                [2, 1]]), tensor([0, 0, 1]))
    """

    def fits(known: _Pairs) -> bool:
        same = known.num_nodes == num_nodes and known.edges.device == edge_index.device
        return same and known.edges.shape == edge_index.shape and torch.equal(known.edges, edge_index)

    known = _SEEN.find(fits)
    if known is None:
        # outside of inference mode, whose tensors could never be part of a training step
        with torch.inference_mode(False), torch.no_grad():
            edges = edge_index.clone()  # the caller may change the edges in place
            codes, place = torch.unique(edges.min(0).values * num_nodes + edges.max(0).values, return_inverse=True)
            pairs = torch.stack([codes.div(num_nodes, rounding_mode="floor"), codes % num_nodes])
            known = _SEEN.add(_Pairs(edges, num_nodes, pairs, place), edges.size(1))
    return known.pairs, known.place


class PairScore(nn.Module):
    r"""One number for each pair of nodes, the same in both orders.

    .. math:: s(u, v) = \tfrac{1}{2} \big(m([h_u; h_v]) + m([h_v; h_u])\big), \qquad
        m(a) = w^\top \mathrm{ReLU}(W a + b) + c

    The halves of :math:`W` meet the nodes, not the pairs: :math:`N` products of width D instead of E of width 2D.

    Args:
        dim: D.
        hidden: width of the hidden layer.

    Shapes:
        ``h [N, D]``, ``pairs [2, P]`` → ``[P]``.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.first = nn.Linear(2 * dim, hidden)
        self.second = nn.Linear(hidden, 1)
        for layer in (self.first, self.second):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, h: Tensor, pairs: Tensor) -> Tensor:
        """Score the pairs."""
        width = h.size(1)
        ahead = F.linear(h, self.first.weight[:, :width], self.first.bias)
        behind = F.linear(h, self.first.weight[:, width:])
        u, v = pairs
        there, back = (
            self.second(ahead.index_select(0, a).add_(behind.index_select(0, b)).relu_()) for a, b in ((u, v), (v, u))
        )
        return (there + back).squeeze(1) / 2


def relaxed_gates(logits: Tensor, uniform: Tensor, temperature: float) -> Tensor:
    r"""Differentiable Bernoulli draws: numbers in (0, 1) that are above one half with probability :math:`\sigma(s)`.

    .. math:: w = \sigma\!\left(\frac{\log \delta - \log(1 - \delta) + s}{\tau}\right), \qquad
        \delta = \epsilon + (1 - 2 \epsilon)\, u

    Args:
        logits: s, ``[P]``.
        uniform: u in [0, 1), float64 ``[P]``.
        temperature: :math:`\tau > 0`; towards 0 the gates become zeros and ones (none falls below 1e-13).

    Reference:
        Maddison, Mnih & Teh, The concrete distribution, ICLR 2017, the binary case.
    """
    noise = torch.logit(_MARGIN + (1 - 2 * _MARGIN) * uniform)
    return torch.sigmoid(((logits + noise.to(logits.dtype)) / temperature).clamp(min=_LEAST))


def mean_by_graph(values: Tensor, data: Data, edge_index: Tensor) -> Tensor:
    r"""The mean over graphs of the mean over their edges; graphs without edges are left out.

    .. math:: \frac{1}{|B_+|} \sum_{g \in B_+} \frac{1}{|E_g|} \sum_{e \in E_g} a_e

    Args:
        values: a, one per edge ``[E]``, E > 0.
        data: the graph or batch.
        edge_index: its edges.
    """
    if not is_batch(data):
        return values.mean()
    graph = graph_of_nodes(data)[edge_index[0]]
    counts = torch.bincount(graph, minlength=data.num_graphs)
    shares = 1 / (counts[graph] * (counts > 0).sum()).to(values.dtype)
    return (values * shares).sum()


class EdgeView(LearnedView):
    r"""Soft edge weights: a score for each pair that an edge joins, and a gate for each score.

    .. math:: \tilde A_{uv} = w_{\{u,v\}} A_{uv}

    Both directions of an edge have one score and one uniform number, a hash of the pair, so they have one gate: an
    undirected graph stays undirected bit for bit. Subclasses write `embed` and `price`.

    Args:
        recipe: the hyper-parameters.
        num_features: F.
        dim: width of what `embed` gives.
        hidden: width of the hidden layer of the score.
        temperature: of the gates.
    """

    def __init__(
        self, recipe: LearnedAugmenter, num_features: int, *, dim: int, hidden: int, temperature: float
    ) -> None:
        super().__init__(recipe, num_features)
        self.score = PairScore(dim, hidden)
        self.temperature = temperature

    @abstractmethod
    def embed(self, data: Data, edge_index: Tensor) -> Tensor:
        """What the score reads of each node, ``[N, D]``."""

    @abstractmethod
    def price(self, logits: Tensor) -> Tensor | None:
        """What each pair costs given its score, ``[P]``; ``None`` where nothing is charged."""

    def draw(self, data: Data, generator: torch.Generator | None) -> tuple[Data, Tensor]:
        """Weigh the edges."""
        edges = plain_edge_index(data._store)
        if edges.size(1) == 0:
            # no edge, no weight, but the form of other views: lists of them can be put into a batch
            set_edge_weight(data, data._store, data.x.new_empty(0))
            return data, self.score.first.weight.new_zeros(())
        pairs, place = undirected_pairs(edges, data.x.size(0))
        logits = self.score(self.embed(data, edges), pairs)
        if self.training:
            gates = relaxed_gates(logits, edge_uniform(pairs, draw_seed(generator)), self.temperature)
        else:
            gates = torch.sigmoid(logits.clamp(min=_LEAST))
        weight = self.turned(gates).index_select(0, place).to(data.x.dtype)
        if data.get("edge_weight") is not None:
            weight = weight * data.edge_weight.to(weight.dtype)
        set_edge_weight(data, data._store, weight)
        cost = self.price(logits)
        if cost is None:
            return data, logits.new_zeros(())
        return data, mean_by_graph(cost.index_select(0, place), data, edges)
