"""Graphs as loaders and hand-written loops make them: samples with seeds, vectors of graphs, lists of views."""

import pytest
import torch
from torch_geometric.data import Batch, Data

from graphcl.augment import (
    EdgeAddition,
    EdgeDropout,
    EgoNet,
    FeatureMask,
    HighFrequencyEmphasis,
    KNNGraph,
    LearnedEdgeNoise,
    LowRankView,
    MessageDropout,
    NodeDropout,
    PPRDiffusion,
    PPRSubgraph,
    RandomWalkSubgraph,
)
from graphcl.errors import DataError
from graphcl.graph import GraphShape, is_symmetric


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def ring(n, seed=0):
    nodes = torch.arange(n)
    edges = torch.stack([nodes, (nodes + 1) % n])
    return Data(x=torch.rand(n, 6, generator=generator(seed)) + 0.1, edge_index=torch.cat([edges, edges.flip(0)], 1))


def sampled():
    data = ring(12)
    data.update({"batch_size": 4, "num_sampled_nodes": [4, 8], "num_sampled_edges": [24]})
    return data


@pytest.mark.parametrize("view", [NodeDropout(), EgoNet(), RandomWalkSubgraph(), PPRSubgraph(5)], ids=str)
def test_seeds_of_a_sample_are_not_lost(view):
    with pytest.raises(DataError, match=rf"^{type(view).__name__}: data\.batch_size says .*augment before the loader"):
        view(sampled(), generator())


@pytest.mark.parametrize("view", [EdgeDropout(0.5), MessageDropout(0.5), EdgeAddition(0.5)], ids=str)
def test_counts_of_a_sampler_do_not_outlive_its_edges(view):
    out = view(sampled(), generator())
    assert out.batch_size == 4
    assert "num_sampled_edges" not in out
    assert "num_sampled_edges" in FeatureMask(0.5)(sampled(), generator())


def vector(*sizes):
    """Several graphs as a plain `Data` with a vector ``batch``."""
    whole = Batch.from_data_list([ring(n, seed) for seed, n in enumerate(sizes)])
    return Data(x=whole.x, edge_index=whole.edge_index, batch=whole.batch, n_id=torch.arange(whole.num_nodes))


@pytest.mark.parametrize("view", [EdgeAddition(1.0), KNNGraph(3), PPRDiffusion(k=4), NodeDropout(0.3)], ids=str)
def test_a_vector_of_graphs_keeps_them_apart(view):
    data = vector(7, 5, 9)
    for seed in range(20):
        out = view(data, generator(seed))
        assert torch.equal(out.batch[out.edge_index[0]], out.batch[out.edge_index[1]])
        assert torch.equal(out.batch, data.batch[out.n_id])


def test_no_graph_of_a_vector_loses_all_its_nodes():
    assert NodeDropout(1.0)(vector(7, 5, 9), generator()).batch.tolist() == [0, 1, 2]


def test_an_unsorted_vector_is_refused():
    data = vector(3, 3)
    data.batch = data.batch.flip(0)
    with pytest.raises(DataError, match=r"^NodeDropout: data\.batch is not sorted"):
        NodeDropout()(data, generator())


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize(
    "view",
    [HighFrequencyEmphasis(), LowRankView(2), PPRDiffusion(), KNNGraph(2), LearnedEdgeNoise()],
    ids=lambda view: type(view).__name__,
)
def test_views_of_graphs_with_and_without_edges_can_be_put_into_a_batch(view, first):
    graphs = [ring(8), Data(x=torch.rand(1, 6), edge_index=torch.empty(2, 0, dtype=torch.long)), ring(5)]
    graphs = graphs[first:] + graphs[:first]
    call = view.build(GraphShape.of(graphs[0]), generator()) if isinstance(view, LearnedEdgeNoise) else view
    batch = Batch.from_data_list([call(graph, generator()) for graph in graphs])
    assert batch.edge_weight.shape == (batch.num_edges,)
    assert is_symmetric(Data(edge_index=batch.edge_index, edge_weight=batch.edge_weight.detach(), num_nodes=14))


@pytest.mark.parametrize(
    "view", [EdgeDropout(0.4), MessageDropout(0.4), NodeDropout(0.4), HighFrequencyEmphasis()], ids=str
)
def test_large_views_are_made_in_inference_mode(view):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    data = ring(200_000)
    with torch.inference_mode():
        inside = view(data, generator(1))
    torch.set_num_threads(before)
    outside = view(data, generator(1))
    assert torch.equal(inside.edge_index, outside.edge_index)


def test_a_generator_of_another_kind_is_refused():
    with pytest.raises(ValueError, match=r"^EdgeDropout: generator is a int; give a torch.Generator"):
        EdgeDropout()(ring(4), 0)
