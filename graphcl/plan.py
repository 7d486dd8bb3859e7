"""How long and how fast to train: the part of a recipe that is not the model."""

from dataclasses import dataclass
from typing import Literal

import torch

from graphcl.config import Config, NonNegative, Positive, Size
from graphcl.errors import RequestError

__all__ = ["Plan"]


@dataclass(frozen=True, kw_only=True)
class Plan(Config):
    """Epochs, optimiser and rates of one training.

    Args:
        epochs: passes over the batches; 0 trains nothing (controls).
        lr: learning rate of Adam.
        weight_decay: L2 penalty added to the gradient, as in Adam (not decoupled).
        part_lr: learning rate of single parts of a method, by part name; the others use ``lr``.
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
    part_lr: dict[str, Positive] | None = None
    patience: Size | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epochs < 0:
            raise RequestError(f"Plan.epochs = {self.epochs}: input should be 0 or more")

    def torch_device(self) -> torch.device:
        """The device this plan trains on.

        Raises:
            RequestError: ``cuda`` was asked for and there is none.
        """
        if self.device == "cuda" and not torch.cuda.is_available():
            raise RequestError("Plan.device = 'cuda': torch sees no CUDA device; use 'auto' or 'cpu'")
        name = "cuda" if self.device != "cpu" and torch.cuda.is_available() else "cpu"
        return torch.device(name)
