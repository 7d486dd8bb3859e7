"""The contract of adversaries."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from graphcl.adversary.adversary import Adversary, Loss
from graphcl.adversary.budget import Budget
from graphcl.adversary.edge_space import EdgeSpace
from graphcl.adversary.random_edits import RandomFeatureFlips, RandomFlips
from graphcl.data.block_model import csbm
from graphcl.encoders.gcn import GCN
from graphcl.errors import DataError, RequestError
from graphcl.graph import is_symmetric
from graphcl.seeding import Seeds
from graphcl.testing.promises import Promises, check_config, leaves_global_random_state, same_graph

__all__ = ["attacked_model", "check_adversary"]

_RANDOM = 20


def attacked_model(seed: int = 0, nodes: int = 40) -> tuple[Data, nn.Module, Loss]:
    """A graph with two-valued features, a graph convolutional network fitted to its labels, and its cross-entropy.

    Args:
        seed: draws all of it.
        nodes: N.
    """
    graph = csbm(nodes=nodes, classes=2, degree=4.0, homophily=0.85, features=8, seed=seed)
    graph.x = (graph.x > 0).float()
    generator = Seeds(seed).torch("attacked model")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        model = GCN(8, [16, 2])
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05, weight_decay=1e-3)
    with torch.enable_grad():
        for _ in range(80):
            optimiser.zero_grad()
            F.cross_entropy(model(graph.x, graph.edge_index), graph.y).backward()
            optimiser.step()
    optimiser.zero_grad(set_to_none=True)

    def loss(data: Data) -> Tensor:
        return F.cross_entropy(model(data.x, data.edge_index, data.get("edge_weight")), graph.y)

    return graph, model.eval(), loss


def _budgets(adversary: Adversary) -> list[Budget]:
    """Nothing, a little, more."""
    edges, features = adversary.on_edges, adversary.on_features
    joint = edges and features
    made = []
    for flips, entries, radius in ((0, 0.0, 0.0), (2, 0.05, 0.05), (6, 0.2, 0.2)):
        small = adversary.budget.changes_features or joint
        made.append(
            Budget(
                flips=flips if edges else 0,
                linf=radius if features and small else 0.0,
                l0=entries if features and not small else 0.0,
            )
        )
    return made


def check_adversary(adversary: Adversary) -> list[str]:
    """Nothing for no budget, never more than it, graphs as they were otherwise; better than chance, more for more.

    Args:
        adversary: an instance; its settings are kept, its budget is not.

    Raises:
        ContractError: at the first broken promise.

    Example:
        >>> from graphcl.adversary import RandomFlips
        >>> "the budget is kept to the edge" in check_adversary(RandomFlips())
        True
    """
    promises = Promises(adversary)
    promises.kept += check_config(adversary)
    budgets = _budgets(adversary)
    for seed in range(2):
        graph, model, loss = attacked_model(seed)
        before, state = graph.clone(), {name: value.clone() for name, value in model.state_dict().items()}

        def attacked(budget: Budget, seed: int = seed, graph: Data = graph, loss: Loss = loss) -> Data:
            return adversary.replace(budget=budget)(graph, loss, Seeds(seed).torch("attack"))

        promises.require(same_graph(attacked(budgets[0]), graph), "a budget of nothing changes nothing")
        values = [float(loss(graph).detach())]
        for budget in budgets[1:]:
            out = attacked(budget)
            _check_outcome(promises, graph, out, budget)
            values.append(float(loss(out).detach()))
        promises.require(same_graph(graph, before), "the graph is never changed")
        silent = leaves_global_random_state(partial(attacked, budgets[1]))
        promises.require(silent, "with a generator the global random state is left alone")
        promises.require(same_graph(attacked(budgets[2]), attacked(budgets[2])), "the same seed gives the same bits")
        untouched = all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
        promises.require(
            untouched and not model.training and all(p.grad is None for p in model.parameters()),
            "the model behind the loss stays as it is",
        )
        if not adversary.blind:
            promises.require(values[0] <= values[1] <= values[2], "a larger budget raises the loss further", values)
            chance = max(_by_chance(graph, loss, budgets[2], number) for number in range(_RANDOM))
            promises.require(
                values[2] >= chance, f"does no worse than the best of {_RANDOM} by chance", (values, chance)
            )
    _check_refusals(promises, adversary, graph, loss)
    return promises.kept


def _check_outcome(promises: Promises, graph: Data, out: Data, budget: Budget) -> None:
    space = EdgeSpace.of(graph, budget, "contract")
    flips = space.between(out).numel()
    promises.require(flips <= budget.edge_flips(graph), "the budget is kept to the edge", flips)
    moved = (out.x - graph.x).abs()
    entries = int((moved > 0).sum())
    close = float(moved.max()) <= budget.linf * (1 + 1e-5) if budget.linf else entries <= budget.entry_flips(graph)
    promises.require(close, "the budget of the features is kept", (float(moved.max()), entries))
    source, target = out.edge_index
    plain = torch.stack([source, target]).unique(dim=1).size(1) == source.numel() and not bool((source == target).any())
    promises.require(is_symmetric(out) and plain, "an undirected, simple graph stays one")
    promises.require(out.get("edge_weight") is None and out.num_nodes == graph.num_nodes, "what comes out is a graph")
    promises.require(torch.equal(out.y, graph.y) and not out.x.requires_grad, "what is not attacked stays")


def _by_chance(graph: Data, loss: Loss, budget: Budget, number: int) -> float:
    generator = Seeds(number).torch("chance")
    out = RandomFlips(budget)(graph, generator=generator)
    out = RandomFeatureFlips(budget)(out, generator=generator)
    if budget.linf:
        out.x = out.x + budget.linf * (2 * torch.randint(2, out.x.shape, generator=generator) - 1)
    return float(loss(out).detach())


def _check_refusals(promises: Promises, adversary: Adversary, graph: Data, loss: Loss) -> None:
    attempts: list[tuple[Data, Loss | None, type[Exception], str]] = [
        (Batch.from_data_list([graph, graph]), loss, DataError, "a batch is refused")
    ]
    if adversary.on_edges:
        directed, weighted = graph.clone(), graph.clone()
        directed.edge_index = graph.edge_index[:, graph.edge_index[0] < graph.edge_index[1]]
        weighted.edge_weight = torch.ones(graph.num_edges)
        attempts += [
            (directed, loss, DataError, "directed edges are refused"),
            (weighted, loss, DataError, "weighted edges are refused"),
        ]
    if not adversary.blind:
        attempts.append((graph, None, RequestError, "without a loss it says so"))
        attempts.append((graph, lambda data: torch.ones(()), RequestError, "a loss that cannot be followed is refused"))
    for data, function, error, promise in attempts:
        try:
            adversary.replace(budget=_budgets(adversary)[2])(data, function)
        except error:
            promises.kept.append(promise)
        else:
            promises.require(False, promise)
