"""The contracts of spectral filters and gates."""

import copy

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import to_dense_adj

from graphcl.errors import DataError, EmbeddingError, RequestError
from graphcl.spectral.bank import FilterBank
from graphcl.spectral.basis import ChebyshevBasis
from graphcl.spectral.filters import SpectralFilter
from graphcl.spectral.gates import Gating
from graphcl.testing.promises import Promises, check_config, leaves_global_random_state, sample_graph

__all__ = ["check_filter", "check_gate"]


def _spectrum(graph: Data, self_loops: bool) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors of the normalised Laplacian, through the dense matrix, in float64."""
    n = int(graph.num_nodes or 0)
    matrix = to_dense_adj(graph.edge_index, edge_attr=graph.edge_weight.double(), max_num_nodes=n)[0]
    if self_loops:
        matrix = matrix + torch.diag((matrix.diagonal() == 0).double())
    degree = matrix.sum(1)
    scale = torch.where(degree > 0, degree.clamp(min=1e-300).rsqrt(), 0.0)
    return torch.linalg.eigh(torch.eye(n, dtype=torch.float64) - scale[:, None] * matrix * scale)


def check_filter(filter: SpectralFilter) -> list[str]:
    """A filter is what its response says: against dense eigenvectors, in a bank, from a stored basis.

    Args:
        filter: an instance; whatever it has learned stays as it is.

    Raises:
        ContractError: at the first broken promise.

    Example:
        >>> from graphcl.spectral import HighPass
        >>> "equals U g(Λ) Uᵀ x, in float32 within 1e-5" in check_filter(HighPass())
        True
    """
    promises = Promises(filter)
    graph = sample_graph()  # weighted, with an isolated node
    eigenvalues, vectors = _spectrum(graph, filter.self_loops)
    x = torch.randn(graph.num_nodes, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = filter(x.float(), graph.edge_index, graph.edge_weight)
    with torch.no_grad():
        response = filter.response(eigenvalues)
    scale = max(1.0, float(response.abs().max()))
    expected = vectors @ (response[:, None] * (vectors.T @ x))
    gap = float((found.double() - expected).detach().abs().max()) / scale
    promises.require(found.shape == x.shape and gap <= 1e-5, "equals U g(Λ) Uᵀ x, in float32 within 1e-5", gap)
    wide = filter(x, graph.edge_index, graph.edge_weight.double())
    gap = float((wide - expected).detach().abs().max()) / scale
    # parameters stay in the default type
    promises.require(wide.dtype == torch.float64 and gap <= 1e-5, "follows the type of its input", gap)

    grid = torch.linspace(0, 2, 7)
    promises.require(filter.response(grid[:, None]).shape == (7, 1), "states its response at any shape")
    promises.require(filter.coefficients().shape == (filter.order + 1,), "has a coefficient for each term of its order")
    silent = leaves_global_random_state(lambda: filter(x.float(), graph.edge_index))
    promises.require(silent, "draws no random numbers")
    learned = [parameter for parameter in filter.parameters() if parameter.requires_grad]
    if learned:
        total = filter(x.float(), graph.edge_index, graph.edge_weight).square().sum()
        gradients = torch.autograd.grad(total, learned, allow_unused=True)
        through = all(gradient is not None and bool(torch.isfinite(gradient).all()) for gradient in gradients)
        promises.require(through, "all that is learned takes part")

    bank = FilterBank([filter, copy.deepcopy(filter)])
    channels = bank(x.float(), graph.edge_index, graph.edge_weight)
    promises.require(torch.allclose(channels[:, 0], found, atol=1e-5 * scale), "is the same beside others in a bank")
    basis = ChebyshevBasis.of(x.float(), graph.edge_index, bank.order, graph.edge_weight, self_loops=filter.self_loops)
    mixed = bank.mix(basis.rows())
    promises.require(torch.allclose(mixed, channels, atol=1e-5 * scale), "is the same from a stored basis")

    for broken, why in (
        (torch.empty(2, 0, dtype=torch.long), "a graph without edges is refused"),
        (torch.tensor([[0], [1]]), "directed edges are refused"),
    ):
        try:
            filter(x.float(), broken)
        except DataError:
            promises.kept.append(why)
        else:
            promises.require(False, why)
    return promises.kept


def check_gate(gating: Gating) -> list[str]:
    """Weights on the simplex, equal at first, one channel where a score is large; no node knows of its number.

    Args:
        gating: an instance.

    Raises:
        ContractError: at the first broken promise.

    Example:
        >>> from graphcl.spectral import GlobalGate
        >>> "weights lie on the simplex" in check_gate(GlobalGate())
        True
    """
    promises = Promises(gating)
    promises.kept += check_config(gating)
    draws = torch.Generator().manual_seed(0)
    h, context = torch.randn(40, 3, 6, generator=draws), torch.randn(40, 2, generator=draws)
    silent = leaves_global_random_state(lambda: gating.build(3, 6, 2, torch.Generator().manual_seed(1)))
    promises.require(silent, "building it leaves the global random state alone")
    gate = gating.build(3, 6, 2, torch.Generator().manual_seed(1)).eval()
    again = gating.build(3, 6, 2, torch.Generator().manual_seed(1)).eval()
    promises.require(
        all(torch.equal(a, b) for a, b in zip(gate.state_dict().values(), again.state_dict().values(), strict=True)),
        "the same seed gives the same bits",
    )
    fused, weights = gate(h, context)
    promises.require(fused.shape == (40, 6) and weights.shape == (40, 3), "fuses [N, K, D] to [N, D]", fused.shape)
    same = weights == weights[:1]
    promises.require(bool(same.all()), "begins with the same weights for every node")

    learned = next(parameter for parameter in reversed(list(gate.parameters())) if parameter.shape == (3,))
    with torch.no_grad():
        for parameter in gate.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=draws))
    for mode in (True, False):
        gate.train(mode)
        fused, weights = gate(h, context, generator=torch.Generator().manual_seed(2))
        simplex = bool((weights >= 0).all()) and torch.allclose(weights.sum(1), torch.ones(40), atol=1e-6)
        promises.require(simplex, "weights lie on the simplex")
        expected = (weights[:, :, None] * h).sum(1)
        promises.require(torch.allclose(fused, expected, atol=1e-5), "fuses by its weights")
        silent = leaves_global_random_state(lambda: gate(h, context, generator=torch.Generator()))
        promises.require(silent, "with a generator the global random state is left alone")
    order = torch.randperm(40, generator=draws)
    moved = gate(h[order], context[order])[1]
    promises.require(torch.allclose(moved, weights[order], atol=1e-6), "renumbering the nodes renumbers the weights")
    total = (gate.train()(h, context, generator=torch.Generator())[0] ** 2).sum()
    gradients = torch.autograd.grad(total, list(gate.parameters()))
    promises.require(any(bool(gradient.any()) for gradient in gradients), "learns from the fused rows")

    with torch.no_grad():
        for parameter in gate.parameters():
            parameter.zero_()
        learned.copy_(torch.tensor([-1e4, -1e4, 1e4]) * gating.temperature)
    fused, weights = gate.eval()(h, context)
    promises.require(torch.allclose(fused, h[:, 2], atol=1e-5), "one-hot weights return their channel")

    broken = context.clone()
    broken[3, 1] = torch.nan
    try:
        gate(h, broken)
    except EmbeddingError:
        promises.kept.append("NaN in the context is refused")
    else:
        promises.require(False, "NaN in the context is refused")
    try:
        gate(h[:, :2], context)
    except RequestError:
        promises.kept.append("another number of channels is refused")
    else:
        promises.require(False, "another number of channels is refused")
    return promises.kept
