"""How long and how fast to train: the part of a recipe that is not the model."""

import math
from dataclasses import dataclass
from typing import Literal

import torch

from graphcl.config import BelowOne, Config, NonNegative, Positive, Size
from graphcl.errors import RequestError

__all__ = ["Plan"]


@dataclass(frozen=True, kw_only=True)
class Plan(Config):
    """Epochs, optimiser and rates of one training.

    Args:
        epochs: passes over the batches; 0 trains nothing (controls).
        lr: learning rate.
        weight_decay: L2 penalty, added to the gradient by ``adam``, decoupled from it by ``adamw``.
        optimiser: ``adam`` or ``adamw``.
        warmup: share of the training in [0, 1) over which the rates grow linearly from 0 to their value.
        decay: afterwards they stay (``constant``) or fall to 0 by half a cosine (``cosine``).
        batch_size: graphs in a batch, for lists of graphs; ``None`` takes all at once, as a single graph always is.
        part_lr: learning rate of single parts of a method, or of modules inside of them, by (dotted) name; the others
            use ``lr``.
        part_weight_decay: the same for the penalty.
        patience: stop after so many epochs without a new lowest training loss and go back to the parameters of the
            lowest; ``None`` trains all epochs. Labels are never consulted.
        device: ``auto`` takes CUDA where there is one.

    Example:
        >>> Plan(epochs=5).lr
        0.001
    """

    epochs: int = 100
    lr: Positive = 1e-3
    weight_decay: NonNegative = 0.0
    optimiser: Literal["adam", "adamw"] = "adam"
    warmup: BelowOne = 0.0
    decay: Literal["constant", "cosine"] = "constant"
    batch_size: Size | None = None
    part_lr: dict[str, Positive] | None = None
    part_weight_decay: dict[str, NonNegative] | None = None
    patience: Size | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epochs < 0:
            raise RequestError(f"Plan.epochs = {self.epochs}: input should be 0 or more")

    def rate_of(self, *names: str) -> float:
        """The learning rate of a part or module, warm-up and decay aside: that of the first name that has one."""
        return self._first(self.part_lr, names, self.lr)

    def penalty_of(self, *names: str) -> float:
        """The L2 penalty of a part or module: that of the first name that has one."""
        return self._first(self.part_weight_decay, names, self.weight_decay)

    def named(self) -> set[str]:
        """The parts and modules that have a rate or penalty of their own."""
        return {*(self.part_lr or ()), *(self.part_weight_decay or ())}

    @staticmethod
    def _first(own: dict[str, float] | None, names: tuple[str, ...], otherwise: float) -> float:
        return next((own[name] for name in names if own and name in own), otherwise)

    def rate_at(self, progress: float) -> float:
        r"""The share of the rates that an update uses.

        .. math:: r(t) = \frac{t}{w} \;\text{for } t < w, \qquad
                  r(t) = \tfrac12\left(1 + \cos \pi\tfrac{t - w}{1 - w}\right) \text{ or } 1 \text{ afterwards}

        Args:
            progress: share t of the updates done before, in [0, 1).

        Example:
            >>> plan = Plan(warmup=0.5, decay="cosine")
            >>> [round(plan.rate_at(t), 3) for t in (0.25, 0.5, 0.75)]
            [0.5, 1.0, 0.5]
        """
        if progress < self.warmup:
            return progress / self.warmup
        if self.decay == "constant":
            return 1.0
        return (1 + math.cos(math.pi * (progress - self.warmup) / (1 - self.warmup))) / 2

    def torch_device(self) -> torch.device:
        """The device this plan trains on.

        Raises:
            RequestError: ``cuda`` was asked for and there is none.
        """
        if self.device == "cuda" and not torch.cuda.is_available():
            raise RequestError("Plan.device = 'cuda': torch sees no CUDA device; use 'auto' or 'cpu'")
        name = "cuda" if self.device != "cpu" and torch.cuda.is_available() else "cpu"
        return torch.device(name)
