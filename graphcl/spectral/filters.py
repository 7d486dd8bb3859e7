r"""Filters of graph signals that state their frequency response.

A filter is a polynomial g of the normalised Laplacian, :math:`Y = g(L) X = U g(\Lambda) U^\top X`. However its author
parametrised it, it is evaluated in the Chebyshev basis (`graphcl.ops.chebyshev`), so that channels share their products
with the graph (`FilterBank`) and a stored basis (`ChebyshevBasis`) serves every filter.

| filter | response g(λ), with s = 1 − λ | learns | source |
|---|---|---|---|
| `LowPass` | s^k on the graph with self-loops | – | SGC |
| `HighPass` | λ^k | – | – |
| `HeatFilter` | exp(−tλ) | – | GDC |
| `PPRFilter` | α / (1 − (1 − α) s) | – | APPNP |
| `GPRFilter` | Σ γ_k s^k | γ | GPR-GNN |
| `ChebyshevFilter` | Σ w_k T_k(s) | w | ChebNet |
| `InterpolatedFilter` | through max(v_j, 0) at the Chebyshev nodes | v | ChebNetII |
| `MonotoneLow`, `MonotoneHigh` | the same, values falling from (rising to) 2 | steps | PolyGCL |
| `CosineLow`, `CosineHigh` | the same, values along half a cosine | height, depth | S3GCL |
| `BernsteinFilter` | Σ max(θ_k, 0) b_k(λ / 2) | θ | BernNet |
| `JacobiFilter` | Σ w_k P_k^{(a,b)}(s) | w | JacobiConv |
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.polynomial import chebyshev as numpy_chebyshev
from scipy.special import eval_jacobi
from torch import Tensor, nn

from graphcl.config import Positive, Size, valid
from graphcl.errors import RequestError
from graphcl.ops.chebyshev import polynomials
from graphcl.ops.kernels import Heat, Kernel, Teleport
from graphcl.ops.resolvent import pagerank_rows
from graphcl.spectral.operator import spectral_operator

__all__ = [
    "BernsteinFilter",
    "ChebyshevFilter",
    "CosineHigh",
    "CosineLow",
    "GPRFilter",
    "HeatFilter",
    "HighPass",
    "InterpolatedFilter",
    "JacobiFilter",
    "LowPass",
    "MonotoneHigh",
    "MonotoneLow",
    "PPRFilter",
    "SpectralFilter",
]


def chebyshev_nodes(order: int) -> np.ndarray:
    r"""The K + 1 zeros of :math:`T_{K+1}`, falling: :math:`s_j = \cos\frac{(j + 1/2) \pi}{K + 1}`, ``[K + 1]``."""
    return np.cos((np.arange(order + 1) + 0.5) * math.pi / (order + 1))


def interpolation(order: int) -> Tensor:
    r"""From the values of a polynomial at the Chebyshev nodes to its coefficients, float64 ``[K + 1, K + 1]``.

    .. math:: w_k = \frac{2 - [k = 0]}{K + 1} \sum_j g(1 - s_j)\, T_k(s_j)
    """
    terms = numpy_chebyshev.chebvander(chebyshev_nodes(order), order).T
    terms[1:] *= 2
    return torch.from_numpy(terms / (order + 1))


def change_of_basis(order: int, basis: Callable[[int, np.ndarray], np.ndarray]) -> Tensor:
    """Chebyshev coefficients of the K + 1 functions ``basis(k, s)``, polynomials of degree K at most, as columns."""
    nodes = chebyshev_nodes(order)
    values = np.stack([basis(k, nodes) for k in range(order + 1)], 1)
    return interpolation(order) @ torch.from_numpy(values)


class SpectralFilter(nn.Module, ABC):
    r"""A polynomial of the normalised Laplacian.

    .. math:: Y = g(L)\, X, \qquad g(\lambda) = \sum_{k=0}^{K} w_k\, T_k(1 - \lambda), \qquad
              L = I - D^{-1/2} A D^{-1/2}

    Args:
        order: K, 1 or more: how many hops it sees.
        self_loops: whether L is that of the graph with self-loops, :math:`A + I`.

    Raises:
        RequestError: an order below 1.
    """

    basis: Tensor
    """From parameters to Chebyshev coefficients, ``[K + 1, P]``."""

    def __init__(self, order: int, *, self_loops: bool = False) -> None:
        super().__init__()
        self.order: int = valid(type(self), "order", order, Size)
        self.self_loops: bool = valid(type(self), "self_loops", self_loops, bool)

    @abstractmethod
    def coefficients(self) -> Tensor:
        """The Chebyshev coefficients w, ``[K + 1]``, differentiable in what is learned."""

    def response(self, eigenvalue: Tensor) -> Tensor:
        """What the filter multiplies a frequency by.

        Args:
            eigenvalue: λ in [0, 2], any shape.

        Returns:
            g(λ) of the same shape and device, differentiable in what is learned.
        """
        s = 1 - (eigenvalue if eigenvalue.is_floating_point() else eigenvalue.to(torch.get_default_dtype()))
        weights = self.coefficients().to(s)
        later = now = torch.zeros_like(s)
        for k in range(self.order, 0, -1):
            later, now = now, weights[k] + 2 * s * now - later
        return weights[0] + s * now - later

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """The filtered signal ``[N, F]``.

        Args:
            x: ``[N, F]``.
            edge_index: ``int64 [2, E]``, each edge in both directions.
            edge_weight: ``[E]``; 1 where ``None``.

        Raises:
            DataError: no edges, or directed ones.
            RequestError: edges of the wrong shape or type, or weights that do not match them.
        """
        pattern, values = spectral_operator(edge_index, x.size(0), edge_weight, x.dtype, self_loops=self.self_loops)
        return polynomials(pattern, values.to(x.dtype), x, self.coefficients().to(x)[None])[0]

    def extra_repr(self) -> str:
        """Order and loops."""
        return f"order={self.order}" + (", self_loops=True" if self.self_loops else "")


class _Fixed(SpectralFilter):
    def __init__(self, weights: Tensor, *, self_loops: bool) -> None:
        super().__init__(weights.numel() - 1, self_loops=self_loops)
        self.register_buffer("basis", weights.to(torch.get_default_dtype()), persistent=False)

    def coefficients(self) -> Tensor:
        return self.basis


class LowPass(_Fixed):
    r"""Repeated averaging over the neighbours.

    .. math:: g(\lambda) = (1 - \lambda)^k

    Args:
        steps: k, 1 or more.
        self_loops: whether a node counts among its neighbours (``True``: :math:`\hat A` of GCN and SGC).

    Reference:
        Wu et al., Simplifying graph convolutional networks, ICML 2019, equation 8.

    Example:
        >>> LowPass(2).response(torch.tensor([0.0, 1.0, 1.5])).tolist()
        [1.0, 0.0, 0.25]
    """

    def __init__(self, steps: int = 1, *, self_loops: bool = True) -> None:
        steps = valid(type(self), "steps", steps, Size)
        super().__init__(_power(steps, lambda s: s), self_loops=self_loops)


class HighPass(_Fixed):
    r"""Repeated differences to the neighbours.

    .. math:: g(\lambda) = \lambda^k

    Args:
        steps: k, 1 or more.
        self_loops: whether a node counts among its neighbours.

    Example:
        >>> HighPass().response(torch.tensor([0.0, 1.0, 2.0])).tolist()
        [0.0, 1.0, 2.0]
    """

    def __init__(self, steps: int = 1, *, self_loops: bool = False) -> None:
        steps = valid(type(self), "steps", steps, Size)
        super().__init__(_power(steps, lambda s: 1 - s), self_loops=self_loops)


def _power(steps: int, function: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    return interpolation(steps) @ torch.from_numpy(function(chebyshev_nodes(steps)) ** steps)


def _expansion(kernel: Kernel, order: int | None, least: float) -> Tensor:
    if order is None:
        return torch.tensor([*kernel.coefficients(symmetric=True, rest=least), 0.0], dtype=torch.float64)
    series = kernel.chebyshev()
    return torch.tensor([next(series) for _ in range(order + 1)], dtype=torch.float64)


class HeatFilter(_Fixed):
    r"""Diffusion of heat for a time.

    .. math:: g(\lambda) = e^{-t \lambda} = e^{-t} \Big(I_0(t) + 2 \sum_{k \ge 1} I_k(t)\, T_k(1 - \lambda)\Big)

    Args:
        time: t, more than 0.
        order: where the series ends; ``None`` goes on until what is left out is below 1e-7 at every λ.
        self_loops: whether heat stays in a node by a loop.

    Reference:
        Gasteiger et al., Diffusion improves graph learning, NeurIPS 2019, section 2; the series is the Jacobi–Anger
        expansion.

    Example:
        >>> round(HeatFilter(1.0).response(torch.tensor(2.0)).item(), 5) == round(math.exp(-2), 5)
        True
    """

    def __init__(self, time: float = 1.0, order: int | None = None, *, self_loops: bool = False) -> None:
        time = valid(type(self), "time", time, Positive)
        order = valid(type(self), "order", order, Size | None)
        super().__init__(_expansion(Heat(time), order, 1e-7), self_loops=self_loops)


class PPRFilter(_Fixed):
    r"""Personalised PageRank.

    .. math:: g(\lambda) = \frac{\alpha}{1 - (1 - \alpha)(1 - \lambda)} = \alpha \sum_k (1 - \alpha)^k (1 - \lambda)^k

    Args:
        teleport: α in (0, 1]: the smaller, the smoother.
        order: where its Chebyshev series ends; ``None`` goes on until what is left out is below 1e-7 at every λ.
        self_loops: whether the walk may stay (``True`` in APPNP).

    Reference:
        Gasteiger et al., Predict then propagate, ICLR 2019, equation 2.

    Example:
        >>> round(PPRFilter(0.5).response(torch.tensor(1.0)).item(), 4)
        0.5
    """

    def __init__(self, teleport: float = 0.1, order: int | None = None, *, self_loops: bool = True) -> None:
        teleport = valid(type(self), "teleport", teleport, Positive)
        if teleport > 1:
            raise RequestError(f"{type(self).__name__}.teleport = {teleport}: input should be a probability in (0, 1]")
        order = valid(type(self), "order", order, Size | None)
        super().__init__(_expansion(Teleport(teleport), order, 1e-7), self_loops=self_loops)
        # a series that is cut short has another gradient than the whole one
        self.teleport = teleport if order is None else None

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """The filtered signal ``[N, F]``; where the series is whole, its gradient takes one product for each edge."""
        if self.teleport is None:
            return super().forward(x, edge_index, edge_weight)
        pattern, values = spectral_operator(edge_index, x.size(0), edge_weight, x.dtype, self_loops=self.self_loops)
        return pagerank_rows(pattern, values.to(x.dtype), x, self.coefficients(), self.teleport)


class _Linear(SpectralFilter):
    """A learned combination of the columns of ``basis``."""

    def __init__(self, basis: Tensor, initial: Tensor, *, self_loops: bool) -> None:
        super().__init__(basis.size(0) - 1, self_loops=self_loops)
        dtype = torch.get_default_dtype()
        self.register_buffer("basis", basis.to(dtype), persistent=False)
        self.weight = nn.Parameter(initial.to(dtype))

    def coefficients(self) -> Tensor:
        return self.basis @ self.weight


Start: TypeAlias = Literal["ppr", "negative-ppr", "sgc", "random"]
"""How the coefficients of `GPRFilter` begin."""


class GPRFilter(_Linear):
    r"""Generalised PageRank: learned coefficients of the powers of the adjacency.

    .. math:: g(\lambda) = \sum_{k=0}^{K} \gamma_k (1 - \lambda)^k

    Args:
        order: K.
        start: what γ begins as: ``ppr`` :math:`\alpha (1 - \alpha)^k` (and :math:`(1 - \alpha)^K` at the end, so that
            they sum to one), ``negative-ppr`` :math:`(-\alpha)^k` scaled to absolute sum one, which sharpens,
            ``sgc`` 1 for k = K and 0 elsewhere, ``random`` uniform in ±√(3 / (K + 1)), scaled to absolute sum one
            (drawn from torch's global generator, as all initialisers are).
        teleport: α in (0, 1), for the first two.
        self_loops: as the paper's :math:`\tilde A_{sym}`.

    Reference:
        Chien et al., Adaptive universal generalized PageRank graph neural network, ICLR 2021, equation 1; beginnings
        from the released code.

    Example:
        >>> gpr = GPRFilter(2, teleport=0.5)
        >>> gpr.weight.tolist(), gpr.response(torch.tensor([0.0, 1.0])).tolist()
        ([0.5, 0.25, 0.25], [1.0, 0.5])
    """

    def __init__(
        self, order: int = 10, start: Start = "ppr", teleport: float = 0.1, *, self_loops: bool = True
    ) -> None:
        cls = type(self)
        order, start = valid(cls, "order", order, Size), valid(cls, "start", start, Start)
        teleport = valid(cls, "teleport", teleport, Positive)
        if teleport >= 1:
            raise RequestError(f"{cls.__name__}.teleport = {teleport}: input should be a probability in (0, 1)")
        k = torch.arange(order + 1, dtype=torch.float64)
        if start == "ppr":
            initial = teleport * (1 - teleport) ** k
            initial[-1] = (1 - teleport) ** order
        elif start == "negative-ppr":
            initial = (-teleport) ** k
            initial /= initial.abs().sum()
        elif start == "sgc":
            initial = (k == order).double()
        else:
            initial = (2 * torch.rand(order + 1, dtype=torch.float64) - 1) * math.sqrt(3 / (order + 1))
            initial /= initial.abs().sum()
        super().__init__(change_of_basis(order, lambda k, s: s**k), initial, self_loops=self_loops)


class ChebyshevFilter(_Linear):
    r"""Learned Chebyshev coefficients; begins as the identity.

    .. math:: g(\lambda) = \sum_{k=0}^{K} w_k\, T_k(1 - \lambda)

    The argument of the source is :math:`\lambda - 1`, which changes the sign of odd coefficients and nothing else.

    Args:
        order: K.
        self_loops: whether L is that of :math:`A + I`.

    Reference:
        Defferrard et al., Convolutional neural networks on graphs with fast localized spectral filtering, NeurIPS
        2016, equation 4, with the largest eigenvalue bounded by 2.

    Example:
        >>> ChebyshevFilter(3).response(torch.tensor([0.0, 2.0])).tolist()
        [1.0, 1.0]
    """

    def __init__(self, order: int = 10, *, self_loops: bool = False) -> None:
        order = valid(type(self), "order", order, Size)
        eye = torch.eye(order + 1, dtype=torch.float64)
        super().__init__(eye, eye[0], self_loops=self_loops)


class JacobiFilter(_Linear):
    r"""Learned coefficients of Jacobi polynomials, which can be orthogonal under the spectrum at hand.

    .. math:: g(\lambda) = \sum_{k=0}^{K} w_k\, P_k^{(a, b)}(1 - \lambda)

    Begins as the identity.

    Args:
        order: K.
        a: exponent of (1 − s), s = 1 − λ, in the weight function, more than −1: the larger, the less low frequencies
            count.
        b: exponent of (1 + s), more than −1.
        self_loops: whether L is that of :math:`A + I`.

    Reference:
        Wang & Zhang, How powerful are spectral graph neural networks, ICML 2022, section 4.2.

    Example:
        >>> JacobiFilter(3, a=0.5).response(torch.tensor([0.3])).tolist()
        [1.0]
    """

    def __init__(self, order: int = 10, a: float = 1.0, b: float = 1.0, *, self_loops: bool = False) -> None:
        cls = type(self)
        order = valid(cls, "order", order, Size)
        for name, value in (("a", a), ("b", b)):
            if not valid(cls, name, value, float) > -1:
                raise RequestError(f"{cls.__name__}.{name} = {value}: input should be more than -1")
        initial = torch.zeros(order + 1, dtype=torch.float64)
        initial[0] = 1.0
        super().__init__(change_of_basis(order, lambda k, s: eval_jacobi(k, a, b, s)), initial, self_loops=self_loops)


class BernsteinFilter(_Linear):
    r"""A learned combination of Bernstein polynomials that is nowhere negative.

    .. math:: g(\lambda) = \sum_{k=0}^{K} \max(\theta_k, 0) \binom{K}{k}
              \left(1 - \tfrac{\lambda}{2}\right)^{K - k} \left(\tfrac{\lambda}{2}\right)^k

    :math:`\theta_k` is about what the response is at :math:`\lambda = 2k/K`. Begins as the identity.

    Args:
        order: K.
        self_loops: whether L is that of :math:`A + I`.

    Reference:
        He et al., BernNet: learning arbitrary graph spectral filters via Bernstein approximation, NeurIPS 2021,
        equation 3.

    Example:
        >>> bern = BernsteinFilter(4)
        >>> bool(torch.isclose(bern.response(torch.tensor(0.7)), torch.tensor(1.0)))
        True
    """

    def __init__(self, order: int = 10, *, self_loops: bool = False) -> None:
        order = valid(type(self), "order", order, Size)

        def basis(k: int, s: np.ndarray) -> np.ndarray:
            return math.comb(order, k) * ((1 + s) / 2) ** (order - k) * ((1 - s) / 2) ** k

        ones = torch.ones(order + 1, dtype=torch.float64)
        super().__init__(change_of_basis(order, basis), ones, self_loops=self_loops)

    def coefficients(self) -> Tensor:
        """Those of the combination, negative θ taken for 0."""
        return self.basis @ self.weight.relu()


class _ThroughNodes(SpectralFilter):
    """The polynomial through values at the Chebyshev nodes, in the order of rising frequency."""

    def __init__(self, order: int, *, self_loops: bool) -> None:
        super().__init__(order, self_loops=self_loops)
        self.register_buffer("basis", interpolation(order).to(torch.get_default_dtype()), persistent=False)

    @abstractmethod
    def at_nodes(self) -> Tensor:
        """The values, ``[K + 1]``."""

    def coefficients(self) -> Tensor:
        return self.basis @ self.at_nodes()


class InterpolatedFilter(_ThroughNodes):
    r"""The polynomial through learned values at the Chebyshev nodes.

    .. math:: g(1 - s_j) = \max(v_j, 0), \qquad s_j = \cos\frac{(j + 1/2)\pi}{K + 1}

    The values are not negative; between the nodes, and beyond the outermost, the polynomial may be. Begins as the
    identity.

    Args:
        order: K.
        self_loops: whether L is that of :math:`A + I`.

    Reference:
        He et al., Convolutional neural networks on graphs with Chebyshev approximation, revisited, NeurIPS 2022
        (ChebNetII), equation 8.

    Example:
        >>> bool(torch.isclose(InterpolatedFilter(4).response(torch.tensor(0.7)), torch.tensor(1.0)))
        True
    """

    def __init__(self, order: int = 10, *, self_loops: bool = False) -> None:
        super().__init__(valid(type(self), "order", order, Size), self_loops=self_loops)
        self.value = nn.Parameter(torch.ones(order + 1))

    def at_nodes(self) -> Tensor:
        """What was learned, negative values taken for 0."""
        return self.value.relu()


class _Monotone(_ThroughNodes):
    def __init__(self, order: int, *, self_loops: bool) -> None:
        super().__init__(valid(type(self), "order", order, Size), self_loops=self_loops)
        self.step = nn.Parameter(torch.full((order,), 2.0 / order))

    def walked(self) -> Tensor:
        """Sums of the first 0 to K steps."""
        return torch.cat([self.step.new_zeros(1), self.step.relu().cumsum(0)])


class MonotoneLow(_Monotone):
    r"""A low-pass filter: its values at the Chebyshev nodes fall from 2 by learned steps that are not negative.

    .. math:: g(1 - s_j) = 2 - \sum_{i < j} \max(t_i, 0), \qquad t_i = \tfrac{2}{K} \text{ at first}

    With `MonotoneHigh` it sums to 2 at every λ at first. Outside of the outermost nodes the polynomial goes on a little
    below 0 and above 2: at K = 10 it begins at 2.04 and ends at −0.04. The steps may sum to more than 2, and the values
    fall below 0, as in the source.

    Args:
        order: K.
        self_loops: whether L is that of :math:`A + I`.

    Reference:
        Chen et al., PolyGCL: graph contrastive learning via learnable spectral polynomial filters, ICLR 2024,
        section 3.2.

    Example:
        >>> MonotoneLow(10).response(torch.tensor([0.0, 1.0, 2.0])).mul(100).round().tolist()
        [204.0, 100.0, -4.0]
    """

    def __init__(self, order: int = 10, *, self_loops: bool = False) -> None:
        super().__init__(order, self_loops=self_loops)

    def at_nodes(self) -> Tensor:
        """Downwards from 2."""
        return 2 - self.walked()


class MonotoneHigh(_Monotone):
    r"""A high-pass filter: its values at the Chebyshev nodes rise from 0 by learned steps that are not negative.

    .. math:: g(1 - s_j) = \sum_{i < j} \max(t_i, 0), \qquad t_i = \tfrac{2}{K} \text{ at first}

    Args:
        order: K.
        self_loops: whether L is that of :math:`A + I`.

    Reference:
        Chen et al., ICLR 2024, section 3.2.

    Example:
        >>> low, high, at = MonotoneLow(6), MonotoneHigh(6), torch.linspace(0, 2, 5)
        >>> bool(torch.allclose(low.response(at) + high.response(at), torch.tensor(2.0)))
        True
    """

    def __init__(self, order: int = 10, *, self_loops: bool = False) -> None:
        super().__init__(order, self_loops=self_loops)

    def at_nodes(self) -> Tensor:
        """Upwards from 0."""
        return self.walked()


class _Cosine(_ThroughNodes):
    way: Tensor

    def __init__(self, order: int, start: float, *, self_loops: bool) -> None:
        super().__init__(valid(type(self), "order", order, Size), self_loops=self_loops)
        self.start = nn.Parameter(torch.tensor(start))
        self.span = nn.Parameter(torch.tensor(2.0))
        way = (1 - torch.cos(torch.arange(order + 1, dtype=torch.float64) * math.pi / order)) / 2
        self.register_buffer("way", way.to(torch.get_default_dtype()), persistent=False)


class CosineLow(_Cosine):
    r"""A low-pass filter of two numbers: its values at the Chebyshev nodes fall along half a cosine.

    .. math:: g(1 - s_j) = \max\big(\mu - \tfrac{\nu}{2} (1 - \cos \tfrac{\pi j}{K}), 0\big)

    Begins with μ = 2 and ν = 2: from 2 to 0. Where training turns ν negative it becomes a high-pass filter.

    Args:
        order: K.
        self_loops: whether L is that of :math:`A + I`.

    Reference:
        Wan et al., S3GCL: spectral, swift, spatial graph contrastive learning, ICML 2024; the curve is that of the
        released code, which lacks its use, so that what it begins with is ours.

    Example:
        >>> CosineLow(6).response(torch.tensor([0.0, 1.0, 2.0])).mul(10).round().abs().tolist()
        [20.0, 10.0, 0.0]
    """

    def __init__(self, order: int = 10, *, self_loops: bool = False) -> None:
        super().__init__(order, 2.0, self_loops=self_loops)

    def at_nodes(self) -> Tensor:
        """Downwards from μ."""
        return (self.start - self.span * self.way).relu()


class CosineHigh(_Cosine):
    r"""A high-pass filter of two numbers: its values at the Chebyshev nodes rise along half a cosine.

    .. math:: g(1 - s_j) = \max\big(\mu + \tfrac{\nu}{2} (1 - \cos \tfrac{\pi j}{K}), 0\big)

    Begins with μ = 0 and ν = 2: from 0 to 2.

    Args:
        order: K.
        self_loops: whether L is that of :math:`A + I`.

    Reference:
        Wan et al., ICML 2024; as `CosineLow`.

    Example:
        >>> CosineHigh(6).response(torch.tensor([0.0, 1.0, 2.0])).mul(10).round().abs().tolist()
        [0.0, 10.0, 20.0]
    """

    def __init__(self, order: int = 10, *, self_loops: bool = False) -> None:
        super().__init__(order, 0.0, self_loops=self_loops)

    def at_nodes(self) -> Tensor:
        """Upwards from μ."""
        return (self.start + self.span * self.way).relu()
