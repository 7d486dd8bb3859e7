r"""What an embedding looks like, told without labels: to watch a training, and to see it collapse.

| function | what it measures | collapse shows as |
|---|---|---|
| `alignment_of` | mean squared distance of the two views of a row, on the sphere | 0 |
| `uniformity_of` | log of the mean Gaussian potential of two rows, on the sphere | 0 |
| `effective_rank` | how many directions the rows use | 1 |
| `frequency_profile` | how much of the embedding varies slowly over the edges, how much fast | all in the first band |
| `rayleigh_quotient` | the mean of that frequency | 0 |

`diagnose` gives all of them. None says how well a probe will do: they say what kind of embedding it will find.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.alignment import plain_edge_index
from graphcl.errors import EmbeddingError, RequestError
from graphcl.graph import is_symmetric, symmetrised, unit_rows
from graphcl.hashing import is_undirected
from graphcl.objectives.hypersphere import uniformity
from graphcl.ops.propagate import Pattern, multiply, sum_operator

__all__ = [
    "Diagnostics",
    "alignment_of",
    "diagnose",
    "effective_rank",
    "frequency_profile",
    "frequency_profile_reference",
    "rayleigh_quotient",
    "uniformity_of",
]

_DENSE = 512
"""Up to how many nodes all eigenvectors are computed."""


def _checked(h: Tensor) -> Tensor:
    if h.dim() != 2 or not h.is_floating_point() or 0 in h.shape:
        raise RequestError(f"the embedding is {h.dtype} of shape {list(h.shape)}; expected floating point [N, D]")
    if not torch.isfinite(h).all():
        raise EmbeddingError("the embedding holds NaN or infinity")
    return h.detach()


def _directions(h: Tensor) -> Tensor:
    """Rows of length 1, in float64; rows of zeros stay at the origin."""
    # a length may be too small for 32 bits
    return unit_rows(h.double())


@torch.no_grad()
def alignment_of(h1: Tensor, h2: Tensor) -> float:
    r"""How far two views of the same row are apart, on the unit sphere.

    .. math:: \frac{1}{N} \sum_i \lVert z^1_i - z^2_i \rVert_2^2, \qquad z_i = h_i / \lVert h_i \rVert

    A row of zeros has no direction and stands at the origin, at distance 1 from all that have one.

    Args:
        h1: one view ``[N, D]``.
        h2: the other ``[N, D]``.

    Returns:
        A number in [0, 4]: 0 where the views agree, 2 where they have nothing to do with each other.

    Raises:
        RequestError: shapes differ, or a tensor is no floating-point matrix.
        EmbeddingError: NaN or infinity.

    Reference:
        Wang & Isola, Understanding contrastive representation learning through alignment and uniformity on the
        hypersphere, ICML 2020, section 4.1, with α = 2. As a loss: `graphcl.objectives.alignment`.

    Example:
        >>> alignment_of(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[3.0, 0.0], [4.0, 0.0]]))
        1.0
    """
    h1, h2 = _checked(h1), _checked(h2)
    if h1.shape != h2.shape:
        raise RequestError(f"views have shapes {list(h1.shape)} and {list(h2.shape)}; both should be [N, D]")
    return float((_directions(h1) - _directions(h2)).square().sum(dim=1).mean())


@torch.no_grad()
def uniformity_of(h: Tensor, t: float = 2.0) -> float:
    r"""How evenly the rows are spread over the unit sphere.

    .. math:: \log \frac{1}{N (N - 1)} \sum_{i \ne j} e^{-t \lVert z_i - z_j \rVert_2^2}, \qquad
              z_i = h_i / \lVert h_i \rVert

    In tiles: time grows with N², memory does not. Rows of zeros have no direction and stand at the origin: where all
    rows died, nothing is spread, and leaving them out would praise the few that are left.

    Args:
        h: embedding ``[N, D]``, N ≥ 2.
        t: above 0.

    Returns:
        A number in [-4t, 0]: 0 where all rows point one way, about -2t where they are spread in many dimensions.

    Raises:
        RequestError: no floating-point matrix of two rows at least, or t is not above 0.
        EmbeddingError: NaN or infinity.

    Reference:
        Wang & Isola, ICML 2020, section 4.1, with t = 2. The expectation is over independent rows; their code, like
        this one, takes pairs of different rows. As a loss: `graphcl.objectives.uniformity`, which refuses zero rows.

    Example:
        >>> round(uniformity_of(torch.tensor([[1.0, 0.0], [-5.0, 0.0]])), 4)
        -8.0
    """
    h = _checked(h)
    if len(h) < 2 or not t > 0:
        raise RequestError(f"{len(h)} rows, t = {t}: uniformity needs two rows, and t above 0")
    z = _directions(h)
    z = z[(z != 0).any(dim=1)].to(torch.promote_types(h.dtype, torch.float32))
    some, none = len(z), len(h) - len(z)
    # ordered pairs of rows with a direction, of one with and one without, of rows without; each with its mean potential
    groups = [(some * (some - 1), float(uniformity(z, t)) if some > 1 else 0.0), (2 * some * none, -t)]
    terms = [math.log(count) + power for count, power in (*groups, (none * (none - 1), 0.0)) if count]
    return float(torch.tensor(terms, dtype=torch.float64).logsumexp(dim=0)) - math.log(len(h) * (len(h) - 1))


@torch.no_grad()
def effective_rank(h: Tensor) -> float:
    r"""How many directions the rows use: the exponential of the entropy of the singular values.

    .. math:: \exp\left(-\sum_k p_k \log p_k\right), \qquad p_k = \sigma_k(H) / \sum_l \sigma_l(H)

    Columns are not centred, as in the papers: a large common mean is one strong direction (take ``h - h.mean(0)``
    to see past it).

    Args:
        h: embedding ``[N, D]``.

    Returns:
        A number from 1 (all rows on a line) to min(N, D) (all directions equally strong); 0 where all is zero.

    Raises:
        RequestError: no floating-point matrix.
        EmbeddingError: NaN or infinity.

    Reference:
        Roy & Vetterli, The effective rank: a measure of effective dimensionality, EUSIPCO 2007. Garrido et al., RankMe,
        ICML 2023, take the same number to choose among embeddings without labels.

    Example:
        >>> [round(effective_rank(h), 6) for h in (torch.eye(3), torch.ones(5, 3))]
        [3.0, 1.0]
    """
    x = _checked(h).double()
    # the triangular factor has the same singular values and D rows; the Gram matrix would lose the small ones
    values = torch.linalg.svdvals(torch.linalg.qr(x, mode="r").R if len(x) > x.size(1) else x)
    total = float(values.sum())
    if total == 0:
        return 0.0
    return float(torch.special.entr(values / total).sum().exp())


def _smoother(data: Data, h: Tensor) -> tuple[Pattern, Tensor]:
    """The matrix I - L, symmetric, with eigenvalues 1 - λ in [-1, 1], where the embedding is."""
    n = int(data.num_nodes or 0)
    if len(h) != n:
        raise RequestError(f"the embedding has {len(h)} rows for {n} nodes; give one row for each node")
    weighted = data.get("edge_weight") is not None
    graph = data if (is_symmetric(data) if weighted else is_undirected(data.edge_index)) else symmetrised(data)
    weight = graph.edge_weight.detach().to(h.device, torch.float64) if weighted else None
    pattern, entries = sum_operator(plain_edge_index(graph._store).to(h.device), n, weight, torch.float64)
    degree = entries.new_zeros(n).index_add(0, pattern.rows, entries)
    some = degree > 0
    scale = torch.where(some, torch.where(some, degree, 1.0).rsqrt(), 0.0)
    entries = scale[pattern.rows] * entries * scale[pattern.columns]
    # what has no edges is constant on all of its component: frequency 0. Its loops, one at least, share the 1
    loop = pattern.rows == pattern.columns
    count = torch.bincount(pattern.rows[loop], minlength=n).double()
    return pattern, torch.where(loop & ~some[pattern.rows], 1 / count[pattern.rows], entries)


@torch.no_grad()
def rayleigh_quotient(h: Tensor, data: Data) -> float:
    r"""The mean frequency of an embedding over the edges of its graph.

    .. math:: \frac{\mathrm{tr}(H^\top L H)}{\mathrm{tr}(H^\top H)}
              = \frac{\sum_{\{u,v\} \in E} w_{uv} \left\lVert h_u / \sqrt{d_u} - h_v / \sqrt{d_v} \right\rVert^2}
                     {\sum_v \lVert h_v \rVert^2}, \qquad L = I - D^{-1/2} A D^{-1/2}

    A directed graph is made undirected; a node without edges has frequency 0.

    Args:
        h: embedding ``[N, D]``.
        data: the graph.

    Returns:
        A number in [0, 2]: 0 where each component has one direction (scaled by the roots of its degrees), 1 for noise
        that knows nothing of the edges (without isolated nodes), 2 where neighbours are opposite. 0 where H is zero.

    Raises:
        RequestError: no floating-point matrix with a row for each node.
        EmbeddingError: NaN or infinity.

    Example:
        >>> pair = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=2)
        >>> [rayleigh_quotient(torch.tensor([[1.0], [other]]), pair) for other in (1.0, 0.0, -1.0)]
        [0.0, 1.0, 2.0]
    """
    x = _checked(h).double()
    return _quotient(x, *_smoother(data, x))


def _quotient(x: Tensor, pattern: Pattern, entries: Tensor) -> float:
    energy = float(x.square().sum())
    if energy == 0:
        return 0.0
    return min(2.0, max(0.0, 1 - float((x * multiply(pattern, entries, x)).sum()) / energy))


@torch.no_grad()
def frequency_profile(h: Tensor, data: Data, bins: int = 5, *, order: int = 128) -> list[float]:
    r"""The share of an embedding's energy in each band of the frequencies of its graph.

    .. math:: s_b = \frac{\sum_{k:\, \lambda_k \in B_b} \lVert u_k^\top H \rVert^2}{\lVert H \rVert_F^2}, \qquad
              L = \sum_k \lambda_k u_k u_k^\top, \qquad
              B_b = \left[\tfrac{2 (b - 1)}{B}, \tfrac{2 b}{B}\right)

    The last band includes 2. Up to 512 nodes the eigenvectors are computed. Beyond that no eigenvector is: with
    Chebyshev polynomials :math:`T_k` and Jackson's factors :math:`g_k`,

    .. math:: s_b \approx \sum_{k=0}^{K} g_k\, c_{bk}\, m_k, \qquad
              m_k = \frac{\mathrm{tr}(H^\top T_k(L - I) H)}{\lVert H \rVert_F^2},

    where :math:`c_{bk}` are the coefficients of the band's indicator. The shares are not negative and sum to 1 as the
    exact ones do; what lies within about :math:`\pi / K` of the border of two bands is shared between them. An odd
    number of bands keeps the frequency 1, which many graphs have often, away from the borders. K/2 products with L.

    Args:
        h: embedding ``[N, D]``.
        data: the graph; a directed one is made undirected, a node without edges has frequency 0.
        bins: number of bands B, 1 or more.
        order: degree K of the approximation, even, 2 or more.

    Returns:
        B numbers that sum to 1, low frequencies first; all 0 where H is zero.

    Raises:
        RequestError: no floating-point matrix with a row for each node; bins or order out of range.
        EmbeddingError: NaN or infinity.

    Reference:
        Weiße et al., The kernel polynomial method, Reviews of Modern Physics 78, 2006: Jackson's factors, and two
        moments from one product.

    Example:
        >>> square = Data(edge_index=torch.tensor([[0, 1, 2, 3, 1, 2, 3, 0], [1, 2, 3, 0, 0, 1, 2, 3]]), num_nodes=4)
        >>> [round(share, 6) for share in frequency_profile(torch.tensor([[3.0], [1.0], [3.0], [1.0]]), square, bins=2)]
        [0.8, 0.2]
    """
    x = _checked(h).double()
    if bins < 1 or order < 2 or order % 2:
        raise RequestError(f"bins = {bins}, order = {order}: should be 1 or more, and even and 2 or more")
    pattern, entries = _smoother(data, x)
    if len(x) <= _DENSE:
        return _exact(x, pattern, entries, bins)
    return _estimated(x, pattern, entries, bins, order)


def frequency_profile_reference(h: Tensor, data: Data, bins: int = 5) -> list[float]:
    """What `frequency_profile` estimates, with all eigenvectors: exact, and cubic in N."""
    x = h.detach().double()
    return _exact(x, *_smoother(data, x), bins)


def _exact(x: Tensor, pattern: Pattern, entries: Tensor, bins: int) -> list[float]:
    n = len(x)
    matrix = torch.zeros(n, n, dtype=torch.float64, device=x.device)
    matrix.index_put_((pattern.rows, pattern.columns), entries, accumulate=True)
    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    energy = (vectors.T @ x).square().sum(dim=1)
    # rounded, so that a frequency on a border is in the band above it however it came out
    band = (((1 - values) * bins / 2).mul(2**30).round() / 2**30).floor().long().clamp(0, bins - 1)
    share = torch.zeros(bins, dtype=torch.float64, device=x.device).index_add(0, band, energy)
    return _normalised(share)


def _estimated(x: Tensor, pattern: Pattern, entries: Tensor, bins: int, order: int) -> list[float]:
    moments = _moments(x, pattern, entries, order)
    k = torch.arange(order + 1, dtype=torch.float64)
    # Jackson's factors, for order + 1 terms
    q = math.pi / (order + 2)
    factors = ((order + 2 - k) * (q * k).cos() + (q * k).sin() / math.tan(q)) / (order + 2)
    # λ = 1 + cos θ runs downwards in θ; the integral of cos(kθ) over a band
    angle = (torch.linspace(0, 2, bins + 1, dtype=torch.float64) - 1).clamp(-1, 1).acos()
    whole = torch.cat([angle[None], (k[1:, None] * angle).sin() * 2 / k[1:, None]]) / math.pi
    share = (factors[:, None] * moments[:, None] * (whole[:, :-1] - whole[:, 1:])).sum(dim=0)
    return _normalised(share.clamp(min=0))


def _moments(x: Tensor, pattern: Pattern, entries: Tensor, order: int) -> Tensor:
    """Traces of Hᵀ T_k(L - I) H for k up to the order, two from each product: 2 T_k T_l = T_{k+l} + T_{k-l}."""
    # L - I is the smoother with the other sign
    previous, current = x, -multiply(pattern, entries, x)
    found = [previous.square().sum(), (previous * current).sum()]
    for k in range(1, order // 2 + 1):
        found.append(2 * current.square().sum() - found[0])
        if 2 * k < order:
            previous, current = current, -2 * multiply(pattern, entries, current) - previous
            found.append(2 * (previous * current).sum() - found[1])
    return torch.stack(found).cpu()


def _normalised(share: Tensor) -> list[float]:
    total = float(share.sum())
    return [value / total if total else 0.0 for value in share.tolist()]


@dataclass(frozen=True)
class Diagnostics:
    """What one embedding looks like.

    Args:
        rows: N.
        width: D.
        zero_rows: rows that are all zero: nodes without features and neighbours, or dead activations.
        alignment: `alignment_of` with another view, where one was given.
        uniformity: `uniformity_of`, where there are two rows.
        effective_rank: `effective_rank`.
        frequency: `rayleigh_quotient`, where a graph was given.
        profile: `frequency_profile` in five bands, where a graph was given.
    """

    rows: int
    width: int
    zero_rows: int
    alignment: float | None
    uniformity: float | None
    effective_rank: float
    frequency: float | None
    profile: tuple[float, ...] | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        values = asdict(self)
        return {**values, "profile": None if self.profile is None else list(self.profile)}


def diagnose(h: Tensor, data: Data | None = None, other_view: Tensor | None = None) -> Diagnostics:
    """Measure an embedding without labels.

    Nothing here raises on a collapsed embedding, so that a training can be watched into its collapse and beyond.

    Args:
        h: embedding ``[N, D]``.
        data: its graph; ``None`` for embeddings of whole graphs, which have no frequencies.
        other_view: the embedding of the same rows under another view, ``[N, D]``, for the alignment.

    Raises:
        RequestError: no floating-point matrix, or other rows than nodes.
        EmbeddingError: NaN or infinity.

    Example:
        >>> import graphcl
        >>> data, _ = graphcl.load("karate")
        >>> seen = diagnose(data.x, data)  # one coordinate of its own for each member
        >>> round(seen.effective_rank), round(seen.frequency, 3), seen.alignment
        (34, 1.0, None)
    """
    h = _checked(h)
    return Diagnostics(
        rows=h.size(0),
        width=h.size(1),
        zero_rows=int((h == 0).all(dim=1).sum()),
        alignment=None if other_view is None else alignment_of(h, other_view),
        uniformity=None if len(h) < 2 else uniformity_of(h),
        effective_rank=effective_rank(h),
        frequency=None if data is None else rayleigh_quotient(h, data),
        profile=None if data is None else tuple(frequency_profile(h, data)),
    )
