"""Rates over a training, optimisers, batches of graphs, frozen parameters, and sums over neighbours."""

import math
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch_geometric.data import Batch, Data

from graphcl.batches import GraphBatches
from graphcl.encoders.pooling import readout
from graphcl.errors import RequestError
from graphcl.methods.recipe import Method, Paper, Recipe
from graphcl.ops.propagate import multiply, sum_operator
from graphcl.plan import Plan
from graphcl.seeding import Seeds
from graphcl.train import embed, fit, start

GRAPH = Data(x=torch.ones(3, 1), edge_index=torch.tensor([[0, 1], [1, 0]]))


class Scalar(Method):
    """One parameter that slides down a slope of 1, and one that never moves."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([2.0]))
        self.still = nn.Parameter(torch.tensor([5.0]), requires_grad=False)

    def loss(self, batch, generator, part="model"):
        return {"slope": self.w.sum()}

    def embed(self, batch):
        return batch.x * self.w


def trace(plan: Plan) -> list[float]:
    method = Scalar()
    before = [2.0]
    for _ in fit(method, [GRAPH], plan, Seeds(0).torch("t")):
        pass
    return [*before, float(method.w.detach())]


def test_the_rate_warms_up_and_falls_by_half_a_cosine():
    plan = Plan(epochs=10, warmup=0.2, decay="cosine")
    expected = [0, 0.5] + [0.5 * (1 + math.cos(math.pi * k / 8)) for k in range(8)]
    assert [plan.rate_at(k / 10) for k in range(10)] == pytest.approx(expected)
    assert [Plan().rate_at(k / 10) for k in range(10)] == [1.0] * 10


def test_each_epoch_uses_its_rate():
    # Adam on a constant slope moves by the rate itself
    plan = Plan(epochs=4, lr=0.1, warmup=0.5, decay="cosine")
    moved = 0.1 * sum(plan.rate_at(k / 4) for k in range(4))
    assert trace(plan)[-1] == pytest.approx(2.0 - moved, abs=1e-5)


def test_adamw_decays_apart_from_the_gradient():
    # one step: w (1 - lr wd) - lr; Adam's own step does not see the size of the gradient
    assert trace(Plan(epochs=1, lr=0.1, weight_decay=0.5, optimiser="adamw"))[-1] == pytest.approx(2 * 0.95 - 0.1)
    assert trace(Plan(epochs=1, lr=0.1, weight_decay=0.5, optimiser="adam"))[-1] == pytest.approx(2 - 0.1)


def test_what_is_frozen_does_not_move_and_what_is_all_frozen_is_refused():
    method = Scalar()
    fit(method, [GRAPH], Plan(epochs=3, lr=0.1, weight_decay=0.5, optimiser="adamw"), Seeds(0).torch("t"))
    assert float(method.still) == 5.0
    method.w.requires_grad_(False)
    with pytest.raises(RequestError, match="has nothing to train"):
        fit(method, [GRAPH], Plan(epochs=1), Seeds(0).torch("t"))


def members(count: int) -> list[Data]:
    return [
        Data(x=torch.full((2 + i % 3, 1), float(i)), edge_index=torch.tensor([[0, 1], [1, 0]]), y=torch.tensor([i]))
        for i in range(count)
    ]


@given(count=st.integers(1, 20), size=st.integers(1, 22), seed=st.integers(0, 99))
def test_an_epoch_holds_every_graph_once(count, size, seed):
    batches = GraphBatches(members(count), size, torch.Generator().manual_seed(seed))
    for _ in range(2):
        seen = list(batches)
        assert len(seen) == len(batches)
        assert sorted(torch.cat([batch.y for batch in seen]).tolist()) == list(range(count))
        assert all(batch.num_graphs > 1 for batch in seen) or size == 1 or count == 1
        assert all(batch.num_graphs <= size + 1 for batch in seen)


def test_epochs_differ_and_seeds_repeat():
    def orders(seed):
        batches = GraphBatches(members(20), 4, torch.Generator().manual_seed(seed))
        return [torch.cat([batch.y for batch in batches]).tolist() for _ in range(2)]

    assert orders(0)[0] != orders(0)[1]
    assert orders(0) == orders(0)
    assert orders(0) != orders(1)


def test_batches_of_nothing_are_refused():
    with pytest.raises(RequestError, match="0 graphs in batches of 2"):
        GraphBatches([], 2, torch.Generator())


@dataclass(frozen=True, kw_only=True)
class Counting(Recipe):
    """Counts the graphs of its batches."""

    paper: ClassVar = Paper("a2024b", "t", "v", "https://example.org")
    levels: ClassVar = ("node", "graph")

    def assemble(self, shape):
        return CountingMethod()


class CountingMethod(Scalar):
    def loss(self, batch, generator, part="model"):
        self.seen = [*getattr(self, "seen", []), batch.num_graphs if isinstance(batch, Batch) else 0]
        return super().loss(batch, generator)

    def embed(self, batch):
        return readout(batch.x * self.w, batch, "mean")


def test_a_plan_says_how_many_graphs_are_in_a_batch():
    recipe = Counting(plan=Plan(epochs=2, batch_size=4))
    training = start(recipe, members(10), 0)
    list(training.steps)
    assert training.method.seen == [4, 4, 2] * 2
    assert embed(recipe, members(10)).shape == (10, 1)
    whole = start(Counting(plan=Plan(epochs=2)), Batch.from_data_list(members(10)), 0)
    list(whole.steps)
    assert whole.method.seen == [10, 10]


def test_readouts_by_hand():
    batch = Batch.from_data_list(members(3))  # 2, 3 and 4 nodes of value 0, 1, 2
    x = torch.arange(9.0).view(-1, 1)
    assert readout(x, batch, "sum").flatten().tolist() == [1, 9, 26]
    assert readout(x, batch, "mean").flatten().tolist() == [0.5, 3, 6.5]
    assert readout(x, batch, "max").flatten().tolist() == [1, 4, 8]
    assert readout(x[:3], GRAPH, "sum").tolist() == [[3.0]]


@given(seed=st.integers(0, 50), weighted=st.booleans())
def test_the_sum_operator_is_the_adjacency(seed, weighted):
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(0, 5, (2, 12), generator=generator)  # loops and parallel edges among them
    weight = torch.rand(12, generator=generator, dtype=torch.float64, requires_grad=True) if weighted else None
    x = torch.randn(5, 2, generator=generator, dtype=torch.float64)
    pattern, values = sum_operator(edges, 5, weight, torch.float64)
    found = multiply(pattern, values, x)
    expected = torch.zeros(5, 2, dtype=torch.float64)
    for e in range(12):
        expected[edges[1, e]] += (1.0 if weight is None else weight[e].detach()) * x[edges[0, e]]
    assert torch.allclose(found, expected)
    if weight is not None:
        (slope,) = torch.autograd.grad(found.sum(), weight)
        assert torch.allclose(slope, x[edges[0]].sum(1))
