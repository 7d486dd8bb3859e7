"""Several filters side by side, which share every product with the graph."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from graphcl.errors import RequestError
from graphcl.ops.chebyshev import polynomials
from graphcl.spectral.filters import SpectralFilter
from graphcl.spectral.operator import spectral_operator

__all__ = ["FilterBank"]


class FilterBank(nn.Module):
    r"""K channels of one signal, each seen through a filter of its own.

    .. math:: Y_{v k} = \big(g_k(L)\, X\big)_v

    The terms :math:`T_j(S) X` are computed once, up to the highest order among the filters, and shared by all of them.

    Args:
        filters: one or more, all with or all without self-loops.

    Shapes:
        ``x [N, F]``, ``edge_index [2, E]``, ``edge_weight [E]`` or ``None`` → ``[N, K, F]``.

    Raises:
        RequestError: no filter, or some with self-loops and some without: they are functions of different operators.

    Example:
        >>> from graphcl.spectral import MonotoneHigh, MonotoneLow
        >>> bank = FilterBank([MonotoneLow(4), MonotoneHigh(4)])
        >>> channels = bank(torch.tensor([[1.0], [0.0]]), torch.tensor([[0, 1], [1, 0]]))
        >>> channels.shape, [round(v, 4) for v in channels.sum(1).flatten().tolist()]
        (torch.Size([2, 2, 1]), [2.0, 0.0])
    """

    def __init__(self, filters: Sequence[SpectralFilter]) -> None:
        super().__init__()
        if not filters:
            raise RequestError("FilterBank: give at least one filter, such as graphcl.spectral.MonotoneLow()")
        if len({part.self_loops for part in filters}) > 1:
            listed = ", ".join(f"{type(part).__name__}(self_loops={part.self_loops})" for part in filters)
            raise RequestError(
                f"FilterBank: the filters are functions of different operators ({listed}); "
                "give all of them the same self_loops"
            )
        self.filters = nn.ModuleList(filters)
        self.self_loops = filters[0].self_loops
        self.order = max(part.order for part in filters)

    def coefficients(self) -> Tensor:
        """The Chebyshev coefficients of all channels, ``[K, order + 1]``; those of lower order end with zeros."""
        rows = [part.coefficients() for part in self._parts()]
        return torch.stack([torch.cat([row, row.new_zeros(self.order + 1 - row.numel())]) for row in rows])

    def response(self, eigenvalue: Tensor) -> Tensor:
        """The responses of all channels: λ of any shape ``[…]`` → ``[K, …]``."""
        return torch.stack([part.response(eigenvalue) for part in self._parts()])

    def _parts(self) -> list[SpectralFilter]:
        return [part for part in self.filters if isinstance(part, SpectralFilter)]

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """The channels ``[N, K, F]``; what is refused is said at `SpectralFilter.forward`."""
        pattern, values = spectral_operator(edge_index, x.size(0), edge_weight, x.dtype, self_loops=self.self_loops)
        return polynomials(pattern, values.to(x.dtype), x, self.coefficients().to(x)).transpose(0, 1)

    def mix(self, terms: Tensor) -> Tensor:
        r"""The channels from terms that were computed before: no graph is needed.

        .. math:: Y_{v k} = \sum_j w_{kj}\, \big(T_j(S) X\big)_v

        Args:
            terms: ``[n, J + 1, F]`` for n nodes, J at least the order: rows of a `ChebyshevBasis`.

        Returns:
            ``[n, K, F]``, differentiable in what the filters learn, and in the terms.

        Raises:
            RequestError: fewer terms than the order needs, or another shape.
        """
        if terms.dim() != 3 or terms.size(1) <= self.order:
            raise RequestError(
                f"terms have shape {list(terms.shape)}; filters of order {self.order} need [n, {self.order + 1}, F]"
            )
        return torch.einsum("kj,njf->nkf", self.coefficients().to(terms), terms[:, : self.order + 1])
