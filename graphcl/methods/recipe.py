"""What a method is, and the recipe that builds one.

A `Recipe` is a paper as data: its hyper-parameters, citation, training plan and settings per data set. It
builds a `Method`, the modules and the loss, which knows no optimiser, device, file or metric.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, Self, TypeAlias

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphcl.catalogue import entries
from graphcl.config import Config, updated
from graphcl.data.interaction_spec import InteractionSpec
from graphcl.data.spec import DatasetSpec
from graphcl.errors import RequestError
from graphcl.graph import GraphShape, is_symmetric, row_normalised, standardised, symmetrised
from graphcl.plan import Plan
from graphcl.seeding import Stream

__all__ = ["FeatureScale", "Method", "Paper", "Recipe", "preset_for"]

FeatureScale: TypeAlias = Literal["raw", "row", "standard", "ones"]


@dataclass(frozen=True)
class Paper:
    """Where a method comes from.

    Args:
        key: citation key ``authorYEARword``.
        title: as printed.
        venue: journal or conference and year.
        link: a stable address.
    """

    key: str
    title: str
    venue: str
    link: str


class Method(nn.Module):
    """Modules and loss of one method."""

    parts: tuple[str, ...] = ("model",)
    """Parts stepped in turn, each with an optimiser of its own; with several, each is the submodule of that name."""

    @property
    def takes_sparse_features(self) -> bool:
        """Whether ``x`` may be a CSR tensor: training then converts features that are mostly zeros, once."""
        return False

    def parameters_of(self, part: str) -> Iterator[nn.Parameter]:
        """The parameters that the step of ``part`` moves."""
        return self.parameters() if self.parts == ("model",) else self.get_submodule(part).parameters()

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        """The terms whose sum is minimised over ``part``.

        Args:
            batch: a graph or a batch of graphs.
            generator: the source of all randomness of the views.
            part: which of `parts` is stepped.
        """
        raise RequestError(f"{type(self).__name__.strip('_')} has nothing to train; leave plan.epochs at 0")

    @abstractmethod
    def embed(self, batch: Data) -> Tensor:
        """Embeddings ``[N, D]`` of the nodes (``[B, D]`` of the graphs); deterministic in eval mode, differentiable."""

    def after_step(self, progress: float) -> None:
        """Called after each update with the share of the training done, in (0, 1] (moving averages, schedules)."""

    def after_epoch(self) -> None:
        """Called when all batches of an epoch have been seen."""


class _WithPresets(Protocol):
    presets: ClassVar[Mapping[str, Mapping[str, Any]]]


def preset_for(part: type[_WithPresets], dataset: str) -> str:
    """Whose settings a recipe (or a probe) takes on a data set: its own, or those of the data set that it was made of.

    Example:
        >>> from graphcl.methods import Grace
        >>> preset_for(Grace, "cora-metattack-10"), preset_for(Grace, "texas")
        ('cora', 'texas')
    """
    spec = entries("datasets").get(dataset)
    return spec.kin if spec is not None and spec.kin and dataset not in part.presets else dataset


@dataclass(frozen=True, kw_only=True)
class Recipe(Config, ABC):
    """Hyper-parameters of one paper.

    Args:
        features: what is done to the features first: nothing (``raw``), each row divided by its absolute sum (``row``:
            for features that are not negative that of PyG's ``NormalizeFeatures``, which divides by the plain sum),
            each column brought to mean 0 and deviation 1 over the nodes (``standard``), or a single 1 for each node in
            their place (``ones``: the structure alone is seen).
        plan: epochs and rates.
    """

    paper: ClassVar[Paper | None] = None
    """The source; ``None`` for controls."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Settings by data set, as changes to the defaults: the authors', unless the recipe's reference says otherwise."""
    levels: ClassVar[tuple[str, ...]] = ("node",)
    """What it can embed: ``node``, ``graph``."""
    control: ClassVar[bool] = False
    """Whether it is a training-free reference."""
    standing: ClassVar[bool] = True
    """Of a control: whether it belongs into every table, or only where a suite names it."""
    supervised: ClassVar[bool] = False
    """Whether it learns from the labels of the training part: a reference row, whose embedding is its class scores."""
    reads_text: ClassVar[bool] = False
    """Whether it makes features of its own of what the nodes say, and looks at no others."""
    probe: ClassVar[str] = "logistic"
    """Catalogue name of the probe that scores it."""

    features: FeatureScale = "raw"
    plan: Plan = Plan()

    @classmethod
    def kind(cls) -> Literal["method", "supervised", "control"]:
        """What its rows are in a table: a ``method``, a ``control``, or a ``supervised`` reference."""
        return "control" if cls.control else "supervised" if cls.supervised else "method"

    @classmethod
    def takes(cls, spec: DatasetSpec | InteractionSpec) -> bool:
        """Whether it can be trained on a data set."""
        return isinstance(spec, DatasetSpec) and spec.level in cls.levels and (spec.text or not cls.reads_text)

    @classmethod
    def preset(cls, dataset: str, changes: Mapping[str, Any] | None = None) -> Self:
        """The settings made for a data set (the defaults where there are none), with changes merged in."""
        return updated(updated(cls(), cls.presets.get(dataset, {})), changes or {})

    @property
    def features_follow_edges(self) -> bool:
        """Whether the features that it makes would be others on other edges."""
        return False

    def describe(self, data: Data) -> dict[str, Any]:
        """What it read beside features and edges; nothing in most recipes."""
        return {}

    def pinned(self) -> Self:
        """The same, with what lies outside of the settings (a checkpoint in a folder) noted in them by content."""
        return self

    def prepare(self, data: Data) -> Data:
        """What the paper does to a graph before training: undirected edges, scaled features. Input unchanged.

        Features and edge weights come out in torch's default dtype, which the parameters have.
        """
        out = data.__copy__()
        out.x = out.x.to(torch.get_default_dtype())
        if out.get("edge_weight") is not None:
            out.edge_weight = out.edge_weight.to(out.x.dtype)
        if not is_symmetric(out):
            out = symmetrised(out)
        if self.features == "row":
            out.x = row_normalised(out.x)
        elif self.features == "standard":
            out.x = standardised(out.x)
        elif self.features == "ones":
            out.x = out.x.new_ones(out.x.size(0), 1)
        return out

    def build(self, shape: GraphShape, generator: torch.Generator) -> Method:
        """The method with freshly initialised parameters.

        Args:
            shape: the sizes of the data.
            generator: seeds the initialisers; the global random state is left alone.

        Raises:
            RequestError: the recipe does not work at this level.
        """
        if shape.level not in self.levels:
            raise RequestError(
                f"{type(self).__name__} embeds {' and '.join(self.levels)}s, and the data is at {shape.level} level; "
                "choose another method (`graphcl ls methods` lists their levels)"
            )
        with Stream(generator):
            return self.assemble(shape)

    @abstractmethod
    def assemble(self, shape: GraphShape) -> Method:
        """Put the modules together; called with the global random state lent by `build`."""
