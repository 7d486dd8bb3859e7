"""What an adversary is: hyper-parameters that turn a graph and a loss into a graph where the loss is higher.

It sees a closure from a graph to a number and nothing behind it, so that one adversary serves training, evasion and
poisoning alike. It takes gradients of its own inputs only: parameters, their ``.grad``, modes and statistics of what
stands behind the closure stay as they are (which mode that is, is the closure's own business).
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphcl.adversary.budget import Budget
from graphcl.adversary.edge_space import EdgeSpace
from graphcl.config import Config
from graphcl.errors import DataError, RequestError, UnfollowedError
from graphcl.graph import check_graph

__all__ = ["Adversary", "Loss", "gradient_of", "value_of"]

Loss: TypeAlias = Callable[[Data], Tensor]
"""From a graph to what the adversary raises, a scalar. On the way the graph has an ``edge_weight`` in [0, 1] that
gradients flow to: what is there in part. The value has to be the same whenever it is asked for."""


class Adversary(Config, ABC):
    """Root of all adversaries, which are frozen dataclasses and write `perturb`."""

    blind: ClassVar[bool] = False
    """Whether it never looks at the loss."""
    needs_labels: ClassVar[bool] = False
    """Whether it looks at ``data.y``."""
    on_edges: ClassVar[bool] = True
    """Whether it changes edges."""
    on_features: ClassVar[bool] = False
    """Whether it changes features."""

    budget: Budget

    def __call__(self, data: Data, loss: Loss | None = None, generator: torch.Generator | None = None) -> Data:
        """The graph after the attack; ``data`` itself is never changed.

        Args:
            data: a graph, undirected where edges are attacked, with no edge twice and nothing on the edges.
            loss: what is raised; not looked at by random adversaries.
            generator: the source of randomness; ``None`` draws on torch's own.

        Raises:
            DataError: a graph that it cannot attack; the message says how to mend it.
            RequestError: no loss where one is needed, or one that does not depend on what is attacked.
        """
        name = type(self).__name__
        self.check(data)
        if loss is None and not self.blind:
            raise RequestError(f"{name} raises a loss: give it a function from a graph to a scalar tensor")
        # whoever evaluates has mostly turned gradients off
        with torch.enable_grad():
            return self.perturb(copy.copy(data), loss if loss is not None else _nothing, generator)

    def check(self, data: Data) -> None:
        """Refuse a graph that cannot be attacked, before anything is computed on it.

        Raises:
            DataError: naming the field and the cure.
            RequestError: a budget that does not fit the graph.
        """
        name = type(self).__name__
        if isinstance(data, Batch):
            raise DataError(f"{name} attacks one graph; take a batch apart with to_data_list() and attack each")
        check_graph(data, name)
        if self.needs_labels and data.get("y") is None:
            raise DataError(f"{name} looks at the labels, and data.y is missing; set it, -1 where it is not known")
        nodes, n = self.budget.nodes, int(data.num_nodes or 0)
        if nodes is not None and not 0 <= min(nodes) <= max(nodes) < n:
            raise RequestError(f"{name}: budget.nodes goes beyond the {n} nodes of the graph (0..{n - 1})")
        if self.on_edges:
            EdgeSpace.of(data, self.budget, name)

    @abstractmethod
    def perturb(self, data: Data, loss: Loss, generator: torch.Generator | None) -> Data:
        """Attack a graph that is a shallow copy, by replacing its tensors."""


def _nothing(data: Data) -> Tensor:
    return torch.zeros(())


def value_of(loss: Loss, data: Data) -> float:
    """The loss of a graph as a number."""
    with torch.no_grad():
        value = float(loss(data))
    if value != value:
        raise RequestError("the loss that the adversary was to raise is NaN; mend the function")
    return value


def gradient_of(loss: Loss, data: Data, leaf: Tensor, name: str) -> tuple[float, Tensor]:
    """The loss, and its gradient with respect to ``leaf``, from which ``data`` was made.

    Raises:
        UnfollowedError: the loss does not depend on it.
        RequestError: it is no scalar.
    """
    value = loss(data)
    if not isinstance(value, Tensor) or value.dim():
        shape = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise RequestError(f"the loss that the adversary was to raise is {shape}; make it a scalar tensor")
    found = torch.autograd.grad(value, leaf, allow_unused=True)[0] if value.requires_grad else None
    if found is None:
        raise UnfollowedError(
            f"the loss does not depend on {name}: an encoder that ignores it (or a step that cuts the gradient) cannot "
            "be attacked through it; take a random adversary, or attack another model and carry the graph over"
        )
    return float(value.detach()), torch.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0)
