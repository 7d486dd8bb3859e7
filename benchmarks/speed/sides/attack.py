"""Attacks on the edges that a graph convolutional network sees: PyG's and ours on one graph, ours on a large one."""

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from harness import report
from inputs import arguments
from torch import Tensor, nn
from torch_geometric.data import Data

import graphcl
from graphcl.adversary import Budget, Prbcd
from graphcl.encoders import GCN
from graphcl.evaluate import evasion_loss
from graphcl.graph import row_normalised

STEPS, BLOCK, SHARE = 100, 20_000, 0.05
NODES, EDGES, CLASSES = 169_343, 1_100_000, 40


def citations() -> Data:
    """A graph of the size of ogbn-arxiv: edges between nodes of the same or the next class, features of the class."""
    draws = torch.Generator().manual_seed(0)
    y = torch.randint(CLASSES, (NODES,), generator=draws)
    order = y.argsort()
    place = torch.empty_like(order)
    place[order] = torch.arange(NODES)
    source = torch.randint(NODES, (EDGES,), generator=draws)
    target = order[(place[source] + torch.randint(-2000, 2000, (EDGES,), generator=draws)) % NODES]
    low, high = torch.minimum(source, target), torch.maximum(source, target)
    codes = torch.unique((low * NODES + high)[low != high])
    pairs = torch.stack([codes // NODES, codes % NODES])
    means = torch.randn(CLASSES, 128, generator=draws)
    x = torch.randn(NODES, 128, generator=draws) + means[y]
    return Data(x=x, edge_index=torch.cat([pairs, pairs.flip(0)], 1), y=y)


def fitted(data: Data, hidden: int, epochs: int) -> nn.Module:
    """A network that knows the labels."""
    torch.manual_seed(0)
    model = GCN(data.x.size(1), [hidden, int(data.y.max()) + 1])
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)
    for _ in range(epochs):
        optimiser.zero_grad()
        F.cross_entropy(model(data.x, data.edge_index), data.y).backward()
        optimiser.step()
    return model.eval().requires_grad_(False)


def main() -> None:
    """Measure one of them."""
    parser = arguments(warmup=0, repeats=1)
    parser.add_argument("way", choices=["pyg", "graphcl", "graphcl-million"])
    parser.add_argument("graph", help="of the comparison: labels are not in it, so that it is loaded again")
    asked = parser.parse_args()
    large = asked.way == "graphcl-million"
    data = citations() if large else graphcl.load("cora")[0]
    steps = 20 if large else STEPS
    if not large:
        data.x = row_normalised(data.x)
    model = fitted(data, 64 if large else 16, 15 if large else 100)
    rows, outcome = torch.arange(data.num_nodes), list[Data]()

    def logits(graph: Data) -> Tensor:
        return model(graph.x, graph.edge_index, graph.get("edge_weight"))

    def ours() -> None:
        adversary = Prbcd(Budget(edges=SHARE), steps=steps, block=BLOCK, samples=3 if large else 20)
        loss = evasion_loss(logits, data, data.y, rows)
        outcome.append(adversary(data, loss, torch.Generator().manual_seed(0)))

    def pyg() -> None:
        from torch_geometric.contrib.nn import PRBCDAttack

        attack = PRBCDAttack(model, BLOCK, epochs=STEPS, epochs_resampling=3 * STEPS // 4, log=False)
        torch.manual_seed(0)
        edges, _ = attack.attack(data.x, data.edge_index, data.y, int(SHARE * data.num_edges / 2), rows)
        found = data.clone()
        found.edge_index = edges
        outcome.append(found)

    attack: Callable[[], None] = pyg if asked.way == "pyg" else ours
    began = time.perf_counter()

    def told() -> str:
        found = [float((logits(graph).argmax(1) == data.y).float().mean()) for graph in (data, outcome[-1])]
        each = (time.perf_counter() - began) / steps
        return f"accuracy {100 * found[0]:.1f} → {100 * found[1]:.1f}; {each:.2f} s a step"

    report(attack, asked.warmup, asked.repeats, told)


if __name__ == "__main__":
    main()
