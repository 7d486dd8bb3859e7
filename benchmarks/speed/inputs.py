"""What measured scripts begin with: their arguments, a graph from its file, two views.

In one place, so that the sides of a comparison work on the same numbers. No graphcl here: environments of other
libraries import it too.
"""

import argparse

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import coalesce, to_undirected

__all__ = ["EDGES", "FEATURES", "NODES", "arguments", "difference", "million", "read_graph", "views"]

NODES, EDGES, FEATURES = 100_000, 1_000_000, 64
"""Sizes of `million`."""


def arguments(warmup: int = 2, repeats: int = 5) -> argparse.ArgumentParser:
    """A parser that knows how often the work is done."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--warmup", type=int, default=warmup)
    parser.add_argument("--repeats", type=int, default=repeats)
    return parser


def read_graph(path: str, features: bool = True) -> Data:
    """A graph written by `export_graph.py`; its features are the larger part and left in the file where not needed."""
    with np.load(path) as file:
        x = torch.from_numpy(file["x"]) if features else None
        return Data(x=x, edge_index=torch.from_numpy(file["edge_index"]), num_nodes=int(file["num_nodes"]))


def million() -> Data:
    """A random undirected simple graph of a million edges: each is stored in both directions, sorted."""
    generator = torch.Generator().manual_seed(0)
    pairs = torch.randint(NODES, (2, EDGES + EDGES // 100), generator=generator)
    pairs = coalesce(pairs[:, pairs[0] != pairs[1]].sort(0).values, num_nodes=NODES)
    chosen = torch.randperm(pairs.size(1), generator=generator)[:EDGES].sort().values
    edges = to_undirected(pairs[:, chosen], num_nodes=NODES)
    return Data(x=torch.randn(NODES, FEATURES, generator=generator), edge_index=edges)


def views(nodes: int, width: int) -> tuple[Tensor, Tensor]:
    """Embeddings of two views that resemble each other, ``[N, D]`` each and asking for gradients."""
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(nodes, width, generator=generator)
    b = a + torch.randn(nodes, width, generator=generator)
    return a.requires_grad_(), b.requires_grad_()


def difference(found: Tensor, expected: Tensor) -> float:
    """Length of the difference as a share of what was expected."""
    return float((found.double() - expected.double()).norm() / expected.double().norm())
