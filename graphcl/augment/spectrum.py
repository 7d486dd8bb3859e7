r"""Views that flip those edges whose flips move the spectrum of the graph most.

Let :math:`L = I - D^{-1/2} A D^{-1/2}` have the eigenvalues :math:`\lambda_i`, and let :math:`\Phi` hold a flip
probability for each pair of nodes, so that the expected view is :math:`A + (11^\top - I - 2A) \odot \Phi`. GCL-SPAN
finds the :math:`\Phi` that moves the spectrum most at a given budget, by projected gradient ascent.

| class | what is maximised | price of a step |
|---|---|---|
| `SpectralPerturbation` | :math:`\pm\lVert \lambda' \rVert_2`, the norm of the spectrum | O(E) |
| `SpectralShift` | :math:`\lVert \lambda' - \lambda \rVert_2^2`, the distance of the spectra | an eigendecomposition |

**The norm needs no eigenvalues.** For a symmetric L it is the Frobenius norm, a sum over the edges:

.. math:: \lVert \lambda \rVert_2^2 = \lVert L \rVert_F^2 = |\{v : d_v > 0\}| + 2 \sum_{\{u,v\} \in E}
    \frac{w_{uv}^2}{d_u d_v} \qquad (\text{no self-loops})

**The distance does.** Its gradient is :math:`\partial \lVert\lambda' - \lambda\rVert^2 / \partial L' =
\sum_i 2 (\lambda'_i - \lambda_i)\, u_i u_i^\top`. Up to 512 nodes all eigenpairs are taken, beyond that Lanczos
iteration gives some at both ends of the spectrum.

Only edges may flip and a sample of the absent pairs, four for each flip of the budget. Where no graph has more than
256 nodes, the sample is drawn anew for each view. A larger graph has one sample for good, which follows from the
numbers of its nodes: so :math:`\Phi` is a function of the graph, found once and remembered, and a view is a draw from
it. A directed graph is taken as the undirected bipartite one of its sources and its targets: the eigenvalues are then
:math:`1 \pm \sigma_i` with the singular values of :math:`D_t^{-1/2} A D_s^{-1/2}`.

Whether the spectrum is what matters is disputed: Jian et al., Rethinking spectral augmentation for contrast-based graph
self-supervised learning, 2024 (arXiv 2405.19600), find plain edge perturbation as good or better at the same budget.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.alignment import arrange_edges, graph_of_nodes, node_offsets, plain_edge_index
from graphcl.augment.augmenter import Augmenter
from graphcl.config import Rate, Size
from graphcl.errors import DataError
from graphcl.hashing import edge_uniform, is_undirected
from graphcl.ops.pairs import free_pairs, pair_codes
from graphcl.ops.pairwise import pair_products
from graphcl.ops.propagate import Pattern, multiply
from graphcl.remembered import Remembered
from graphcl.seeding import draw_normal, draw_seed

__all__ = ["SpectralPerturbation", "SpectralShift"]

_POOL = 4
"""Absent pairs that may become edges, for each flip of the budget."""
_SMALL = 256
"""Up to how many nodes each view has candidates of its own."""
_DENSE = 512
"""Up to how many nodes all eigenvalues are computed."""
_CLOSED = 1e-8
"""Length of a direction, in a matrix of norm 2, below which Lanczos iteration has nothing new."""
_NEARLY = 0.999
"""What a sure flip removes of an edge while probabilities are sought: a node without weight has no gradient."""


@dataclass(frozen=True, eq=False)
class _Pairs:
    """The pairs of nodes of an undirected graph that may flip, and how its Laplacian depends on which do.

    Pairs ``0 .. P - 1`` are joined by an edge (a loop, where both ends are one node); the rest are not.
    """

    ends: Tensor
    weight: Tensor
    """Of the edge that is there, or would be; ``float64``."""
    joined: Tensor
    free: Tensor
    """Which pairs may flip: all but loops, ``int64``."""
    graph: Tensor
    """In which graph of the batch each pair lies."""
    node_graph: Tensor
    edges: Tensor
    """Number of edges that may flip, of each graph."""

    def by_graph(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The pairs and the nodes of each graph that has edges."""
        pairs, nodes = (torch.sort(of, stable=True).indices for of in (self.graph, self.node_graph))
        cuts = [torch.bincount(of, minlength=self.edges.numel()).tolist() for of in (self.graph, self.node_graph)]
        for rows, members in zip(pairs.split(cuts[0]), nodes.split(cuts[1]), strict=True):
            if rows.numel():
                yield rows, members

    def present(self, flips: Tensor) -> Tensor:
        """Weights when each pair flips with some probability (or does, with 1)."""
        return self.weight * torch.where(self.joined, 1.0 - _NEARLY * flips, flips)

    def laplacian(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The entries of L at the pairs (0 at loops) and its diagonal."""
        own = torch.where(self.ends[0] == self.ends[1], weight, 0.0)
        degree = weight.new_zeros(self.node_graph.numel()).index_add(0, self.ends[0], weight)
        degree = degree.index_add(0, self.ends[1], weight - own)
        some = degree > 0
        scale = torch.where(some, torch.where(some, degree, 1.0).rsqrt(), 0.0)
        entries = -(weight - own) * scale[self.ends[0]] * scale[self.ends[1]]
        diagonal = some.to(weight.dtype).index_add(0, self.ends[0], -own * scale[self.ends[0]].square())
        return entries, diagonal

    def norm_slope(self, flips: Tensor) -> Tensor:
        r"""The gradient of the sum of the squared eigenvalues of L, where it counts: not at loops.

        .. math:: \frac{\partial \lVert L \rVert_F^2}{\partial w_{uv}} = \frac{4 w_{uv}}{d_u d_v} - t_u - t_v,
            \qquad t_v = \frac{2}{d_v} \sum_u \frac{w_{uv}^2}{d_u d_v} - 2 \Big(1 - \frac{w_{vv}}{d_v}\Big)
            \frac{w_{vv}}{d_v^2}
        """
        (u, v), weight, n = self.ends, self.present(flips), self.node_graph.numel()
        loops = (u == v).nonzero().flatten()
        own = weight.new_zeros(n).index_add(0, u[loops], weight[loops])
        between = weight.index_fill(0, loops, 0.0)
        degree = own.index_add(0, u, between).index_add(0, v, between)
        inverse = torch.where(degree > 0, degree.clamp(min=1e-300).reciprocal(), 0.0)
        share = inverse[u].mul_(inverse[v]).mul_(between)
        squares = between.mul_(share)
        rows = weight.new_zeros(n).index_add(0, u, squares).index_add(0, v, squares)
        own = own * inverse
        turn = 2 * (rows - (1.0 - own) * own) * inverse
        slope = share.mul_(4.0).sub_(turn[u]).sub_(turn[v])
        slope = slope.mul_(self.weight)
        # not by torch.where of two numbers: that is float32
        return torch.where(self.joined, -_NEARLY * slope, slope)


@dataclass(frozen=True, eq=False)
class _Flips:
    """Flip probabilities, and of which graph with which parameters they are."""

    edges: Tensor
    weight: Tensor | None
    offsets: Tensor
    augmenter: Augmenter
    undirected: bool
    drop: Tensor
    """Of each stored edge, ``float64 [E]``; both directions of an edge have one."""
    absent: Tensor
    """Pairs that may be joined, ``int64 [2, C]``."""
    add: Tensor
    """Flip probability of each of them."""
    models: Tensor
    """Edges whose weight and attributes new ones get, by graph."""
    first: Tensor
    """Where those for each absent pair begin."""
    count: Tensor
    """How many there are for it."""

    def is_of(self, edges: Tensor, weight: Tensor | None, offsets: Tensor, augmenter: Augmenter) -> bool:
        if self.augmenter != augmenter or self.edges.device != edges.device or self.edges.shape != edges.shape:
            return False
        if not torch.equal(self.offsets, offsets) or (weight is None) != (self.weight is None):
            return False
        if weight is not None and self.weight is not None and not torch.equal(self.weight, weight):
            return False
        return torch.equal(self.edges, edges)


_SEEN: Remembered[_Flips] = Remembered()

# the gradient of what is maximised, at given flip probabilities
_Slope = Callable[[Tensor], Tensor]


class _SpectralView(Augmenter):
    takes_sparse_features: ClassVar[bool] = True

    budget: float
    steps: int

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """Find the probabilities, or remember them; then flip."""
        store = data._store
        if self.budget == 0.0 or plain_edge_index(store).size(1) == 0:
            return data
        flips, seed = self._flips(data, generator), draw_seed(generator)
        ordered = not flips.undirected
        stay = (edge_uniform(flips.edges, seed, ordered=ordered) >= flips.drop).nonzero().flatten()
        join = edge_uniform(flips.absent, seed, ordered=ordered) < flips.add
        added = flips.absent[:, join]
        place = edge_uniform(added, draw_seed(generator), ordered=ordered) * flips.count[join]
        like = flips.models[flips.first[join] + place.long()]
        if flips.undirected:
            added, like = torch.cat([added, added.flip(0)], 1), like.repeat(2)
        arrange_edges(data, store, torch.cat([flips.edges[:, stay], added], 1), torch.cat([stay, like]))
        return data

    @abstractmethod
    def _slope(self, pairs: _Pairs) -> _Slope:
        """Said by the subclass."""

    def _flips(self, data: Data, generator: torch.Generator | None) -> _Flips:
        edges, offsets, weight = plain_edge_index(data._store), node_offsets(data), data.get("edge_weight")
        if weight is not None:
            weight = weight.detach().flatten()
            if bool((weight < 0).any()):
                raise DataError(f"{type(self).__name__}: data.edge_weight is negative somewhere; make it 0 or more")
        if int(offsets.diff().max()) <= _SMALL:
            return self._found(data, edges, weight, offsets, generator)
        known = _SEEN.find(lambda item: item.is_of(edges, weight, offsets, self))
        if known is not None:
            return known
        # from the graph alone, not from the caller's generator: else the answer would be that of whoever asked first
        known = self._found(data, edges.clone(), weight, offsets.clone(), torch.Generator().manual_seed(0))
        return _SEEN.add(known, edges.size(1) + known.absent.size(1))

    def _found(
        self, data: Data, edges: Tensor, weight: Tensor | None, offsets: Tensor, generator: torch.Generator | None
    ) -> _Flips:
        with torch.inference_mode(False), torch.no_grad():
            both = is_undirected(edges)
            pairs, place, absent, *models = _candidates(data, edges, weight, both, self.budget, generator)
            found = _ascended(pairs, self._slope(pairs), self.budget, self.steps)
            count = int(pairs.joined.sum())
            weight = None if weight is None else weight.clone()
            return _Flips(edges, weight, offsets, self, both, found[:count][place], absent, found[count:], *models)


def _candidates(
    data: Data, edges: Tensor, weight: Tensor | None, both: bool, share: float, generator: torch.Generator | None
) -> tuple[_Pairs, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The pairs that may flip, which of them each edge is, the absent ones among them, and their models."""
    n, graph = int(data.num_nodes or 0), graph_of_nodes(data)
    full = torch.ones(edges.size(1), dtype=torch.float64, device=edges.device) if weight is None else weight.double()
    codes, place = torch.unique(pair_codes(edges, n, both), return_inverse=True)
    joined = torch.stack([codes // n, codes % n])
    # parallel edges are one; the two directions of an edge are each other's mean
    held = full.new_zeros(codes.numel()).index_add(0, place, full)
    loops = joined[0] == joined[1]
    if both:
        held = torch.where(loops, held, held / 2)

    graphs = node_offsets(data).numel() - 1
    counts = torch.bincount(graph[joined[0, ~loops]], minlength=graphs)
    models = (edges[0] < edges[1] if both else edges[0] != edges[1]).nonzero().flatten()
    models = models[torch.sort(graph[edges[0, models]], stable=True).indices]
    stored = torch.bincount(graph[edges[0, models]], minlength=graphs)
    # four for each flip of the budget: with all of them the probabilities would be spread too thin to say much
    wanted = torch.repeat_interleave((counts * (_POOL * share)).ceil().long())
    absent, _ = free_pairs(data, edges, wanted, both, generator)
    # a new edge is as heavy as the edges of its graph are on average
    total = full.new_zeros(graphs).index_add(0, graph[edges[0, models]], full[models])
    mean = total / stored.clamp(min=1)
    if not both:
        # a directed graph is the undirected one of its nodes as sources and, behind them, as targets
        joined, shifted = joined + joined.new_tensor([[0], [n]]), absent + absent.new_tensor([[0], [n]])
        graph, n = graph.repeat(2), 2 * n
    else:
        shifted = absent
    degree = held.new_zeros(n).index_add(0, joined[0], held).index_add(0, joined[1], held)
    # what has no edges has no part in the spectrum, and the first edge would be a jump
    fine = (degree[shifted] > 0).all(0)
    absent, shifted = absent[:, fine], shifted[:, fine]
    home = graph[shifted[0]]
    ends = torch.cat([joined, shifted], 1)
    pairs = _Pairs(
        ends,
        torch.cat([held, mean[home]]),
        torch.arange(ends.size(1), device=ends.device) < joined.size(1),
        torch.cat([~loops, torch.ones_like(fine[fine])]).nonzero().flatten(),
        graph[ends[0]],
        graph,
        counts,
    )
    return pairs, place, absent, models, (stored.cumsum(0) - stored)[home], stored[home]


def _ascended(pairs: _Pairs, slope: _Slope, share: float, steps: int) -> Tensor:
    """Flip probabilities after projected gradient ascent from those of blind flips; loops never flip."""
    may, groups = pairs.free, _Groups(pairs.graph[pairs.free], pairs.edges.numel())
    budget = share * pairs.edges.double()
    each = budget / groups.sums(torch.ones_like(pairs.weight[may])).clamp(min=1.0)
    flips = torch.zeros_like(pairs.weight).index_copy(0, may, groups.spread(each).expand(may.numel()))
    for step in range(steps):
        gradient = slope(flips.clone())[may]
        # steps in units of probability, whatever the size of the graph
        steepest = groups.largest(gradient.abs())
        pace = (step + 1) ** -0.5 / torch.where(steepest > 0, steepest, 1.0)
        values = _within_budget(flips[may] + gradient * groups.spread(pace), groups, budget)
        flips = flips.index_copy(0, may, values)
    return flips


@dataclass(frozen=True)
class _Groups:
    """Sums and maxima of numbers by the graph they belong to; no indexing where there is one graph."""

    graph: Tensor
    count: int

    def sums(self, terms: Tensor) -> Tensor:
        if self.count == 1:
            return terms.sum().view(1)
        return terms.new_zeros(self.count).index_add(0, self.graph, terms)

    def largest(self, terms: Tensor) -> Tensor:
        """Of each graph, 0 at least."""
        return terms.new_zeros(self.count).scatter_reduce(0, self.graph, terms, "amax")

    def spread(self, numbers: Tensor) -> Tensor:
        return numbers if self.count == 1 else numbers[self.graph]


def _within_budget(values: Tensor, groups: _Groups, budget: Tensor) -> Tensor:
    """The nearest values in [0, 1] whose sum in each graph is at most its budget.

    They are the clamped values less one number per graph, which is found by Newton's method inside a shrinking bracket.
    """
    low, high = torch.zeros_like(budget), groups.largest(values)
    over = groups.sums(values.clamp(0, 1)) > budget
    less = low
    for _ in range(60):
        moved = values - groups.spread(less)
        excess = groups.sums(moved.clamp(0, 1)) - budget
        if not bool((over & (excess.abs() > 1e-6 * budget)).any()):
            break
        low, high = torch.where(excess > 0, less, low), torch.where(excess > 0, high, less)
        newton = less + excess / groups.sums(((moved > 0) & (moved < 1)).to(values.dtype)).clamp(min=1e-9)
        less = torch.where(over, torch.where((newton > low) & (newton < high), newton, (low + high) / 2), 0.0)
    kept = (values - groups.spread(less)).clamp(0, 1)
    # what the tolerance left above the budget
    return kept * groups.spread((budget / groups.sums(kept).clamp(min=1e-300)).clamp(max=1.0))


@dataclass(frozen=True)
class SpectralPerturbation(_SpectralView):
    r"""Flip edges with the probabilities that raise, or lower, the norm of the Laplacian's spectrum most.

    .. math:: \max_{\Phi}\; \pm \big\lVert \Lambda(L(A + (11^\top - I - 2A) \odot \Phi)) \big\rVert_2
        \quad\text{s.t.}\quad 0 \le \Phi \le 1,\; \textstyle\sum_{u<v} \Phi_{uv} \le budget\,|E|

    A view is a draw: each edge goes, each candidate comes with its own probability; both directions of an undirected
    edge together. The norm is a sum over the edges, so the price of a step is O(E) for a graph of any size. A new edge
    takes over the weight and the attributes of a random edge of its graph. A node without edges gets none, loops
    stay. In a batch each graph has its budget.

    Args:
        direction: ``raise`` for one view and ``lower`` for the other, as the paper pairs them.
        budget: largest expected number of flips as a share of the edges, in [0, 1]; 0 leaves the graph as it is.
        steps: of the gradient ascent, 1 or more.

    Raises:
        RequestError: a parameter out of range.
        DataError: ``edge_index`` is missing, misshapen or out of range, or ``edge_weight`` does not fit or is negative.

    Reference:
        Lin, Chen & Wang, Spectral augmentation for self-supervised learning on graphs (GCL-SPAN), ICLR 2023
        (arXiv 2210.00643), the opposite-direction scheme. The released code takes the spectrum of
        :math:`\tilde D^{-1/2} (A + I) \tilde D^{-1/2}` by a full decomposition, makes all pairs candidates, clips
        probabilities at 0.8, has a step size per data set and direction, and draws the two directions of an edge apart.
        Ours: the Laplacian without added loops, its norm without a decomposition, a sample of the absent pairs, steps
        that move the probability with the steepest gradient by :math:`1/\sqrt t` before the projection.
        Jian et al., arXiv 2405.19600, find that such views train no better than plain edge perturbation.

    Example:
        >>> g = Data(x=torch.ones(4, 1), edge_index=torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]]))
        >>> SpectralPerturbation("raise", 0.5)(g, torch.Generator().manual_seed(0)).is_undirected()
        True
    """

    direction: Literal["raise", "lower"] = "raise"
    budget: Rate = 0.2
    steps: Size = 20

    def _slope(self, pairs: _Pairs) -> _Slope:
        sign = 1.0 if self.direction == "raise" else -1.0
        return lambda flips: pairs.norm_slope(flips).mul_(sign)


@dataclass(frozen=True)
class SpectralShift(_SpectralView):
    r"""Flip edges with the probabilities that move the Laplacian's spectrum furthest from where it is.

    .. math:: \max_{\Phi}\; \big\lVert \Lambda(L(A + (11^\top - I - 2A) \odot \Phi)) - \Lambda(L(A))
        \big\rVert_2^2 \quad\text{s.t.}\quad 0 \le \Phi \le 1,\; \textstyle\sum_{u<v} \Phi_{uv} \le budget\,|E|

    As `SpectralPerturbation`, but for the objective: it needs eigenpairs, in each step anew. Of a graph of up to 512
    nodes all are computed; of a larger one block Lanczos iteration approximates the ``k`` lowest and the ``k``
    highest, whose shifts alone are then counted.

    Args:
        budget: largest expected number of flips as a share of the edges, in [0, 1]; 0 leaves the graph as it is.
        steps: of the gradient ascent, 1 or more.
        k: eigenvalues at each end of the spectrum of a large graph, 1 or more.

    Raises:
        RequestError: a parameter out of range.
        DataError: ``edge_index`` is missing, misshapen or out of range, or ``edge_weight`` does not fit or is negative.

    Reference:
        Lin, Chen & Wang, GCL-SPAN, ICLR 2023 (arXiv 2210.00643), the single-way scheme (spectral distance); differences
        as for `SpectralPerturbation`. The released code's iterative mode does not run; the truncated objective here is
        ours.

    Example:
        >>> g = Data(x=torch.ones(4, 1), edge_index=torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]]))
        >>> SpectralShift(0.5)(g, torch.Generator().manual_seed(0)).is_undirected()
        True
    """

    budget: Rate = 0.2
    steps: Size = 20
    k: Size = 8

    def _slope(self, pairs: _Pairs) -> _Slope:
        spectra = [_Spectrum.of(pairs, rows, nodes, self.k) for rows, nodes in pairs.by_graph()]
        nothing = pairs.present(torch.zeros_like(pairs.weight))
        entries, diagonal = pairs.laplacian(nothing)
        before = [spectrum.eigenpairs(entries, diagonal)[0] for spectrum in spectra]

        def slope(flips: Tensor) -> Tensor:
            with torch.enable_grad():
                leaf = flips.requires_grad_()
                entries, diagonal = pairs.laplacian(pairs.present(leaf))
                moved = [s.shift(entries, diagonal, values) for s, values in zip(spectra, before, strict=True)]
                return torch.autograd.grad(torch.stack(moved).sum(), leaf)[0]

        return slope


@dataclass(frozen=True, eq=False)
class _Spectrum:
    """Eigenpairs of the Laplacian of one graph of a batch."""

    rows: Tensor
    """Its pairs."""
    nodes: Tensor
    ends: Tensor
    """Of its pairs, counted within the graph."""
    k: int
    pattern: Pattern | None = None
    order: Tensor | None = None

    @classmethod
    def of(cls, pairs: _Pairs, rows: Tensor, nodes: Tensor, k: int) -> "_Spectrum":
        place = torch.empty(pairs.node_graph.numel(), dtype=torch.long, device=nodes.device)
        place[nodes] = torch.arange(nodes.numel(), device=nodes.device)
        ends = place[pairs.ends[:, rows]]
        if nodes.numel() <= _DENSE:
            return cls(rows, nodes, ends, k)
        own = torch.arange(nodes.numel(), device=nodes.device)
        target, source = torch.cat([ends[0], ends[1], own]), torch.cat([ends[1], ends[0], own])
        return cls(rows, nodes, ends, k, *Pattern.sorted(target, source, (nodes.numel(), nodes.numel())))

    def eigenpairs(self, entries: Tensor, diagonal: Tensor) -> tuple[Tensor, Tensor]:
        """Eigenvalues and vectors, all of them or those at both ends; entries at loops are 0."""
        entries, diagonal = entries.detach()[self.rows], diagonal.detach()[self.nodes]
        if self.pattern is None or self.order is None:
            matrix = diagonal.diag().index_put((self.ends[0], self.ends[1]), entries, accumulate=True)
            values, vectors = torch.linalg.eigh(
                matrix.index_put((self.ends[1], self.ends[0]), entries, accumulate=True)
            )
            return values, vectors
        return _extreme(self.pattern, torch.cat([entries, entries, diagonal])[self.order], self.k)

    def shift(self, entries: Tensor, diagonal: Tensor, before: Tensor) -> Tensor:
        r"""What has the gradient of the squared shifts: eigenvalues move by :math:`u^\top (dL) u`."""
        values, vectors = self.eigenpairs(entries, diagonal)
        slopes = vectors * (2 * (values - before))
        between = pair_products(slopes, vectors, self.ends)
        own = (slopes * vectors).sum(1)
        return 2 * (between * entries[self.rows]).sum() + (own * diagonal[self.nodes]).sum()


def _extreme(pattern: Pattern, values: Tensor, k: int, depth: int = 16) -> tuple[Tensor, Tensor]:
    """The k lowest and k highest eigenpairs of a symmetric matrix, ascending, by block Lanczos iteration.

    A block of k vectors sees eigenvalues of multiplicity up to k. All blocks are kept orthogonal to each other.
    """
    n, source = pattern.width, torch.Generator().manual_seed(0)

    def drawn() -> Tensor:
        return draw_normal(n, k, generator=source, device=values.device, dtype=values.dtype)

    width = k * min(depth, n // k)
    basis, small = values.new_empty(n, width), values.new_zeros(width, width)
    block = torch.linalg.qr(drawn()).Q
    for end in range(k, width + 1, k):
        basis[:, end - k : end] = block
        known, image = basis[:, :end], multiply(pattern, values, block)
        small[:end, end - k : end] = inner = known.T @ image
        block, size = torch.linalg.qr(image - known @ inner)
        # where the iteration has closed, rounding is all that is left of a direction: another takes its place
        weak = size.diagonal().abs() < _CLOSED
        if bool(weak.any()):
            block = torch.where(weak, drawn(), block)
            block = torch.linalg.qr(block - known @ (known.T @ block)).Q
        # twice is enough
        block = torch.linalg.qr(block - known @ (known.T @ block)).Q
    # of a symmetric matrix the upper half will do
    found, turn = torch.linalg.eigh(small, UPLO="U")
    if found.numel() > 2 * k:
        found, turn = torch.cat([found[:k], found[-k:]]), torch.cat([turn[:, :k], turn[:, -k:]], 1)
    return found, basis @ turn
