"""Controls: what a table must beat before training is worth anything. None of them learns."""

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.nn import global_add_pool

from graphcl.augment.low_rank import low_rank_factors
from graphcl.config import Positive, Size
from graphcl.encoders.gcn import GCN
from graphcl.encoders.gin import GIN
from graphcl.graph import GraphShape, normalised_adjacency
from graphcl.methods.recipe import FeatureScale, Method, Recipe
from graphcl.methods.two_view import encode
from graphcl.ops.propagate import adjacency_operator, adjacency_rows, multiply
from graphcl.plan import Plan
from graphcl.spectral.filters import PPRFilter

__all__ = [
    "Adjacency",
    "Majority",
    "Ppr",
    "Propagated",
    "PropagatedHigh",
    "RandomGin",
    "RandomInit",
    "Raw",
    "Sharpened",
    "Structure",
]

Block: TypeAlias = Literal["x", "ax", "aax", "lx"]


def _pooled(h: Tensor, batch: Data) -> Tensor:
    return global_add_pool(h, batch.batch) if isinstance(batch, Batch) else h


@dataclass(frozen=True, kw_only=True)
class Raw(Recipe):
    """The node features themselves; at graph level their sum over the nodes.

    Example:
        >>> Raw().plan.epochs
        0
    """

    levels: ClassVar[tuple[str, ...]] = ("node", "graph")
    control: ClassVar[bool] = True

    plan: Plan = Plan(epochs=0)

    def assemble(self, shape: GraphShape) -> Method:
        """Nothing to initialise."""
        return _RawMethod()


class _RawMethod(Method):
    def embed(self, batch: Data) -> Tensor:
        return _pooled(batch.x, batch)


@dataclass(frozen=True, kw_only=True)
class Propagated(Recipe):
    r"""Raw and smoothed features side by side, each block scaled to unit rows.

    .. math:: H = [X \,\Vert\, \hat A X \,\Vert\, \hat A^2 X], \qquad \hat A = D^{-1/2}(A + I)D^{-1/2}

    Args:
        blocks: what is put side by side: ``x``, ``ax`` (:math:`\hat A X`), ``aax`` (:math:`\hat A^2 X`), ``lx``
            (:math:`X - D^{-1/2} A D^{-1/2} X`).

    Example:
        >>> Propagated().blocks
        ('x', 'ax', 'aax')
    """

    levels: ClassVar[tuple[str, ...]] = ("node", "graph")
    control: ClassVar[bool] = True

    blocks: tuple[Block, ...] = ("x", "ax", "aax")
    plan: Plan = Plan(epochs=0)

    def assemble(self, shape: GraphShape) -> Method:
        """Nothing to initialise."""
        return _PropagatedMethod(self.blocks)


@dataclass(frozen=True, kw_only=True)
class PropagatedHigh(Propagated):
    r"""Raw, smoothed and sharpened features side by side: the control for heterophilic graphs.

    .. math:: H = [X \,\Vert\, \hat A X \,\Vert\, L X], \qquad L = I - D^{-1/2} A D^{-1/2}

    Example:
        >>> PropagatedHigh().blocks
        ('x', 'ax', 'lx')
    """

    blocks: tuple[Block, ...] = ("x", "ax", "lx")


class _PropagatedMethod(Method):
    def __init__(self, blocks: tuple[Block, ...]) -> None:
        super().__init__()
        self.blocks = blocks

    def embed(self, batch: Data) -> Tensor:
        x = batch.x
        made = {"x": x}
        if {"ax", "aax"} & set(self.blocks):
            smooth = normalised_adjacency(batch)
            made["ax"] = smooth @ x
            if "aax" in self.blocks:
                made["aax"] = smooth @ made["ax"]
        if "lx" in self.blocks:
            made["lx"] = x - normalised_adjacency(batch, self_loops=False) @ x
        return torch.cat([F.normalize(_pooled(made[block], batch), dim=1) for block in self.blocks], 1)


@dataclass(frozen=True, kw_only=True)
class RandomInit(Recipe):
    """A GCN with random weights, never trained: what the architecture alone gives.

    Args:
        dim: width of every layer.
        layers: graph convolutions.

    Example:
        >>> RandomInit(dim=64).dim
        64
    """

    levels: ClassVar[tuple[str, ...]] = ("node", "graph")
    control: ClassVar[bool] = True

    dim: Size = 512
    layers: Size = 2
    plan: Plan = Plan(epochs=0)

    def assemble(self, shape: GraphShape) -> Method:
        """A GCN with ReLU."""
        return _RandomInitMethod(GCN(shape.num_features, [self.dim] * self.layers, "relu", act_last=True))


class _RandomInitMethod(Method):
    def __init__(self, encoder: GCN | GIN) -> None:
        super().__init__()
        self.encoder = encoder

    @property
    def takes_sparse_features(self) -> bool:
        return getattr(self.encoder, "supports_sparse_features", False)

    def embed(self, batch: Data) -> Tensor:
        return _pooled(encode(self.encoder, batch), batch)


@dataclass(frozen=True, kw_only=True)
class RandomGin(Recipe):
    """A GIN with random weights, never trained: what the encoder of the graph-level methods gives by itself.

    The statistics of its batch normalisation are those it starts with, so that it normalises nothing.

    Args:
        dim: width of every layer.
        layers: depth; the sums over the nodes of all of them stand side by side.

    Example:
        >>> RandomGin().levels
        ('graph',)
    """

    levels: ClassVar[tuple[str, ...]] = ("graph",)
    control: ClassVar[bool] = True

    dim: Size = 32
    layers: Size = 5
    plan: Plan = Plan(epochs=0)

    def assemble(self, shape: GraphShape) -> Method:
        """A GIN with ReLU."""
        return _RandomInitMethod(GIN(shape.num_features, [self.dim] * self.layers))


@dataclass(frozen=True, kw_only=True)
class Majority(Recipe):
    """Always the most frequent class among the labels that selection sees: what accuracy is worth nothing.

    Example:
        >>> Majority.probe
        'majority'
    """

    levels: ClassVar[tuple[str, ...]] = ("node", "graph")
    control: ClassVar[bool] = True
    probe: ClassVar[str] = "majority"

    plan: Plan = Plan(epochs=0)

    def assemble(self, shape: GraphShape) -> Method:
        """Nothing to initialise."""
        return _MajorityMethod()


class _MajorityMethod(Method):
    def embed(self, batch: Data) -> Tensor:
        return _pooled(batch.x[:, :1] * 0, batch)


@dataclass(frozen=True, kw_only=True)
class Sharpened(Propagated):
    r"""Raw and sharpened features side by side.

    .. math:: H = [X \,\Vert\, L X], \qquad L = I - D^{-1/2} A D^{-1/2}

    Example:
        >>> Sharpened().blocks
        ('x', 'lx')
    """

    standing: ClassVar[bool] = False

    blocks: tuple[Block, ...] = ("x", "lx")


@dataclass(frozen=True, kw_only=True)
class Ppr(Recipe):
    r"""Features diffused by personalised PageRank: a smoothing that never forgets the node itself.

    .. math:: H = \alpha \big(I - (1 - \alpha) \hat A\big)^{-1} X

    Args:
        teleport: α in (0, 1].

    Example:
        >>> Ppr().teleport
        0.1
    """

    control: ClassVar[bool] = True
    standing: ClassVar[bool] = False

    teleport: Positive = 0.1
    features: FeatureScale = "row"
    plan: Plan = Plan(epochs=0)

    def assemble(self, shape: GraphShape) -> Method:
        """A filter without parameters."""
        return _PprMethod(PPRFilter(self.teleport))


class _PprMethod(Method):
    def __init__(self, filter: PPRFilter) -> None:
        super().__init__()
        self.filter = filter

    def embed(self, batch: Data) -> Tensor:
        return self.filter(batch.x, batch.edge_index, batch.get("edge_weight"))


@dataclass(frozen=True, kw_only=True)
class Structure(Recipe):
    r"""Smoothed features and the strongest directions of the graph itself, each block scaled to unit rows.

    .. math:: H = [S X \,\Vert\, U \Sigma], \qquad S = D^{-1/2} A D^{-1/2} \approx U \Sigma V^\top

    Args:
        rank: number of directions, at most one less than the nodes.

    Example:
        >>> Structure().rank
        512
    """

    control: ClassVar[bool] = True
    standing: ClassVar[bool] = False

    rank: Size = 512
    plan: Plan = Plan(epochs=0)

    def assemble(self, shape: GraphShape) -> Method:
        """Nothing to initialise."""
        return _StructureMethod(self.rank)


class _StructureMethod(Method):
    def __init__(self, rank: int) -> None:
        super().__init__()
        self.rank = rank

    def embed(self, batch: Data) -> Tensor:
        n, weight = int(batch.num_nodes or 0), batch.get("edge_weight")
        generator = torch.Generator().manual_seed(0)
        rank = min(self.rank, n - 1)
        left, singular, _ = low_rank_factors(batch.edge_index, n, rank, weight, generator=generator)
        pattern, values = adjacency_operator(batch.edge_index, n, weight, batch.x.dtype)
        smooth = multiply(pattern, values.to(batch.x.dtype), batch.x)
        return torch.cat([F.normalize(smooth, dim=1), F.normalize((left * singular).to(smooth.dtype), dim=1)], 1)


@dataclass(frozen=True, kw_only=True)
class Adjacency(Recipe):
    r"""The rows of the normalised adjacency: who a node's neighbours are, and nothing of their features.

    .. math:: H = D^{-1/2} A D^{-1/2}

    Raises:
        RequestError: more than 8192 nodes, whose rows no linear probe of this package is made for.

    Example:
        >>> Adjacency().plan.epochs
        0
    """

    control: ClassVar[bool] = True
    standing: ClassVar[bool] = False

    plan: Plan = Plan(epochs=0)

    def assemble(self, shape: GraphShape) -> Method:
        """Nothing to initialise."""
        return _AdjacencyMethod()


class _AdjacencyMethod(Method):
    def embed(self, batch: Data) -> Tensor:
        n = int(batch.num_nodes or 0)
        rows = adjacency_rows(batch.edge_index, n, batch.get("edge_weight"), batch.x.dtype)
        # with the features times nothing, so that the rows hang on them as every embedding does
        return rows + 0 * batch.x[:, :1]
