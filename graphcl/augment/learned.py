r"""Learned augmenters: recipes that build a module with weights, called like any other augmenter.

An `Augmenter` is its hyper-parameters. A `LearnedAugmenter` is the hyper-parameters of a `LearnedView`, an
``nn.Module`` that turns a graph into a view of it through what it has learnt:

| recipe | what its view changes | learnt by | default |
|---|---|---|---|
| `LearnedEdgeDropout` | soft edge weights from an encoder of its own (AD-GCL) | gradient | oppose |
| `LearnedEdgeNoise` | soft edge weights from the features alone (PiNGDA) | gradient | cooperate |
| `LearnedFeatureNoise` | normal noise on the features (PiNGDA) | gradient | cooperate |
| `AugmentationPolicy` | one of several fixed augmenters (JOAO) | a step of its own | oppose |
| `LearnedChain` | what its steps change, fixed and learned | as they are | as they are |

**One switch.** With augmenter parameters :math:`\phi`, encoder parameters :math:`\theta` and the loss :math:`L`,

.. math::
    \text{cooperate: } \min_{\theta, \phi} L(\theta, \phi) + R(\phi), \qquad
    \text{oppose: } \min_\theta \max_\phi L(\theta, \phi) - R(\phi)

Either is descended by one optimiser that holds all parameters: an opposing view turns the gradient around where it
leaves the augmenter (`reverse_gradient`), so :math:`\phi` climbs :math:`L` in the step in which :math:`\theta`
descends it. The price R (`LearnedView.penalised`) is never turned. AD-GCL's alternation is the same with two
optimisers: build with ``oppose``, add the price, and step the one, then (on new views) the other.

**What the gradient reaches.** The parameters of the augmenter, through the weights and features of the view; and
whatever made ``x`` and ``edge_weight``, through the view itself. It does not go through the augmenter's networks back
into its input: the graph is what an augmenter reads. So an opposing augmenter turns nobody's gradient but its own, and
views of views keep the direction of each.

**Training and evaluation.** A view draws while it trains. After ``eval()`` the noise of `LearnedEdgeDropout`,
`LearnedEdgeNoise` and `LearnedFeatureNoise` is replaced by what it is in the middle: the probability of an edge to be
kept, the mean of the noise.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphcl.augment.augmenter import Augmentation, Augmenter, check_input
from graphcl.errors import DataError, RequestError
from graphcl.graph import GraphShape
from graphcl.seeding import Stream

__all__ = ["Direction", "LearnedAugmenter", "LearnedChain", "LearnedView", "reverse_gradient"]

Direction: TypeAlias = Literal["cooperate", "oppose"]
"""Whether an augmenter descends the loss together with the encoder, or climbs it."""


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        return -upstream


def reverse_gradient(values: Tensor) -> Tensor:
    r"""The same values, with the gradient turned around.

    .. math:: y = x, \qquad \frac{\partial L}{\partial x} := -\frac{\partial L}{\partial y}

    Args:
        values: any tensor.

    Reference:
        Ganin & Lempitsky, Unsupervised domain adaptation by backpropagation, ICML 2015: the gradient
        reversal layer.

    Example:
        >>> x = torch.tensor(3.0, requires_grad=True)
        >>> torch.autograd.grad(2 * reverse_gradient(x), x)
        (tensor(-2.),)
    """
    return _Reversal.apply(values)


class LearnedAugmenter(Augmentation, ABC):
    """The recipe of a view with weights: hyper-parameters, and `build`.

    Subclasses are frozen dataclasses with a field ``direction``, constructible without arguments, and write
    `assemble`. What is asked of a graph and what holds for its view is said as in `Augmenter`, and can be read off the
    view as well.
    """

    needs: ClassVar[tuple[str, ...]] = ("x", "edge_index")
    """What the graph must have."""
    keeps_symmetry: ClassVar[bool] = True
    """Whether the view of an undirected graph is undirected."""
    keeps_nodes: ClassVar[bool] = True
    """Whether the view has the nodes of the graph, in their order."""
    takes_sparse_features: ClassVar[bool] = False
    """Whether ``x`` may be a CSR tensor."""
    takes_categories: ClassVar[bool] = False
    """Whether ``x`` is of whole numbers."""
    takes_directed: ClassVar[bool] = True
    """Whether the graph may be directed."""
    takes_hetero: ClassVar[bool] = False
    """Whether it takes a ``HeteroData``."""
    differentiable: ClassVar[tuple[str, ...]] = ("x", "edge_weight")
    """Of which attributes gradients pass from the view to the graph."""

    direction: Direction | None
    """``cooperate``: descend the loss; ``oppose``: climb it; ``None``: what its parts say."""

    def __call__(self, *_: Any) -> Any:
        """Refuse: a recipe has no weights, its view has.

        Raises:
            RequestError: always, naming the way.
        """
        name = type(self).__name__
        raise RequestError(f"{name} has weights, which are built first: view = {name}().build(GraphShape.of(data))")

    def build(self, shape: GraphShape, generator: torch.Generator | None = None) -> "LearnedView":
        """The view with freshly initialised parameters.

        Args:
            shape: the sizes of the data, `GraphShape.of`.
            generator: seeds the initialisers; the global random state is left alone. ``None`` takes the seed from
                torch's default generator.

        Returns:
            A module, called as ``view(data, generator)``; train its parameters together with the encoder's.
        """
        with Stream(generator):
            return self.assemble(shape)

    @abstractmethod
    def assemble(self, shape: GraphShape) -> "LearnedView":
        """Put the module together; called with the global random state lent by `build`."""


class LearnedView(nn.Module):
    """A random view of a graph by a module with weights; the same call as an `Augmenter`.

    The input is never changed, nothing is remembered between calls, and the only source of randomness is the
    generator. Subclasses write `draw`.

    Args:
        recipe: the hyper-parameters.
        num_features: F of the graphs it is for.
    """

    def __init__(self, recipe: LearnedAugmenter, num_features: int) -> None:
        super().__init__()
        self.recipe = recipe
        self.num_features = num_features

    @property
    def needs(self) -> tuple[str, ...]:
        """What the graph must have."""
        return self.recipe.needs

    @property
    def keeps_symmetry(self) -> bool:
        """Whether the view of an undirected graph is undirected."""
        return self.recipe.keeps_symmetry

    @property
    def keeps_nodes(self) -> bool:
        """Whether the view has the nodes of the graph, in their order."""
        return self.recipe.keeps_nodes

    @property
    def takes_sparse_features(self) -> bool:
        """Whether ``x`` may be a CSR tensor."""
        return self.recipe.takes_sparse_features

    @property
    def takes_categories(self) -> bool:
        """Whether ``x`` is of whole numbers."""
        return self.recipe.takes_categories

    @property
    def takes_directed(self) -> bool:
        """Whether the graph may be directed."""
        return self.recipe.takes_directed

    @property
    def takes_hetero(self) -> bool:
        """Whether it takes a ``HeteroData``."""
        return self.recipe.takes_hetero

    @property
    def differentiable(self) -> tuple[str, ...]:
        """Of which attributes gradients pass from the view to the graph."""
        return self.recipe.differentiable

    def at(self, progress: float) -> "LearnedView":
        """Itself: what is learnt follows no schedule."""
        return self

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """A view of ``data``.

        Args:
            data: a graph or a batch of graphs.
            generator: the source of randomness; torch's default generator where ``None``.

        Raises:
            DataError: ``data`` is no graph this view takes; the message names the recipe, the field and the cure.
        """
        return self.penalised(data, generator)[0]

    def penalised(self, data: Data, generator: torch.Generator | None = None) -> tuple[Data, Tensor]:
        """A view of ``data`` and its price, both from one pass.

        Args:
            data: a graph or a batch of graphs.
            generator: the source of randomness; torch's default generator where ``None``.

        Returns:
            The view that `forward` gives with the same generator, and a scalar to add to the loss (0 where nothing is
            charged). The gradient of the price is never reversed.

        Raises:
            DataError: as `forward`.
        """
        check_input(self.recipe, data)
        if "x" in self.recipe.needs:
            self._check_features(data.x)
        return self.draw(copy.copy(data), generator)

    @abstractmethod
    def draw(self, data: Data, generator: torch.Generator | None) -> tuple[Data, Tensor]:
        """Replace tensors of ``data``, which is already a shallow copy; return it, and the price."""

    def _check_features(self, x: Tensor) -> None:
        name = type(self.recipe).__name__
        if not x.is_floating_point():
            raise DataError(f"{name}: data.x is {x.dtype}; make it float, one column per category where it holds codes")
        if x.size(1) != self.num_features:
            raise DataError(
                f"{name}: data.x has {x.size(1)} features, the view was built for {self.num_features}; "
                "build one with GraphShape.of(data)"
            )

    def read(self, values: Tensor) -> Tensor:
        """Values as the networks read them: in the type of the parameters, no way back for a gradient."""
        return values.detach().to(next(self.parameters()).dtype)

    def turned(self, values: Tensor) -> Tensor:
        """What leaves the augmenter towards the loss, in the direction of the recipe."""
        return reverse_gradient(values) if self.recipe.direction == "oppose" else values

    def extra_repr(self) -> str:
        """The recipe."""
        return repr(self.recipe)


class ComposedAugmenter(LearnedAugmenter):
    """What holds for all parts holds for the whole; the parts check their input themselves."""

    needs = ()

    @abstractmethod
    def parts(self) -> Sequence[Augmenter | LearnedAugmenter]:
        """What it is made of."""

    def _all(self, trait: str) -> bool:
        return all(getattr(part, trait) for part in self.parts())

    @property
    def keeps_symmetry(self) -> bool:  # type: ignore[override]
        """Whether all parts do."""
        return self._all("keeps_symmetry")

    @property
    def keeps_nodes(self) -> bool:  # type: ignore[override]
        """Whether all parts do."""
        return self._all("keeps_nodes")

    @property
    def takes_sparse_features(self) -> bool:  # type: ignore[override]
        """Whether all parts do."""
        return self._all("takes_sparse_features")

    @property
    def takes_categories(self) -> bool:  # type: ignore[override]
        """Whether some part does."""
        return any(part.takes_categories for part in self.parts())

    @property
    def takes_directed(self) -> bool:  # type: ignore[override]
        """Whether all parts do."""
        return self._all("takes_directed")

    @property
    def takes_hetero(self) -> bool:  # type: ignore[override]
        """Whether all parts do."""
        return self._all("takes_hetero")

    @property
    def differentiable(self) -> tuple[str, ...]:  # type: ignore[override]
        """What they have in common."""
        passed = LearnedAugmenter.differentiable
        return tuple(name for name in passed if all(name in part.differentiable for part in self.parts()))


@dataclass(frozen=True)
class LearnedChain(ComposedAugmenter):
    r"""Apply augmenters one after another, fixed and learned ones.

    .. math:: t(G) = t_n(\dots t_2(t_1(G))), \qquad R = R_1 + \dots + R_n

    Args:
        steps: the augmenters, first to last; none leaves the graph as it is.
        direction: of all learned steps; ``None`` leaves each its own.

    Raises:
        RequestError: a step is no augmenter.

    Reference:
        The second view of PiNGDA (Huang et al., ICML 2025): `LearnedFeatureNoise`, then `LearnedEdgeNoise`.

    Example:
        >>> from graphcl.augment.features import FeatureMask
        >>> from graphcl.augment.edge_dropper import LearnedEdgeDropout
        >>> view = LearnedChain((FeatureMask(0.3), LearnedEdgeDropout())).build(GraphShape(4))
        >>> view(Data(x=torch.ones(2, 4), edge_index=torch.tensor([[0, 1], [1, 0]]))).edge_weight.shape
        torch.Size([2])
    """

    steps: tuple[Augmentation, ...] = ()
    direction: Direction | None = None

    def __post_init__(self) -> None:
        if isinstance(self.steps, Sequence) and not isinstance(self.steps, str):
            object.__setattr__(self, "steps", tuple(self.steps))
        super().__post_init__()
        for step in self.steps:
            if not isinstance(step, (Augmenter, LearnedAugmenter)):
                raise RequestError(f"LearnedChain.steps: {step!r} can neither be called nor built; give an augmenter")

    def parts(self) -> Sequence[Augmenter | LearnedAugmenter]:
        """The steps."""
        return cast(Sequence[Augmenter | LearnedAugmenter], self.steps)

    def assemble(self, shape: GraphShape) -> "LearnedView":
        """The views of the learned steps."""
        return _ChainView(self, shape)


class _ChainView(LearnedView):
    recipe: LearnedChain

    def __init__(self, recipe: LearnedChain, shape: GraphShape) -> None:
        super().__init__(recipe, shape.num_features)
        self.views = nn.ModuleList()
        for step in recipe.steps:
            if isinstance(step, LearnedAugmenter):
                own = step if recipe.direction is None else step.replace(direction=recipe.direction)
                self.views.append(own.assemble(shape))

    def at(self, progress: float) -> "_ChainView":
        chain = copy.copy(self)
        steps = (step.at(progress) if isinstance(step, Augmenter) else step for step in self.recipe.steps)
        chain.recipe = self.recipe.replace(steps=tuple(steps))
        chain._modules = {"views": nn.ModuleList(cast(LearnedView, view).at(progress) for view in self.views)}
        return chain

    def draw(self, data: Any, generator: torch.Generator | None) -> tuple[Any, Tensor]:
        price = torch.zeros((), device=_device_of(data))
        views = iter(self.views)
        for step in self.recipe.steps:
            if isinstance(step, Augmenter):
                data = step(data, generator)
            else:
                data, charged = cast(LearnedView, next(views)).penalised(data, generator)
                price = price + charged
        return data, price


def _device_of(data: Any) -> torch.device:
    tensors = (value for store in data.stores for value in store.values() if isinstance(value, Tensor))
    return next(tensors, torch.empty(0)).device
