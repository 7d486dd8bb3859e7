"""What an objective is: a loss between two sets of embeddings, called the same way whatever is contrasted."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from graphcl.config import Config

__all__ = ["Objective"]


class Objective(Config, ABC):
    """A loss to be minimised.

    ``positives`` and ``negatives`` say what is contrasted with what, so that node–node, node–graph and graph–graph
    losses share one call and no mode string:

    * ``positives``: ``None`` pairs row i of ``a`` with row i of ``b``; ``int64 [n]`` pairs row i of ``a`` with row
      ``positives[i]`` of ``b``; ``int64 [2, P]`` are pairs of a row of ``a`` and a row of ``b``.
    * ``negatives``: ``None`` takes what the loss prescribes (all other rows, for InfoNCE); ``[m, D]`` are given rows
      that play the part of ``a`` in negative pairs (DGI); ``int64 [2, P]`` are pairs of a row of ``a`` and a row of
      ``b``.

    An objective says in its docstring which of these it takes and refuses the others.
    """

    @abstractmethod
    def __call__(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> Tensor:
        """The loss, a scalar."""

    @abstractmethod
    def reference(
        self, a: Tensor, b: Tensor, positives: Tensor | None = None, negatives: Tensor | None = None
    ) -> float:
        """The same loss by plain loops: slow, obviously right, and what the contract compares with."""

    def sample(self, generator: torch.Generator, n: int = 7, d: int = 4) -> dict[str, Tensor]:
        """Random arguments that the loss can be called with, in float64; the contract checks on them."""
        return {
            name: torch.randn(n, d, generator=generator, dtype=torch.float64, device=generator.device)
            for name in ("a", "b")
        }
