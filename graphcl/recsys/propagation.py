r"""Propagation of the vectors of users and items over their interactions, without a model around it.

LightGCN and its kin have no weights between the layers, so what they compute is linear in the vectors that are learnt:

.. math:: X_k = \hat A X_{k-1} + N_k, \qquad
    \hat A = D^{-1/2} \begin{pmatrix} 0 & R \\ R^\top & 0 \end{pmatrix} D^{-1/2}

with noise :math:`N_k` or without. `combined` gives any sums of the layers and keeps none of them for the gradient,
which is the same recursion on the gradients. Floor of one pass over E interactions, L layers and width D:
:math:`2 L E D` multiplications each way, and :math:`2 L E D` numbers read.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import normalize
from torch_geometric.data import Data

from graphcl.data.interactions import Interactions
from graphcl.errors import RequestError
from graphcl.ops.propagate import Pattern, multiply
from graphcl.seeding import draw_uniform

__all__ = ["BipartiteOperator", "combined", "mean_of_layers", "same_orthant_noise"]


@dataclass(frozen=True, eq=False)
class BipartiteOperator:
    r"""The normalised adjacency :math:`\hat A` of users (first) and items.

    Args:
        pattern: ``[U + I, U + I]``, symmetric.
        values: its entries, equal in both directions.
        num_users: U.

    Example:
        >>> seen = Interactions(users=[0, 1], items=[0, 0], num_users=2, num_items=1)
        >>> operator = BipartiteOperator.of(seen)
        >>> operator(torch.eye(3))[2].tolist()  # the item gathers from its two users
        [0.7071067690849304, 0.7071067690849304, 0.0]
    """

    pattern: Pattern
    values: Tensor
    num_users: int

    @classmethod
    def of(cls, seen: Interactions) -> "BipartiteOperator":
        """Of interactions; users and items without any have empty rows."""
        return cls._of(seen.users, seen.items, seen.num_users, seen.num_items)

    @classmethod
    def of_graph(cls, graph: Data, num_users: int) -> "BipartiteOperator":
        """Of a graph as `Interactions.graph` makes it, changed by an augmenter.

        Raises:
            RequestError: it has edges between two users or two items, or one of a single direction.
        """
        source, target = graph.edge_index
        there = source < num_users
        if bool((there == (target < num_users)).any()) or int(there.sum()) * 2 != there.numel():
            raise RequestError(
                "the view has edges between two users, two items, or of one direction alone; choose an augmenter that "
                "removes edges of an undirected graph"
            )
        items = int(graph.num_nodes or 0) - num_users
        users, others = source[there], target[there] - num_users
        order = (users * max(items, 1) + others).sort().indices
        return cls._of(users[order], others[order], num_users, items)

    @classmethod
    def _of(cls, users: Tensor, items: Tensor, num_users: int, num_items: int) -> "BipartiteOperator":
        # sorted by user already; a stable sort by item keeps the users of an item in order
        turned = torch.sort(items.int(), stable=True).indices
        degree = torch.cat([torch.bincount(users, minlength=num_users), torch.bincount(items, minlength=num_items)])
        pointer = torch.cat([degree.new_zeros(1), degree.cumsum(0)])
        columns = torch.cat([items + num_users, users[turned]])
        scale = degree.clamp(min=1).to(torch.get_default_dtype()).rsqrt()
        weight = scale[users] * scale[items + num_users]
        pattern = Pattern(pointer, columns, num_users + num_items)
        return cls(pattern, torch.cat([weight, weight[turned]]), num_users)

    def to(self, device: torch.device | str) -> "BipartiteOperator":
        """On another device."""
        pattern = Pattern(self.pattern.pointer.to(device), self.pattern.columns.to(device), self.pattern.width)
        return BipartiteOperator(pattern, self.values.to(device), self.num_users)

    def __call__(self, x: Tensor) -> Tensor:
        r""":math:`\hat A x`, ``[U + I, D]``; not differentiable in the entries."""
        return multiply(self.pattern, self.values, x)


Noise = Callable[[Tensor], Tensor]
"""From the vectors of a layer ``[N, D]`` to what is added to them."""


class _Combined(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        operators: Sequence[BipartiteOperator],
        weights: Sequence[Sequence[float]],
        noise: Noise | None,
    ) -> tuple[Tensor, ...]:
        ctx.operators, ctx.weights = operators, weights
        sums = [x * row[0] if row[0] else torch.zeros_like(x) for row in weights]
        for k, operator in enumerate(operators, 1):
            x = operator(x)
            if noise is not None:
                x += noise(x)
            for total, row in zip(sums, weights, strict=True):
                if row[k]:
                    total.add_(x, alpha=row[k])
        return tuple(sums)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None, None]:
        def of_layer(k: int) -> list[tuple[Tensor, float]]:
            return [(grad, row[k]) for grad, row in zip(upstream, ctx.weights, strict=True) if row[k]]

        back: Tensor | None = None
        for k in range(len(ctx.operators), -1, -1):
            # the operator is symmetric: its transpose is itself
            passed = None if back is None else ctx.operators[k](back)
            for grad, weight in of_layer(k):
                passed = grad * weight if passed is None else passed.add_(grad, alpha=weight)
            back = passed
        assert back is not None  # some weight is not 0
        return back, None, None, None


def combined(
    operators: BipartiteOperator | Sequence[BipartiteOperator],
    x: Tensor,
    weights: Sequence[Sequence[float]],
    noise: Noise | None = None,
) -> tuple[Tensor, ...]:
    r"""Weighted sums of the layers of a propagation.

    .. math:: Y_j = \sum_{k=0}^{L} w_{jk} X_k, \qquad X_0 = x, \quad X_k = \hat A_k X_{k-1} + N(\hat A_k X_{k-1})

    The noise is taken for constant by the gradient, as a sign and a random vector are. No layer is kept: memory is that
    of the sums and two layers, whatever L.

    Args:
        operators: one for all layers, or one for each.
        x: ``[U + I, D]``.
        weights: a row of L + 1 numbers for each sum.
        noise: what is added to a layer.

    Returns:
        A tensor ``[U + I, D]`` for each row of weights, differentiable once in ``x``.

    Raises:
        RequestError: rows of different lengths, a number of operators that does not fit, or no weight but 0.

    Example:
        >>> seen = Interactions(users=[0], items=[0], num_users=1, num_items=1)
        >>> combined(BipartiteOperator.of(seen), torch.tensor([[1.0], [3.0]]), [[0.5, 0.5]])[0].tolist()
        [[2.0], [2.0]]
    """
    layers = {len(row) - 1 for row in weights}
    if len(layers) != 1 or not any(value for row in weights for value in row):
        raise RequestError("weights should be rows of one length, L + 1, with something in them beside 0")
    depth = layers.pop()
    each = [operators] * depth if isinstance(operators, BipartiteOperator) else list(operators)
    if len(each) != depth:
        raise RequestError(f"{len(each)} operators for {depth} layers; give one, or one for each")
    return _Combined.apply(x, each, weights, noise)


def mean_of_layers(operators: BipartiteOperator | Sequence[BipartiteOperator], x: Tensor, layers: int) -> Tensor:
    r"""LightGCN's vectors: the mean over all layers, the learnt one included.

    .. math:: Y = \frac{1}{L + 1} \sum_{k=0}^{L} \hat A^k x

    Reference:
        He et al., LightGCN: simplifying and powering graph convolution network for recommendation, SIGIR 2020,
        equations 7 and 8.

    Example:
        >>> seen = Interactions(users=[0], items=[0], num_users=1, num_items=1)
        >>> mean_of_layers(BipartiteOperator.of(seen), torch.tensor([[1.0], [3.0]]), 1).tolist()
        [[2.0], [2.0]]
    """
    return combined(operators, x, [[1 / (layers + 1)] * (layers + 1)])[0]


def same_orthant_noise(length: float, generator: torch.Generator) -> Noise:
    r"""Random vectors of one length that point into the orthant of the row they are added to.

    .. math:: N(x) = \varepsilon\, \frac{\delta}{\|\delta\|_2} \odot \mathrm{sign}(x), \qquad \delta \sim U[0, 1)^D

    Args:
        length: :math:`\varepsilon`, 0 or more.
        generator: draws :math:`\delta`.

    Reference:
        Yu et al., SimGCL, SIGIR 2022, equations 5 and 6.

    Example:
        >>> added = same_orthant_noise(0.5, torch.Generator().manual_seed(0))(torch.tensor([[-1.0, 2.0]]))
        >>> added.norm().item(), added.sign().tolist()
        (0.5, [[-1.0, 1.0]])
    """

    def noise(x: Tensor) -> Tensor:
        drawn = draw_uniform(*x.shape, generator=generator, device=x.device)
        return normalize(drawn).mul_(length).mul_(x.sign())

    return noise
