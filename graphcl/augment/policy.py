"""Which augmentation to use, learnt from how hard each is: the min-max choice of JOAO."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from graphcl.augment.augmenter import Augmenter
from graphcl.augment.composition import Chain, OneOf
from graphcl.augment.edges import EdgeDropout
from graphcl.augment.features import FeatureMask, NodeFeatureMask
from graphcl.augment.learned import ComposedAugmenter, Direction, LearnedView
from graphcl.config import NonNegative, Positive
from graphcl.errors import RequestError
from graphcl.graph import GraphShape

__all__ = ["AugmentationPolicy", "PolicyView"]


@dataclass(frozen=True)
class AugmentationPolicy(ComposedAugmenter):
    r"""Apply one of several augmenters, drawn with probabilities that follow their losses.

    .. math::
        t(G) = t_i(G), \quad i \sim \mathrm{Categorical}(p), \qquad
        p \leftarrow \Pi_\Delta\Big(p + lr \cdot \big(\pm\ell - strength \cdot (p - \tfrac{1}{K})\big)\Big)

    :math:`\ell_i` is the mean loss under augmenter i, and :math:`\Pi_\Delta` the nearest distribution. With +
    (``oppose``) this is projected ascent on
    :math:`p^\top \ell - \frac{strength}{2} \Vert p - \frac{1}{K} \Vert^2`: what is hard is drawn more often, and
    more so the weaker the pull towards even chances. With − (``cooperate``) what is easy is. While the losses stand
    still p tends to :math:`\Pi_\Delta(\frac{1}{K} \pm \ell / strength)`, for ``lr * strength < 2``; without a pull, to
    the hardest (easiest) alone.

    No gradient is involved: the encoder is trained on views as ever, and now and then (once an epoch)
    `PolicyView.update` is told the losses. All graphs of a batch get the augmenter of one draw.

    Args:
        choices: the augmenters, at least one. The default ones keep all nodes, so that nodes can be compared as well as
            graphs. JOAO's five are ``NodeDropout``, ``EdgeDropout`` and ``EdgeAddition``, ``RandomWalkSubgraph``,
            ``NodeFeatureMask`` and ``Chain()``, which changes nothing.
        lr: step size of the update, above 0.
        strength: of the pull towards even chances.
        direction: ``oppose`` prefers what is hard.

    Raises:
        RequestError: no choice, something that is no augmenter, or a number out of its range.

    Reference:
        You, Chen, Shen & Wang, Graph contrastive learning automated (JOAO), ICML 2021, the alternating algorithm of its
        min-max instantiation. In the released code the distribution is over five augmenters of the second view, or over
        25 pairs for both (here each view has a policy of its own, or only one has); it is drawn from for each graph of
        a batch (here once a call); losses are measured on about a fifth of the batches; the projection is a bisection
        that stops within 0.01 of a sum of 1, rescaled (here exact). ``lr`` is 1 there, ``strength`` 0.01 to 1.

    Example:
        >>> from graphcl.augment import EdgeDropout
        >>> policy = AugmentationPolicy((EdgeDropout(0.1), EdgeDropout(0.5)), strength=1.0).build(GraphShape(8))
        >>> policy.update(torch.tensor([0.2, 0.6]))
        tensor([0.3000, 0.7000])
    """

    choices: tuple[Augmenter, ...] = (Chain(), EdgeDropout(0.2), FeatureMask(0.2), NodeFeatureMask(0.2))
    lr: Positive = 1.0
    strength: NonNegative = 0.1
    direction: Direction = "oppose"

    def __post_init__(self) -> None:
        if isinstance(self.choices, Sequence) and not isinstance(self.choices, str):
            object.__setattr__(self, "choices", tuple(self.choices))
        super().__post_init__()
        if not self.choices:
            raise RequestError("AugmentationPolicy.choices: there is none; give at least one augmenter")

    def parts(self) -> Sequence[Augmenter]:
        """The choices."""
        return self.choices

    def build(self, shape: GraphShape, generator: torch.Generator | None = None) -> "PolicyView":
        """The view, at even chances; nothing is drawn for it.

        Args:
            shape: the sizes of the data.
            generator: not used.
        """
        return self.assemble(shape)

    def assemble(self, shape: GraphShape) -> "PolicyView":
        """The view, at even chances."""
        return PolicyView(self, shape.num_features)


class PolicyView(LearnedView):
    """The view of an `AugmentationPolicy`: a distribution, which is a buffer and so part of every checkpoint.

    It has no parameters for an optimiser, and draws in training and in evaluation alike.
    """

    recipe: AugmentationPolicy
    probabilities: Tensor

    def __init__(self, recipe: AugmentationPolicy, num_features: int) -> None:
        super().__init__(recipe, num_features)
        count = len(recipe.choices)
        self.register_buffer("probabilities", torch.full((count,), 1 / count))

    def at(self, progress: float) -> "PolicyView":
        """The same distribution over what the choices are then; an update of one is an update of both."""
        view = copy.copy(self)
        view.recipe = self.recipe.replace(choices=tuple(choice.at(progress) for choice in self.recipe.choices))
        return view

    def draw(self, data: Any, generator: torch.Generator | None) -> tuple[Any, Tensor]:
        """The view of the augmenter that was drawn."""
        drawn = OneOf(self.recipe.choices, tuple(self.probabilities.tolist()))
        return drawn.forward(data, generator), self.probabilities.new_zeros(())

    @torch.no_grad()
    def update(self, losses: Tensor) -> Tensor:
        """Move the distribution by one step.

        Args:
            losses: the mean loss under each choice ``[K]``, as `measure` tells them.

        Returns:
            The new probabilities ``[K]``.

        Raises:
            RequestError: another number of losses than of choices, or some that are not finite.
        """
        now = self.probabilities
        if losses.shape != now.shape or not bool(losses.isfinite().all()):
            raise RequestError(
                f"AugmentationPolicy: losses {losses.tolist()}; give a finite number to each of {now.numel()} choices"
            )
        p, gain = now.double(), losses.to(now.device).double()
        if self.recipe.direction == "cooperate":
            gain = -gain
        step = gain - self.recipe.strength * (p - 1 / p.numel())
        now.copy_(simplex_projection(p + self.recipe.lr * step))
        return now.clone()

    @torch.no_grad()
    def measure(self, loss: Callable[[Any], Tensor], data: Any, generator: torch.Generator | None = None) -> Tensor:
        """The loss under each choice, on one view of each; mean it over some batches and hand it to `update`.

        The mode of the encoder is left as it is: put it into that in which its losses are to be compared.

        Args:
            loss: of a view; called once for each choice, without gradients.
            data: a graph or a batch.
            generator: the source of randomness.

        Returns:
            ``float64 [K]``.
        """
        values = [float(loss(choice(data, generator))) for choice in self.recipe.choices]
        return torch.tensor(values, dtype=torch.float64)


def simplex_projection(values: Tensor) -> Tensor:
    r"""The nearest distribution, exactly.

    .. math:: \Pi_\Delta(b) = \arg\min_{p \geq 0,\, \sum p = 1} \Vert p - b \Vert = \max(b - \mu, 0)

    Args:
        values: b, ``[K]``.

    Reference:
        Duchi, Shalev-Shwartz, Singer & Chandra, Efficient projections onto the l1-ball, ICML 2008, figure 1.

    Example:
        >>> simplex_projection(torch.tensor([2.0, 1.5, 0.0])).tolist()
        [0.75, 0.25, 0.0]
    """
    # a common shift changes nothing, and keeps the sums near 1 whatever the size of the losses
    values = values - values.max()
    ordered = values.sort(descending=True).values
    counts = torch.arange(1, values.numel() + 1, dtype=values.dtype, device=values.device)
    shifts = (ordered.cumsum(0) - 1) / counts
    support = int((ordered > shifts).sum())
    return (values - shifts[support - 1]).clamp(min=0)
