"""Personalised PageRank of all nodes, the 32 largest entries of each: graphcl, or PyG's GDC over the dense inverse."""

from collections.abc import Callable

import numpy as np
import torch
from harness import report
from inputs import arguments, million, read_graph
from torch_geometric.data import Data
from torch_geometric.transforms import GDC

from graphcl.augment import PPRDiffusion

TELEPORT, K = 0.2, 32
CHECKED = 4000
"""Nodes up to which the kept entries are compared with the dense inverse in float64."""


def prepared(way: str, data: Data) -> Callable[[], Data]:
    """The diffusion, as a call on a graph that it has not seen: what is remembered is not what is measured."""
    plain = Data(edge_index=data.edge_index, num_nodes=data.num_nodes)
    if way == "gdc":
        exact = GDC(
            normalization_in="sym", normalization_out=None, exact=True,
            diffusion_kwargs={"method": "ppr", "alpha": TELEPORT},
            sparsification_kwargs={"method": "topk", "k": K, "dim": 0},
        )  # fmt: skip
        return lambda: exact(plain)
    times = 0

    def call() -> Data:
        nonlocal times
        times += 1
        # a last digit of the teleport that changes nothing to speak of, and the key of the memory
        return PPRDiffusion(TELEPORT + times * 1e-9, k=K)(plain)

    return call


def difference(data: Data, view: Data) -> float:
    """The largest error at the kept entries."""
    n = int(data.num_nodes or 0)
    adjacency = np.eye(n)
    source, target = data.edge_index.numpy()
    adjacency[target, source] = 1.0
    scale = adjacency.sum(1) ** -0.5
    inverse = TELEPORT * np.linalg.inv(np.eye(n) - (1 - TELEPORT) * scale[:, None] * adjacency * scale)
    u, v = view.edge_index.numpy()
    return float(np.abs(inverse[v, u] - view.edge_weight.numpy()).max())


def main() -> None:
    """Measure one way of computing it."""
    parser = arguments()
    parser.add_argument("way", choices=("gdc", "graphcl"))
    parser.add_argument("graph", help="a file, or 'million'")
    asked = parser.parse_args()
    data = million() if asked.graph == "million" else read_graph(asked.graph, features=False)
    call = prepared(asked.way, data)
    seen = []

    def step() -> None:
        seen[:] = [call()]

    def note() -> str:
        kept = f"{seen[0].num_edges:,} entries kept"
        if int(data.num_nodes or 0) > CHECKED or asked.way == "gdc":
            return kept
        return f"{kept}, off by {difference(data, seen[0]):.1e} at most"

    report(step, asked.warmup, asked.repeats, note)


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
