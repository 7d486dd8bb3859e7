"""Diffusion views: what becomes of a graph, a batch and what lies on them."""

import copy

import pytest
import torch
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.loader import DataLoader

from graphcl.augment.diffusion import HeatDiffusion, MarkovDiffusion, PPRDiffusion
from graphcl.errors import DataError, RequestError
from graphcl.hashing import is_undirected
from graphcl.ops.diffuse import diffusion_reference
from graphcl.ops.kernels import Heat, Markov, Teleport
from graphcl.testing import check_augmenter

VIEWS = [PPRDiffusion(), HeatDiffusion(), MarkovDiffusion()]


def path(n, **more):
    around = torch.arange(n - 1)
    edges = torch.stack([around, around + 1])
    return Data(
        x=torch.randn(n, 3, generator=torch.Generator().manual_seed(n)),
        edge_index=torch.cat([edges, edges.flip(0)], 1),
        **more,
    )


@pytest.mark.parametrize(
    "view",
    [
        *VIEWS,
        PPRDiffusion(k=3, self_loops=False),
        PPRDiffusion(k=None, threshold=0.01),
        HeatDiffusion(0.5, k=2),
        MarkovDiffusion(3, 0.0, k=7, threshold=0.02),
    ],
    ids=repr,
)
def test_the_contract_holds(view):
    assert len(check_augmenter(view)) > 20


@pytest.mark.parametrize(
    ("view", "kernel"),
    [
        (PPRDiffusion(0.3, k=9), Teleport(0.3)),
        (HeatDiffusion(2.0, k=9), Heat(2.0)),
        (MarkovDiffusion(4, 0.1, k=9), Markov(4, 0.1)),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("self_loops", [False, True])
def test_the_weight_of_an_edge_is_the_entry_of_its_target_and_source(view, kernel, directed, self_loops):
    data = path(9, edge_weight=torch.linspace(0.5, 2, 8).repeat(2))
    if directed:
        data.edge_index, data.edge_weight = data.edge_index[:, :8], data.edge_weight[:8]
    exact = diffusion_reference(data.edge_index, 9, kernel, data.edge_weight, self_loops=self_loops)
    out = view.replace(self_loops=self_loops)(data)
    found = torch.zeros(9, 9, dtype=torch.float64)
    found[out.edge_index[1], out.edge_index[0]] = out.edge_weight.double()
    assert (found - exact).abs().max() < 1e-5
    if directed and not self_loops:
        # the edges lead on: what comes after a node is nothing to it
        assert not found.triu(1).any()
        assert found[0, 0] > 0.9999


def test_k_counts_what_a_node_chooses_itself():
    # the leaves of a star choose the hub, which chooses one of them beside itself
    leaves = torch.arange(1, 8)
    star = torch.stack([torch.zeros_like(leaves), leaves])
    data = Data(edge_index=torch.cat([star, star.flip(0)], 1), num_nodes=8)
    out = PPRDiffusion(0.2, k=2)(data)
    degrees = torch.bincount(out.edge_index[1], minlength=8)
    assert degrees.tolist() == [8] + [2] * 7
    directed = PPRDiffusion(0.2, k=2)(Data(edge_index=star.flip(0), num_nodes=8))
    assert torch.bincount(directed.edge_index[1], minlength=8).tolist() == [2] + [1] * 7


def test_a_threshold_keeps_what_reaches_it():
    full = PPRDiffusion(k=None, threshold=1e-9)(path(12))
    some = PPRDiffusion(k=None, threshold=0.1)(path(12))
    assert some.edge_weight.min() >= 0.1
    assert some.num_edges == (full.edge_weight >= 0.1).sum() < full.num_edges == 144


def test_a_node_without_edges_has_its_loop_alone():
    data = path(4)
    data.x = torch.ones(6, 3)
    for view in VIEWS:
        for self_loops in (True, False):
            out = view.replace(self_loops=self_loops)(data)
            lonely = out.edge_index.ge(4).any(0)
            assert out.edge_index[:, lonely].tolist() == [[4, 5], [4, 5]]
            torch.testing.assert_close(out.edge_weight[lonely], torch.ones(2), atol=1e-5, rtol=0)


@pytest.mark.parametrize("view", VIEWS, ids=repr)
def test_what_lay_on_the_edges_goes_and_what_lies_on_nodes_stays(view):
    data = path(5, edge_attr=torch.ones(8, 2), y=torch.arange(5), name="path")
    before = copy.deepcopy(data)
    out = view(data)
    assert "edge_attr" not in out
    assert out.edge_weight.shape == (out.num_edges,)
    assert torch.equal(out.x, data.x)
    assert out.name == "path"
    assert torch.equal(data.edge_attr, before.edge_attr)
    assert torch.equal(data.edge_index, before.edge_index)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float32])
def test_weights_are_of_the_type_of_the_features(dtype):
    data = path(5)
    data.x = data.x.to(dtype)
    out = PPRDiffusion()(data)
    assert out.edge_weight.dtype == dtype
    assert is_undirected(out.edge_index)
    ids = torch.tensor([[3], [4]])
    assert PPRDiffusion()(Data(x=ids, edge_index=torch.tensor([[0, 1], [1, 0]]))).edge_weight.dtype == torch.float32


def test_learned_weights_are_taken_as_they_are():
    weight = torch.ones(8, requires_grad=True)
    out = PPRDiffusion()(path(5, edge_weight=weight))
    assert not out.edge_weight.requires_grad


@pytest.mark.parametrize("columns", [1, 2])
def test_weights_are_one_number_for_each_edge(columns):
    with pytest.raises(DataError, match=rf"PPRDiffusion: data\.edge_weight has shape \[8, {columns}\], expected \[8\]"):
        PPRDiffusion()(path(5, edge_weight=torch.ones(8, columns)))


def test_a_batch_of_views_is_the_views_of_its_graphs():
    graphs = [
        path(5, edge_attr=torch.ones(8, 1)),
        path(1, edge_attr=torch.ones(0, 1)),
        path(40, edge_attr=torch.ones(78, 1)),
    ]
    for view in VIEWS:
        out = view(Batch.from_data_list(graphs))
        for one, member in zip(out.to_data_list(), graphs, strict=True):
            alone = view(member)
            assert torch.equal(one.edge_index, alone.edge_index)
            torch.testing.assert_close(one.edge_weight, alone.edge_weight)
            assert torch.equal(one.x, member.x)


def test_in_a_loader():
    loader = DataLoader([path(n) for n in (3, 4, 5, 6)], batch_size=2)
    for batch in loader:
        out = PPRDiffusion(k=2)(batch)
        graph = out.batch[out.edge_index]
        assert torch.equal(graph[0], graph[1])


def test_no_edges_and_no_nodes():
    empty = torch.empty(2, 0, dtype=torch.long)
    for view in VIEWS:
        out = view(Data(x=torch.ones(3, 2), edge_index=empty))
        assert out.edge_index.tolist() == [[0, 1, 2], [0, 1, 2]]
        torch.testing.assert_close(out.edge_weight, torch.ones(3), atol=1e-5, rtol=0)
        assert view(Data(x=torch.ones(0, 2), edge_index=empty)).edge_index.shape == (2, 0)


def test_nothing_is_drawn():
    source = torch.Generator().manual_seed(1)
    before = source.get_state()
    state = torch.get_rng_state()
    a, b = (PPRDiffusion()(path(7), source) for _ in range(2))
    assert torch.equal(a.edge_weight, b.edge_weight)
    assert torch.equal(source.get_state(), before)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("cls", "values", "message"),
    [
        (PPRDiffusion, {"teleport": 0.0}, r"PPRDiffusion\.teleport = 0\.0"),
        (PPRDiffusion, {"teleport": 1.1}, r"PPRDiffusion\.teleport = 1\.1"),
        (PPRDiffusion, {"k": 0}, r"PPRDiffusion\.k = 0"),
        (PPRDiffusion, {"tolerance": 0.0}, r"PPRDiffusion\.tolerance = 0\.0"),
        (PPRDiffusion, {"threshold": -0.1}, r"PPRDiffusion\.threshold = -0\.1"),
        (HeatDiffusion, {"time": 0.0}, r"HeatDiffusion\.time = 0\.0"),
        (HeatDiffusion, {"k": None}, r"HeatDiffusion\.k = None with threshold = 0 keeps all N² entries; set one"),
        (MarkovDiffusion, {"order": 0}, r"MarkovDiffusion\.order = 0"),
        (MarkovDiffusion, {"teleport": -0.1}, r"MarkovDiffusion\.teleport = -0\.1"),
    ],
)
def test_parameters_out_of_range_are_refused(cls, values, message):
    with pytest.raises(RequestError, match=message):
        cls(**values)


@pytest.mark.parametrize("view", VIEWS, ids=repr)
def test_weights_no_walk_can_follow_are_refused(view):
    name = type(view).__name__
    weight = torch.ones(8)
    weight[3] = -1
    with pytest.raises(DataError, match=rf"{name}: data\.edge_weight is negative, first at edge 3; .*clamp"):
        view(path(5, edge_weight=weight))
    with pytest.raises(DataError, match=f"{name} takes one kind of nodes"):
        view(HeteroData())
