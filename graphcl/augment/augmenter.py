"""What an augmenter is: a frozen set of hyper-parameters that turns a graph into a random view of it."""

import copy
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from graphcl.config import Config
from graphcl.errors import DataError

__all__ = ["Augmenter", "Chain"]


class Augmenter(Config, BaseTransform):
    """A random view of a graph; works inside ``T.Compose``, a ``DataLoader`` and a ``Batch``.

    The input is never changed: subclasses receive a shallow copy and *replace* its tensors. With a ``generator`` the
    global random state is left alone; without one torch's default generator is used, so that worker seeding of a
    ``DataLoader`` works as people expect.

    Subclasses are frozen dataclasses and write `forward`.
    """

    keeps_symmetry: ClassVar[bool] = True
    """Whether the view of an undirected graph is undirected."""
    takes_sparse_features: ClassVar[bool] = False
    """Whether ``x`` may be a CSR tensor."""

    def __call__(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """A view of ``data``.

        Args:
            data: a graph or a batch of graphs.
            generator: the source of randomness.

        Raises:
            DataError: ``data`` is no `Data` (a ``HeteroData``, say), or keeps its edges as ``adj_t``, out of reach.
        """
        if not isinstance(data, Data):
            raise DataError(f"{type(self).__name__} takes a torch_geometric.data.Data, got {type(data).__name__}")
        if data.get("edge_index") is None and data.get("adj_t") is not None:
            raise DataError(f"{type(self).__name__}: the edges are in adj_t; put it before T.ToSparseTensor()")
        return self.forward(copy.copy(data), generator)

    @abstractmethod
    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """Replace tensors of ``data``, which is already a shallow copy."""


@dataclass(frozen=True)
class Chain(Augmenter):
    """Apply augmenters one after another.

    Args:
        steps: the augmenters, first to last; none leaves the graph as it is.

    Example:
        >>> from graphcl.augment import EdgeDropout, FeatureMask
        >>> Chain((EdgeDropout(0.2), FeatureMask(0.3)))
        Chain(steps=(EdgeDropout(rate=0.2), FeatureMask(rate=0.3)))
    """

    steps: tuple[Augmenter, ...] = ()

    @property
    def takes_sparse_features(self) -> bool:  # type: ignore[override]
        """Whether all steps do."""
        return all(step.takes_sparse_features for step in self.steps)

    def __post_init__(self) -> None:
        # any sequence is welcome; stored as a tuple so that the chain stays hashable
        if isinstance(self.steps, Sequence) and not isinstance(self.steps, str):
            object.__setattr__(self, "steps", tuple(self.steps))
        super().__post_init__()

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """The views of views."""
        for step in self.steps:
            data = step(data, generator)
        return data
