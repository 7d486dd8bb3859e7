r"""What the neighbourhood of a node looks like, told without labels: the inputs of a node-wise gate.

| name | what | range |
|---|---|---|
| `rayleigh` | :math:`x_v \cdot (L x)_v / \lVert x_v \rVert^2`: 0 as its neighbours, 2 their opposite | real |
| `log-degree` | :math:`\log(1 + d_v)` | ≥ 0 |
| `similarity` | cosine of :math:`x_v` and the mean of its neighbours | [-1, 1] |
| `second-similarity` | the same with the nodes two steps away, itself left out | [-1, 1] |
| `concentration` | length of the mean of the neighbours' directions: 1 where they all point one way | [0, 1] |
| `degree-ratio` | log(1 + degree) minus the mean of its neighbours' | real |
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.utils import coalesce

from graphcl.errors import EmbeddingError, RequestError, UnknownNameError
from graphcl.graph import standardised, unit_rows
from graphcl.ops.propagate import multiply, sum_operator
from graphcl.spectral.operator import spectral_operator

__all__ = ["DESCRIPTORS", "Descriptor", "local_descriptors", "rayleigh_quotient", "return_probabilities"]

Descriptor: TypeAlias = Literal[
    "rayleigh", "log-degree", "similarity", "second-similarity", "concentration", "degree-ratio"
]
DESCRIPTORS: tuple[Descriptor, ...] = get_args(Descriptor)
"""All names."""


def rayleigh_quotient(x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
    r"""Where on the spectrum the energy of a signal lies: 0 constant over neighbours, 2 alternating.

    .. math:: R(X, L) = \frac{\operatorname{tr}(X^\top L X)}{\operatorname{tr}(X^\top X)}, \qquad
        L = I - D^{-1/2} A D^{-1/2}

    An isolated node counts with the eigenvalue 1, and so does all of a graph without edges.

    Args:
        x: ``[N, F]``; a signal of nothing has the quotient 1.
        edge_index: ``int64 [2, E]``, each edge in both directions.
        edge_weight: ``[E]``; 1 where ``None``.

    Returns:
        A scalar, differentiable in x and the weights.

    Raises:
        DataError: directed edges.

    Example:
        >>> x, edges = torch.tensor([[1.0], [-1.0]]), torch.tensor([[0, 1], [1, 0]])
        >>> rayleigh_quotient(x, edges).item()
        2.0
    """
    energy = x.square().sum()
    energy = torch.where(energy > 0, energy, 1.0)
    if not edge_index.numel():
        return x.square().sum() / energy
    pattern, values = spectral_operator(edge_index, x.size(0), edge_weight, x.dtype)
    return 1 - (x * multiply(pattern, values.to(x.dtype), x)).sum() / energy


@torch.no_grad()
def local_descriptors(
    x: Tensor,
    edge_index: Tensor,
    edge_weight: Tensor | None = None,
    names: Sequence[Descriptor] = DESCRIPTORS,
    *,
    steps: int = 0,
    standard: bool = True,
) -> Tensor:
    r"""Label-free descriptors of the neighbourhood of each node, column by column as in the table above.

    A node without neighbours, or without features, has the Rayleigh ratio 1 and similarities of 0.

    Args:
        x: ``[N, F]``.
        edge_index: ``int64 [2, E]``, each edge in both directions.
        edge_weight: ``[E]``; 1 where ``None``.
        names: which, in which order.
        steps: of averaging over each node and its neighbours, :math:`(D + I)^{-1} (A + I)` each: what a node shares
            with its region stays, what is noise of its own goes.
        standard: bring each column to mean 0 and deviation 1 over the nodes; constant ones become 0.

    Returns:
        ``[N, len(names)]``, without gradients.

    Raises:
        UnknownNameError: a name that is not in the table.
        RequestError: no name, a negative number of steps, or edges that do not fit.
        EmbeddingError: x holds NaN or infinity.
        DataError: no edges, or directed ones.

    Example:
        >>> x, edges = torch.tensor([[1.0], [1.0], [-1.0]]), torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> local_descriptors(x, edges, names=["similarity"], standard=False).flatten().tolist()
        [1.0, 0.0, -1.0]
    """
    if not names:
        raise RequestError(f"no descriptor is named; known: {', '.join(DESCRIPTORS)}")
    if steps < 0:
        raise RequestError(f"steps = {steps}; input should be 0 or more")
    for name in names:
        if name not in DESCRIPTORS:
            raise UnknownNameError("descriptor", name, DESCRIPTORS)
    if not torch.isfinite(x).all():
        raise EmbeddingError("the features hold NaN or infinity, and so would their descriptors; clean them first")
    n = x.size(0)
    # parallel edges are one of their joint weight
    weight = x.new_ones(edge_index.size(1)) if edge_weight is None else edge_weight.to(x.dtype)
    edge_index, edge_weight = coalesce(edge_index, weight, n)
    pattern, spectral = spectral_operator(edge_index, n, edge_weight, x.dtype)
    _, plain = sum_operator(edge_index, n, edge_weight, x.dtype)
    plain = plain.to(x.dtype)
    degree = multiply(pattern, plain, x.new_ones(n, 1))
    around = multiply(pattern, plain, x)
    made = {}
    if "rayleigh" in names:
        energy = x.square().sum(1)
        smooth = (x * multiply(pattern, spectral.to(x.dtype), x)).sum(1)
        made["rayleigh"] = torch.where(energy > 0, 1 - smooth / torch.where(energy > 0, energy, 1.0), 1.0)
    logs = degree.log1p()
    made["log-degree"] = logs[:, 0]
    if "similarity" in names:
        made["similarity"] = F.cosine_similarity(x, around)
    if "second-similarity" in names:
        # of the walks of two steps, those that come back
        back = multiply(pattern, plain * plain, x.new_ones(n, 1))
        twice = multiply(pattern, plain, around)
        rest = twice - back * x
        # what rounding leaves of a difference of equals is no direction
        least = 64 * torch.finfo(x.dtype).eps * twice.norm(dim=1)
        made["second-similarity"] = torch.where(rest.norm(dim=1) > least, F.cosine_similarity(x, rest), 0.0)
    if "concentration" in names:
        mean = multiply(pattern, plain, unit_rows(x)) / torch.where(degree > 0, degree, 1.0)
        made["concentration"] = mean.norm(dim=1)
    if "degree-ratio" in names:
        mean = multiply(pattern, plain, logs) / torch.where(degree > 0, degree, 1.0)
        made["degree-ratio"] = torch.where(degree > 0, logs - mean, 0.0)[:, 0]
    columns = torch.stack([made[name] for name in names], 1)
    for _ in range(steps):
        columns = (multiply(pattern, plain, columns) + columns) / (degree + 1)
    return standardised(columns) if standard else columns


@torch.no_grad()
def return_probabilities(edge_index: Tensor, num_nodes: int, steps: int = 16, *, block: int = 1024) -> Tensor:
    r"""How likely a random walk is back where it began, after 1 to ``steps`` steps.

    .. math:: p_{vk} = \big[(D^{-1} A)^k\big]_{vv} = \big[S^k\big]_{vv}

    A diagonal is unchanged by the scaling that makes the walk symmetric, and of the symmetric S two halves of a walk
    are products of rows: :math:`[S^{2k}]_{vv} = \lVert S^k e_v \rVert^2`, so that half as many products do.

    Args:
        edge_index: ``int64 [2, E]``, each edge in both directions.
        num_nodes: N.
        steps: 1 or more.
        block: nodes at a time; the memory is about ``3 * N * block`` numbers.

    Returns:
        ``[N, steps]`` in torch's default type. Time grows with N · E · steps / 2.

    Raises:
        RequestError: fewer than one step, or edges that do not fit.
        DataError: no edges, or directed ones.

    Reference:
        Dwivedi et al., Graph neural networks with learnable structural and positional representations, ICLR 2022,
        section 3.1 (random-walk positional encoding).

    Example:
        >>> return_probabilities(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), 3, steps=2).mul(2).round().tolist()
        [[0.0, 1.0], [0.0, 2.0], [0.0, 1.0]]
    """
    if steps < 1:
        raise RequestError(f"steps = {steps}; a walk needs at least one")
    pattern, values = spectral_operator(edge_index, num_nodes, dtype=torch.get_default_dtype())
    out = values.new_zeros(num_nodes, steps)
    for first in range(0, num_nodes, block):
        nodes = torch.arange(first, min(first + block, num_nodes), device=values.device)
        now = values.new_zeros(num_nodes, nodes.numel())
        now[nodes, nodes - first] = 1.0
        for k in range(1, steps + 1, 2):
            after = multiply(pattern, values, now)
            out[nodes, k - 1] = (now * after).sum(0)
            if k < steps:
                out[nodes, k] = after.square().sum(0)
            now = after
    return out
