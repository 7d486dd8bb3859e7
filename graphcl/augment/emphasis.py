r"""Views whose adjacency differs from the graph's mostly in its high frequencies.

Let :math:`\hat A = D^{-1/2} A D^{-1/2} = \sum_i (1 - \lambda_i) u_i u_i^\top` with self-loops in A. A view
:math:`\hat A'` of the same degrees changes the amplitude of frequency :math:`\lambda_i` by

.. math:: \delta_i = u_i^\top (\hat A' - \hat A)\, u_i = \sum_{\{u,v\}} (A - A')_{uv}\,
    \Big(\frac{u_{iu}}{\sqrt{d_u}} - \frac{u_{iv}}{\sqrt{d_v}}\Big)^2,

which is 0 for the lowest frequency and grows with :math:`\lambda_i`: weight that goes from edges to self-loops raises
the high frequencies, weight that goes from self-loops to edges lowers them. Where it should go is a transport problem
(SpCo): of all symmetric :math:`P \ge 0` on the edges and loops with the degrees of A, the one that agrees most with
:math:`\pm L = \pm(I - \hat A)` without leaving A too far.

| class | :math:`\delta_i` | what happens |
|---|---|---|
| `HighFrequencyEmphasis` | 0 at the low end, positive at the high end | edges give weight to self-loops |
| `LowFrequencyEmphasis` | 0 at the low end, negative at the high end | self-loops give weight to edges |
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.data.storage import BaseStorage

from graphcl.alignment import append_edges, graph_of_nodes, plain_edge_index, set_edge_weight
from graphcl.augment.augmenter import Augmenter
from graphcl.config import Positive, Rate, Size
from graphcl.errors import DataError
from graphcl.hashing import is_undirected
from graphcl.remembered import Remembered

__all__ = ["HighFrequencyEmphasis", "LowFrequencyEmphasis"]


@dataclass(frozen=True, eq=False)
class _Moved:
    """Where the weight of a graph goes, and of which graph with which parameters that is true."""

    edges: Tensor
    weight: Tensor | None
    key: tuple[int, float, int]
    factor: Tensor
    """By what the weight of each edge is multiplied at full strength, ``float64 [E]``; of loops, 0."""
    loops: Tensor
    """Weight of each node's loop at full strength, ``float64 [N]``."""
    held: Tensor
    """Weight of each node's loop in the graph, 1 where there is none, ``float64 [N]``."""


_SEEN: Remembered[_Moved] = Remembered()


@dataclass(frozen=True)
class _Emphasis(Augmenter):
    takes_sparse_features: ClassVar[bool] = True
    sign: ClassVar[float] = 0.0

    strength: Rate = 0.5
    smoothing: Positive = 0.5
    iterations: Size = 3

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """Move weight between edges and loops; nothing here is random."""
        store = data._store
        edges, n = plain_edge_index(store), int(data.num_nodes or 0)
        if self.strength == 0.0:
            return data
        given = store.get("edge_weight")
        if edges.size(1) == 0:
            # no edge, no weight, but the form of other views: lists of them can be put into a batch
            set_edge_weight(data, store, torch.empty(0, device=edges.device) if given is None else given)
            return data
        if given is not None and bool((given < 0).any()):
            raise DataError(f"{type(self).__name__}: data.edge_weight is negative somewhere; make it 0 or more")
        moved = self._moved(edges, n, None if given is None else given.detach().flatten())
        x = store.get("x")
        dtype = x.dtype if isinstance(x, Tensor) and x.is_floating_point() else torch.get_default_dtype()
        if given is None:
            given = torch.ones(edges.size(1), dtype=dtype, device=edges.device)
        given = given.flatten() if given.is_floating_point() else given.flatten().to(dtype)
        factor = torch.lerp(torch.ones_like(moved.factor), moved.factor, self.strength)
        set_edge_weight(data, store, given * factor.to(given.dtype))
        self._set_loops(data, store, edges, moved)
        return data

    def _moved(self, edges: Tensor, n: int, weight: Tensor | None) -> _Moved:
        key = (n, self.sign * self.smoothing, self.iterations)

        def fits(known: _Moved) -> bool:
            same = known.key == key and known.edges.device == edges.device and known.edges.shape == edges.shape
            if not same or (known.weight is None) != (weight is None) or not torch.equal(known.edges, edges):
                return False
            return weight is None or known.weight is None or torch.equal(known.weight, weight)

        known = _SEEN.find(fits)
        if known is not None:
            return known
        with torch.inference_mode(False), torch.no_grad():
            factor, loops, held = _transported(edges, n, weight, self.sign / self.smoothing, self.iterations)
            copies = edges.clone(), None if weight is None else weight.clone()
            return _SEEN.add(_Moved(*copies, key, factor, loops, held), edges.size(1))

    def _set_loops(self, data: Data, store: BaseStorage, edges: Tensor, moved: _Moved) -> None:
        n = moved.loops.numel()
        is_loop = edges[0] == edges[1]
        lonely = torch.ones(n, dtype=torch.bool, device=edges.device)
        lonely[edges[0, is_loop]] = False
        lonely = lonely.nonzero().flatten()
        # a loop gets the attributes of an edge at its node, else of one of its graph, where there is one
        graph = graph_of_nodes(data)
        numbers = torch.arange(edges.size(1), device=edges.device)
        some = torch.zeros(int(graph.max()) + 1, dtype=torch.long, device=edges.device)
        like = some.scatter_reduce(0, graph[edges[0]], numbers, "amax")[graph]
        touched = torch.zeros(n, dtype=torch.bool, device=edges.device)
        touched[edges.flatten()] = True
        like[touched] = 0
        for row in edges:
            like = like.scatter_reduce(0, row, numbers, "amax")
        append_edges(data, store, torch.stack([lonely, lonely]), like[lonely])
        # found again by what they are: a batch has moved them to their graphs
        joined, weight = plain_edge_index(store), store["edge_weight"]
        rows = (joined[0] == joined[1]).nonzero().flatten()
        nodes = joined[0, rows]
        share = torch.bincount(nodes, minlength=n).clamp_(min=1)
        values = (torch.lerp(moved.held, moved.loops, self.strength) / share)[nodes]
        store["edge_weight"] = weight.index_put((rows,), values.to(weight.dtype))


@dataclass(frozen=True)
class HighFrequencyEmphasis(_Emphasis):
    r"""Move weight from edges to self-loops, where that changes the high frequencies most; degrees stay.

    .. math:: A' = (1 - strength)\, A + strength\, P, \qquad
        P = \arg\max_{P \in \Pi(A)} \langle P, L\rangle - \epsilon\, \mathrm{KL}(P \,\Vert\, A)

    A holds a loop of weight 1 where a node has none, :math:`\Pi(A)` are the non-negative matrices with the entries
    and the row and column sums of A. The solution is :math:`P = \mathrm{diag}(a)\,(A \odot e^{L/\epsilon})\,
    \mathrm{diag}(b)`, found by Sinkhorn's scaling over the edges; what is missing in a row after the last of the
    ``iterations`` is added to its loop, so that the degrees of an undirected graph are kept exactly (in a directed one,
    or with weights that differ by direction, no row or column grows). A loop that is added carries the attributes of an
    edge at its node.

    The view holds its loops as edges with weights, which layers that add loops where there are none (`GCN`, PyG's
    ``GCNConv``) take as they are. Were the same share taken from every edge, the change of
    amplitude :math:`\delta_i` would be in proportion to :math:`\lambda_i`. Nothing here is random.

    Args:
        strength: how far the view moves towards P, in [0, 1]; 0 leaves the graph as it is.
        smoothing: :math:`\epsilon`, more than 0; a large one keeps P near the graph.
        iterations: of the scaling, 1 or more.

    Raises:
        RequestError: a parameter out of range.
        DataError: ``edge_index`` is missing, misshapen or out of range, or ``edge_weight`` does not fit or is negative.

    Reference:
        Liu et al., Revisiting graph contrastive learning from the perspective of graph spectrum (SpCo), NeurIPS 2022:
        the GAME rule, that two views should differ more in high frequencies than in low ones. Theirs:
        :math:`A + \eta (\Delta_+ - \Delta_-)` of two plans that the released code finds over all pairs, with entropy in
        place of KL, and masks to edges and loops afterwards; the result is signed. Ours is solved on the edges and
        loops, which costs O(E), and the graph itself takes the part of the second plan, which keeps weights
        non-negative and degrees as they are.

    Example:
        >>> g = Data(x=torch.ones(2, 1), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> HighFrequencyEmphasis(1.0)(g).edge_weight.mul(100).round().tolist()
        [24.0, 24.0, 176.0, 176.0]
    """

    sign: ClassVar[float] = 1.0


@dataclass(frozen=True)
class LowFrequencyEmphasis(_Emphasis):
    r"""Move weight from self-loops to edges, where that changes the high frequencies most; degrees stay.

    .. math:: A' = (1 - strength)\, A + strength\, P, \qquad
        P = \arg\max_{P \in \Pi(A)} -\langle P, L\rangle - \epsilon\, \mathrm{KL}(P \,\Vert\, A)

    The counterpart of `HighFrequencyEmphasis`: the high frequencies lose amplitude and the low ones keep theirs. A
    loop of weight 1, where a node has none, is all that can be moved, so the change is bounded.

    Args:
        strength: how far the view moves towards P, in [0, 1]; 0 leaves the graph as it is.
        smoothing: :math:`\epsilon`, more than 0; a large one keeps P near the graph.
        iterations: of the scaling, 1 or more.

    Raises:
        RequestError: a parameter out of range.
        DataError: ``edge_index`` is missing, misshapen or out of range, or ``edge_weight`` does not fit or is negative.

    Reference:
        As `HighFrequencyEmphasis`; SpCo's plan :math:`\Delta_-`, which the paper only subtracts.

    Example:
        >>> g = Data(x=torch.ones(2, 1), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> LowFrequencyEmphasis(1.0)(g).edge_weight.mul(100).round().tolist()
        [176.0, 176.0, 24.0, 24.0]
    """

    sign: ClassVar[float] = -1.0


def _log_sums(values: Tensor, rows: Tensor, own: Tensor) -> Tensor:
    """Log of the summed exponentials of the entries of each row, of which ``own`` is one."""
    top = own.scatter_reduce(0, rows, values, "amax")
    top = torch.where(top.isfinite(), top, 0.0)
    return (own - top).exp().index_add(0, rows, (values - top[rows]).exp()).log() + top


def _transported(
    edges: Tensor, n: int, weight: Tensor | None, slope: float, iterations: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The plan with the marginals of the graph: factor of each edge, weight of each loop, and that in the graph."""
    full = torch.ones(edges.size(1), dtype=torch.float64, device=edges.device) if weight is None else weight.double()
    is_loop = edges[0] == edges[1]
    held = full.new_zeros(n).index_add(0, edges[0, is_loop], full[is_loop])
    looped = torch.zeros(n, dtype=torch.bool, device=edges.device)
    looped[edges[0, is_loop]] = True
    held[~looped] = 1.0
    source, target = edges[:, ~is_loop]
    entries = full[~is_loop]
    out_degree = held.index_add(0, source, entries)
    in_degree = held.index_add(0, target, entries)
    symmetric = is_undirected(edges) and torch.allclose(out_degree, in_degree, rtol=1e-6)
    if symmetric:
        in_degree = out_degree

    def inverse_root(degree: Tensor) -> Tensor:
        return torch.where(degree > 0, degree.clamp(min=1e-300).rsqrt(), 0.0)

    left, right = inverse_root(out_degree), inverse_root(in_degree)
    kernel = entries.log() - slope * (entries * (left[source] * right[target]))
    own = held.log() + slope * (1.0 - held * (left * right))
    first = second = torch.zeros_like(held)
    for _ in range(iterations):
        if symmetric:
            # the root of the two half steps, which keeps both scalings equal
            sums = _log_sums(kernel + first[target], source, own + first)
            first = second = torch.where(out_degree > 0, (first + out_degree.log() - sums) / 2, 0.0)
        else:
            sums = _log_sums(kernel + second[target], source, own + second)
            first = torch.where(out_degree > 0, out_degree.log() - sums, 0.0)
            sums = _log_sums(kernel + first[source], target, own + first)
            second = torch.where(in_degree > 0, in_degree.log() - sums, 0.0)
    exponent = (kernel - entries.log()).nan_to_num(0.0) + (first[source] + second[target])
    factor, loops = _rounded(exponent.exp(), entries, source, target, out_degree, in_degree)
    everywhere = torch.zeros_like(full)
    everywhere[~is_loop] = factor
    return everywhere, loops, held


def _rounded(
    factor: Tensor, entries: Tensor, source: Tensor, target: Tensor, out_degree: Tensor, in_degree: Tensor
) -> tuple[Tensor, Tensor]:
    """Edges made less where a row or column holds too much; what is then missing is the loop."""

    def sums(index: Tensor, degree: Tensor) -> Tensor:
        return torch.zeros_like(degree).index_add(0, index, factor * entries)

    def fit(index: Tensor, degree: Tensor) -> Tensor:
        held = sums(index, degree)
        return torch.where(held > degree, degree / held.clamp(min=1e-300), 1.0)

    symmetric = in_degree is out_degree
    out_fit = fit(source, out_degree)
    # one tensor for both ends, as sums in another order differ in their last bits
    in_fit = out_fit if symmetric else fit(target, in_degree)
    factor = factor * torch.minimum(out_fit[source], in_fit[target])
    missing = out_degree - sums(source, out_degree)
    if not symmetric:
        missing = torch.minimum(missing, in_degree - sums(target, in_degree))
    return factor, missing.clamp(min=0.0)
