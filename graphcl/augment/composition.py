"""Augmenters made of augmenters: one after another, one of several, now and then, and with rates that move.

All are augmenters themselves and nest freely. What is scheduled is fixed by `Augmenter.at`: a training loop asks for
the augmenter of its progress and calls that, so that nothing here has a state.
"""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal

import annotated_types
import torch
from torch_geometric.data import Data

from graphcl.augment.augmenter import Augmenter
from graphcl.config import Config, Rate
from graphcl.errors import RequestError, UnknownNameError
from graphcl.seeding import draw_uniform

__all__ = ["Chain", "OneOf", "Ramp", "Scheduled", "Sometimes"]


class _Composition(Augmenter):
    """What holds for all parts holds for the whole; the parts check their input themselves."""

    needs = ()

    @abstractmethod
    def parts(self) -> tuple[Augmenter, ...]:
        """Said by the subclass."""

    @property
    def keeps_symmetry(self) -> bool:  # type: ignore[override]
        """Whether all parts do."""
        return all(part.keeps_symmetry for part in self.parts())

    @property
    def keeps_nodes(self) -> bool:  # type: ignore[override]
        """Whether all parts do."""
        return all(part.keeps_nodes for part in self.parts())

    @property
    def takes_sparse_features(self) -> bool:  # type: ignore[override]
        """Whether all parts do."""
        return all(part.takes_sparse_features for part in self.parts())

    @property
    def takes_categories(self) -> bool:  # type: ignore[override]
        """Whether some part asks for whole numbers."""
        return any(part.takes_categories for part in self.parts())

    @property
    def takes_directed(self) -> bool:  # type: ignore[override]
        """Whether all parts do."""
        return all(part.takes_directed for part in self.parts())

    @property
    def differentiable(self) -> tuple[str, ...]:  # type: ignore[override]
        """Of which attributes gradients pass through all parts."""
        parts = self.parts()
        return tuple(name for name in Augmenter.differentiable if all(name in part.differentiable for part in parts))

    @property
    def takes_hetero(self) -> bool:  # type: ignore[override]
        """Whether all parts do."""
        return all(part.takes_hetero for part in self.parts())


def _as_tuple(config: Config, name: str) -> None:
    # any sequence is welcome; stored as a tuple so that the config stays hashable
    value = getattr(config, name)
    if isinstance(value, Sequence) and not isinstance(value, str):
        object.__setattr__(config, name, tuple(value))


@dataclass(frozen=True)
class Chain(_Composition):
    r"""Apply augmenters one after another.

    .. math:: t(G) = t_n(\dots t_2(t_1(G)))

    Args:
        steps: the augmenters, first to last; none leaves the graph as it is.

    Raises:
        RequestError: a step is no augmenter.

    Reference:
        The composed views of Zhu et al., GRACE, 2020, section 3.2.

    Example:
        >>> from graphcl.augment import EdgeDropout, FeatureMask
        >>> Chain((EdgeDropout(0.2), FeatureMask(0.3)))
        Chain(steps=(EdgeDropout(rate=0.2), FeatureMask(rate=0.3)))
    """

    steps: tuple[Augmenter, ...] = ()

    def __post_init__(self) -> None:
        _as_tuple(self, "steps")
        super().__post_init__()

    def parts(self) -> tuple[Augmenter, ...]:
        """The steps."""
        return self.steps

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """The views of views."""
        for step in self.steps:
            data = step(data, generator)
        return data

    def at(self, progress: float) -> "Chain":
        """The chain of what the steps are then."""
        return self.replace(steps=tuple(step.at(progress) for step in self.steps))


@dataclass(frozen=True)
class OneOf(_Composition):
    r"""Apply one of several augmenters, drawn anew at each call.

    .. math:: t(G) = t_i(G), \qquad i \sim \mathrm{Categorical}(p)

    Args:
        choices: the augmenters; none leaves the graph as it is.
        weights: how often each is drawn, relative to their sum; ``None`` draws all equally often.

    Raises:
        RequestError: another number of weights than of choices, negative weights, or none that is positive.

    Reference:
        You et al., Graph contrastive learning with augmentations (GraphCL), NeurIPS 2020, "random4" of the released
        code: a uniform draw among its augmentations. `AugmentationPolicy` learns the weights (JOAO).

    Example:
        >>> from graphcl.augment import EdgeDropout, NodeDropout
        >>> OneOf((EdgeDropout(0.2), NodeDropout(0.2)), weights=(0.0, 1.0)).keeps_nodes
        False
    """

    choices: tuple[Augmenter, ...] = ()
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        _as_tuple(self, "choices")
        _as_tuple(self, "weights")
        super().__post_init__()
        if self.weights is None:
            return
        if len(self.weights) != len(self.choices):
            raise RequestError(
                f"OneOf.weights: {len(self.weights)} weights for {len(self.choices)} choices; give one to each"
            )
        if min(self.weights, default=0.0) < 0 or sum(self.weights) <= 0:
            raise RequestError(f"OneOf.weights = {self.weights}: should be 0 or more, and some more than 0")

    def parts(self) -> tuple[Augmenter, ...]:
        """The choices."""
        return self.choices

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """The view of the augmenter that was drawn."""
        if not self.choices:
            return data
        weights = torch.tensor(self.weights or [1.0] * len(self.choices), dtype=torch.float64)
        drawn = draw_uniform(1, generator=generator, device=weights.device, dtype=torch.float64) * weights.sum()
        # the last index whose share begins at or before the draw; choices of weight 0 have no share
        chosen = int(torch.searchsorted(weights.cumsum(0), drawn, right=True).clamp(max=len(self.choices) - 1))
        return self.choices[chosen](data, generator)

    def at(self, progress: float) -> "OneOf":
        """The choice among what the augmenters are then."""
        return self.replace(choices=tuple(choice.at(progress) for choice in self.choices))


@dataclass(frozen=True)
class Sometimes(_Composition):
    r"""Apply an augmenter with some probability, else leave the graph as it is.

    .. math:: t(G) = \begin{cases} t'(G) & \text{with probability } rate \\ G & \text{otherwise} \end{cases}

    Args:
        augmenter: the augmenter; ``None`` leaves the graph as it is.
        rate: how often it is applied, in [0, 1]; 1 is the augmenter itself.

    Reference:
        The random application of Chen et al., SimCLR, ICML 2020, appendix A.

    Example:
        >>> from graphcl.augment import FeatureMask
        >>> g = Data(x=torch.ones(2, 3), edge_index=torch.empty(2, 0, dtype=torch.long))
        >>> Sometimes(FeatureMask(1.0), rate=0.0)(g).x.sum()
        tensor(6.)
    """

    augmenter: Augmenter | None = None
    rate: Rate = 0.5

    def parts(self) -> tuple[Augmenter, ...]:
        """The augmenter."""
        return () if self.augmenter is None else (self.augmenter,)

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """The view, or the graph."""
        if self.augmenter is None or self.rate == 0.0:
            return data
        drawn = draw_uniform(1, generator=generator, device=torch.device("cpu"))
        return self.augmenter(data, generator) if float(drawn) < self.rate else data

    def at(self, progress: float) -> "Sometimes":
        """The same with what the augmenter is then."""
        return self if self.augmenter is None else self.replace(augmenter=self.augmenter.at(progress))


@dataclass(frozen=True)
class Ramp(Config):
    r"""A number that moves from one value to another while the training goes on.

    .. math:: r(s) = start + (end - start)\, g(s), \qquad
        g(s) = \begin{cases} s & \text{linear} \\ \tfrac{1}{2} (1 - \cos \pi s) & \text{cosine} \end{cases}, \quad
        s = \mathrm{clip}\Big(\frac{progress - begin}{until - begin}, 0, 1\Big)

    Args:
        start: the value until ``begin``.
        end: the value from ``until`` on.
        shape: ``linear`` or ``cosine``.
        begin: share of the training at which it starts to move, in [0, 1).
        until: share at which it has arrived, in (begin, 1].

    Raises:
        RequestError: ``begin`` is not before ``until``.

    Example:
        >>> Ramp(0.1, 0.5)(0.25)
        0.2
    """

    start: float = 0.0
    end: float = 0.0
    shape: Literal["linear", "cosine"] = "linear"
    begin: Annotated[float, annotated_types.Interval(ge=0.0, lt=1.0)] = 0.0
    until: Annotated[float, annotated_types.Interval(gt=0.0, le=1.0)] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.begin >= self.until:
            raise RequestError(f"Ramp.begin = {self.begin}: should be less than until = {self.until}")

    def __call__(self, progress: float) -> float:
        """The value when the share ``progress`` of the training is done.

        Raises:
            RequestError: ``progress`` is outside of [0, 1].
        """
        if not 0.0 <= progress <= 1.0:
            raise RequestError(f"progress = {progress}: should be the share of the training done, in [0, 1]")
        share = min(max((progress - self.begin) / (self.until - self.begin), 0.0), 1.0)
        if self.shape == "cosine":
            share = (1 - math.cos(math.pi * share)) / 2
        return self.end if share == 1.0 else self.start + (self.end - self.start) * share


@dataclass(frozen=True)
class Scheduled(_Composition):
    r"""An augmenter with parameters that move over the training, `Ramp` by `Ramp`.

    .. math:: t_s = t(\theta_1 = r_1(s), \theta_2 = r_2(s), \dots), \qquad s = progress \in [0, 1]

    It has no state: ``scheduled.at(progress)`` is the plain augmenter of that moment, and calling it is calling
    ``at(0)``. Methods that train with views ask for the moment after each update (`graphcl.methods.TwoView`); a loop
    of one's own writes ``view.at(epoch / epochs)(data)``.

    Args:
        augmenter: what is scheduled; ``None`` leaves the graph as it is.
        ramps: the ramp of each moving parameter, by its name.

    Raises:
        UnknownNameError: the augmenter has no such parameter.
        RequestError: a ramp leaves the range of its parameter.

    Reference:
        Curricula of augmentation strength, as in Chu et al., CuCo: graph representation with curriculum contrastive
        learning, IJCAI 2021 (there over negatives).

    Example:
        >>> from graphcl.augment import EdgeDropout
        >>> Scheduled(EdgeDropout(), {"rate": Ramp(0.0, 0.4)}).at(0.5)
        EdgeDropout(rate=0.2)
    """

    augmenter: Augmenter | None = None
    ramps: Mapping[str, Ramp] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.ramps, Mapping):
            object.__setattr__(self, "ramps", dict(self.ramps))
        super().__post_init__()
        if self.augmenter is None and self.ramps:
            raise RequestError("Scheduled.ramps: there is no augmenter whose parameters could move")
        # both ends are tried now, not in the middle of a training
        for progress in (0.0, 1.0):
            self.at(progress)

    def __hash__(self) -> int:
        return hash((self.augmenter, tuple(sorted(self.ramps.items(), key=lambda pair: pair[0]))))

    def parts(self) -> tuple[Augmenter, ...]:
        """The augmenter."""
        return () if self.augmenter is None else (self.augmenter,)

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """The view at the beginning of the training."""
        now = self.at(0.0)
        return data if isinstance(now, Chain) and not now.steps else now(data, generator)

    def at(self, progress: float) -> Augmenter:
        """The plain augmenter of that moment."""
        if self.augmenter is None:
            return Chain()
        known = {field.name: getattr(self.augmenter, field.name) for field in fields(self.augmenter)}
        values: dict[str, Any] = {}
        for name, ramp in self.ramps.items():
            if name not in known:
                raise UnknownNameError(f"parameter of {type(self.augmenter).__name__}", name, known)
            # counts stay counts
            whole = isinstance(known[name], int) and not isinstance(known[name], bool)
            values[name] = round(ramp(progress)) if whole else ramp(progress)
        return self.augmenter.replace(**values).at(progress)
