r"""The coefficients of diffusions: power series of a walk operator that are not negative and sum to one.

| class | coefficient of :math:`M^k` | in Chebyshev polynomials :math:`T_k(M)` |
|---|---|---|
| `Teleport` | :math:`\alpha (1 - \alpha)^k` | :math:`(2 - [k = 0])\, \alpha \rho^k / \sqrt{1 - (1 - \alpha)^2}` |
| `Heat` | :math:`e^{-t} t^k / k!` | :math:`(2 - [k = 0])\, e^{-t} I_k(t)`, modified Bessel functions |
| `Markov` | :math:`(1 - \alpha) / K` for k = 1..K, :math:`\alpha` for k = 0 | a change of basis |

Those in the Chebyshev basis are not negative and sum to one too, and fall off much sooner.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import gammaln, ive
from torch import Tensor

__all__ = ["Heat", "Kernel", "Markov", "Teleport"]

PRECISION = 2.5e-6
"""What an expansion may leave out of an entry; rounding in float32 is of the same size."""


class Kernel(ABC):
    """The coefficients of a diffusion, in two bases; frozen dataclasses, so that they can be compared."""

    @abstractmethod
    def powers(self) -> Iterator[float]:
        """Coefficients of the powers of M."""

    @abstractmethod
    def chebyshev(self) -> Iterator[float]:
        """Coefficients of the Chebyshev polynomials of M."""

    @abstractmethod
    def reference(self, matrix: Tensor) -> Tensor:
        """The diffusion of a dense M, in closed form or by its definition."""

    def coefficients(self, symmetric: bool, rest: float = PRECISION) -> list[float]:
        """As many as leave ``rest`` of their sum, which is 1."""
        found: list[float] = []
        left = 1.0
        for value in self.chebyshev() if symmetric else self.powers():
            found.append(value)
            left -= value
            if left <= rest:
                break
        return found


@dataclass(frozen=True)
class Teleport(Kernel):
    """Personalised PageRank, which goes back to its start with probability ``teleport``, in (0, 1], at each step."""

    teleport: float

    def powers(self) -> Iterator[float]:
        """A geometric series."""
        value = self.teleport
        while True:
            yield value
            value *= 1 - self.teleport

    def chebyshev(self) -> Iterator[float]:
        r"""The same, of ratio :math:`(1 - \sqrt{1 - \beta^2}) / \beta` with :math:`\beta = 1 - \alpha`."""
        beta = 1 - self.teleport
        root = math.sqrt(self.teleport * (1 + beta))
        value, ratio = self.teleport / root, beta / (1 + root)
        yield value
        value *= 2
        while True:
            value *= ratio
            yield value

    def reference(self, matrix: Tensor) -> Tensor:
        """The dense inverse."""
        eye = torch.eye(matrix.size(0), dtype=matrix.dtype)
        return self.teleport * torch.linalg.inv(eye - (1 - self.teleport) * matrix)


@dataclass(frozen=True)
class Heat(Kernel):
    """The heat kernel at ``time``, more than 0."""

    time: float

    def powers(self) -> Iterator[float]:
        """Poisson probabilities."""
        k = 0
        while True:
            yield float(math.exp(k * math.log(self.time) - self.time - gammaln(k + 1)))
            k += 1

    def chebyshev(self) -> Iterator[float]:
        """Modified Bessel functions of the first kind."""
        yield float(ive(0, self.time))
        k = 1
        while True:
            yield float(2 * ive(k, self.time))
            k += 1

    def reference(self, matrix: Tensor) -> Tensor:
        """The matrix exponential."""
        return torch.linalg.matrix_exp(self.time * (matrix - torch.eye(matrix.size(0), dtype=matrix.dtype)))


@dataclass(frozen=True)
class Markov(Kernel):
    """The mean of the first ``order`` powers, mixed with the start by ``teleport``, in [0, 1]."""

    order: int
    teleport: float

    def powers(self) -> Iterator[float]:
        """All alike, but for the start."""
        yield self.teleport
        yield from [(1 - self.teleport) / self.order] * self.order

    def chebyshev(self) -> Iterator[float]:
        """The same polynomial: a change of basis, in which nothing cancels."""
        yield from (float(value) for value in np.polynomial.chebyshev.poly2cheb(list(self.powers())))

    def reference(self, matrix: Tensor) -> Tensor:
        """Power by power."""
        power = torch.eye(matrix.size(0), dtype=matrix.dtype)
        total = self.teleport * power
        for _ in range(self.order):
            power = matrix @ power
            total = total + (1 - self.teleport) / self.order * power
        return total
