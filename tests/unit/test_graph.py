"""Conventions on graphs: what is refused, and operators against their dense definitions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data, HeteroData

from graphcl.errors import DataError
from graphcl.graph import (
    GraphShape,
    check_graph,
    fingerprint,
    is_symmetric,
    normalised_adjacency,
    row_normalised,
    symmetrised,
    undirected_ids,
)


def edges(*pairs):
    return torch.tensor(pairs, dtype=torch.long).t().reshape(2, -1).contiguous()


def path(**changes):
    """0 - 1 - 2, and node 3 alone."""
    fields = {"x": torch.eye(4), "edge_index": edges((0, 1), (1, 0), (1, 2), (2, 1)), "y": torch.tensor([0, 1, 0, 1])}
    return Data(**{**fields, **changes})


# --- what is refused ---------------------------------------------------------------------------------------------------

NAN = torch.ones(4, 3)
NAN[2, 1] = torch.nan
NAN[3, 0] = torch.inf

REFUSED = [
    ({"x": None}, "g: no node features; set data.x to a float tensor [N, F]"),
    ({"x": torch.ones(4, 2).long()}, "g: data.x is torch.int64 [4, 2]; make it a float tensor [N, F]"),
    ({"x": torch.ones(4)}, "g: data.x is torch.float32 [4]; make it a float tensor [N, F]"),
    ({"x": torch.eye(4).to_sparse()}, "g: data.x is sparse; make it dense with data.x.to_dense()"),
    ({"x": torch.ones(0, 3)}, "g: empty graph, data.x has shape [0, 3]"),
    ({"x": torch.ones(4, 0)}, "g: empty graph, data.x has shape [4, 0]"),
    (
        {"x": NAN},
        "g: data.x holds 2 NaN or infinite values, the first at row 2, column 1; clean them, for example with "
        "torch.nan_to_num",
    ),
    ({"edge_index": None}, "g: edge_index must have shape [2, E]"),
    ({"edge_index": torch.zeros(3, 2).long()}, "g: edge_index must have shape [2, E]"),
    ({"edge_index": torch.zeros(4).long()}, "g: edge_index must have shape [2, E]"),
    (
        {"edge_index": edges((0, 1)).int()},
        "g: edge_index is torch.int32; make it torch.int64 with edge_index.long()",
    ),
    ({"edge_index": edges((0, 4))}, "g: edge_index names node 4 but there are only 4 nodes (0..3)"),
    ({"edge_index": edges((0, -1))}, "g: edge_index names node -1 but there are only 4 nodes (0..3)"),
    ({"edge_weight": torch.ones(3)}, "g: edge_weight has shape [3], expected [4]"),
    ({"edge_weight": torch.ones(4, 1)}, "g: edge_weight has shape [4, 1], expected [4]"),
    ({"edge_weight": [1.0, 1.0, 1.0, 1.0]}, "g: edge_weight is a list; make it a tensor [E]"),
    *(
        (
            {"edge_weight": torch.tensor([1.0, 1.0, 1.0, bad])},
            "g: edge_weight holds negative, NaN or infinite values; make them 0 or more",
        )
        for bad in (torch.nan, torch.inf, -0.5)
    ),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED, ids=range(len(REFUSED)))
def test_a_graph_that_would_give_nonsense_is_refused(changes, message):
    with pytest.raises(DataError) as caught:
        check_graph(path(**changes), "g")
    assert str(caught.value) == message


@pytest.mark.parametrize("thing", [HeteroData(), None, "cora", torch.eye(2)])
def test_what_is_no_graph_is_refused_by_its_type(thing):
    with pytest.raises(DataError, match=f"^graph: expected a torch_geometric.data.Data, got {type(thing).__name__}$"):
        check_graph(thing)


def test_opposite_infinities_do_not_hide_each_other():
    x = torch.zeros(4, 2)
    x[0, 0], x[0, 1] = torch.inf, -torch.inf
    with pytest.raises(DataError, match="2 NaN or infinite values, the first at row 0, column 0"):
        check_graph(path(x=x))


def test_large_finite_features_are_no_infinity():
    x = torch.full((4, 2), 3e38)  # their sum overflows
    assert check_graph(path(x=x)).x is x


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"edge_index": torch.empty(2, 0, dtype=torch.long)},
        {"edge_index": edges((3, 3))},
        {"edge_weight": torch.tensor([0.0, 0.0, 2.0, 1e30])},
        {"y": None},
    ],
)
def test_a_usable_graph_passes_unchanged(changes):
    data = path(**changes)
    assert check_graph(data) is data


def test_the_shape_tells_nodes_from_graphs():
    data = path()
    assert GraphShape.of(data) == GraphShape(4, "node")
    assert GraphShape.of([data, data]) == GraphShape(4, "graph")
    assert GraphShape.of(Batch.from_data_list([data])) == GraphShape(4, "graph")


# --- directions --------------------------------------------------------------------------------------------------------


def test_undirected_ids_by_hand():
    # pairs in order: {0,1} {0,3} {1,1} {2,3}
    index = edges((3, 0), (1, 0), (2, 3), (0, 1), (1, 1), (3, 2), (0, 3), (0, 1))
    assert undirected_ids(index, 4).tolist() == [1, 0, 3, 0, 2, 3, 1, 0]
    assert undirected_ids(edges(), 4).tolist() == []


def test_is_symmetric():
    assert is_symmetric(path())
    assert is_symmetric(path(edge_index=edges()))
    assert is_symmetric(path(edge_index=edges((2, 2))))
    assert not is_symmetric(path(edge_index=edges((0, 1), (1, 0), (1, 2))))
    assert not is_symmetric(path(edge_index=edges((0, 1), (1, 2), (2, 0))))


def test_is_symmetric_looks_at_weights():
    assert is_symmetric(path(edge_weight=torch.tensor([2.0, 2.0, 3.0, 3.0])))
    assert not is_symmetric(path(edge_weight=torch.tensor([2.0, 3.0, 3.0, 2.0])))
    # two parallel edges weigh together what the one way back weighs
    parallel = edges((0, 1), (0, 1), (1, 0))
    assert is_symmetric(path(edge_index=parallel, edge_weight=torch.tensor([1.0, 2.0, 3.0])))


def test_symmetrised_by_hand():
    out = symmetrised(path(edge_index=edges((2, 0), (0, 1), (0, 1), (3, 3))))
    assert out.edge_index.tolist() == [[0, 0, 1, 2, 3], [1, 2, 0, 0, 3]]
    assert out.num_nodes == 4


def test_symmetrised_averages_weights_and_attributes():
    data = path(
        edge_index=edges((0, 1), (1, 0), (2, 0), (3, 3)),
        edge_weight=torch.tensor([1.0, 3.0, 5.0, 7.0]),
        edge_attr=torch.tensor([[1.0, 0.0], [0.0, 1.0], [4.0, 4.0], [2.0, 0.0]]),
    )
    out = symmetrised(data)
    assert out.edge_index.tolist() == [[0, 0, 1, 2, 3], [1, 2, 0, 0, 3]]
    assert out.edge_weight.tolist() == [2.0, 5.0, 2.0, 5.0, 7.0]
    assert out.edge_attr.tolist() == [[0.5, 0.5], [4.0, 4.0], [0.5, 0.5], [4.0, 4.0], [2.0, 0.0]]


def test_symmetrised_keeps_isolated_nodes_and_its_input():
    data = Data(edge_index=edges((0, 1)), num_nodes=5)
    before = data.edge_index.clone()
    out = symmetrised(data)
    assert out.num_nodes == 5
    assert torch.equal(data.edge_index, before)
    assert is_symmetric(out)
    assert not is_symmetric(data)


def test_symmetrised_of_a_batch_keeps_it_a_batch():
    batch = Batch.from_data_list([path(edge_index=edges((0, 1))), path(edge_index=edges((2, 3)))])
    out = symmetrised(batch)
    assert isinstance(out, Batch)
    assert out.edge_index.tolist() == [[0, 1, 6, 7], [1, 0, 7, 6]]
    assert out.batch.tolist() == [0] * 4 + [1] * 4
    assert batch.edge_index.tolist() == [[0, 6], [1, 7]]


# --- operators ---------------------------------------------------------------------------------------------------------


def test_row_normalised_by_hand():
    x = torch.tensor([[1.0, -3.0, 0.0], [0.0, 0.0, 0.0], [1e-30, 0.0, 0.0], [2.0, 2.0, 4.0]])
    expected = torch.tensor([[0.25, -0.75, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.25, 0.25, 0.5]])
    assert torch.equal(row_normalised(x), expected)


def dense_reference(data, self_loops):
    """D^-1/2 (A + I) D^-1/2 by loops, loops that are there kept, with 0^-1/2 = 0."""
    n = data.num_nodes
    weight = data.get("edge_weight")
    a = torch.zeros(n, n, dtype=torch.float64)
    for k, (u, v) in enumerate(data.edge_index.t().tolist()):
        a[v, u] += 1.0 if weight is None else float(weight[k])  # row v gathers from what points at v
    if self_loops:
        for v in range(n):
            if not (data.edge_index == v).all(0).any():
                a[v, v] = 1.0
    degree = a.sum(1)
    root = torch.where(degree > 0, degree, torch.ones(())).rsqrt() * (degree > 0)
    return root[:, None] * a * root[None, :]


@st.composite
def graphs(draw, max_nodes=8):
    n = draw(st.integers(1, max_nodes))
    pairs = draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=20))
    if draw(st.booleans()):
        pairs = pairs + [(v, u) for u, v in pairs if u != v]
    weights = None
    if draw(st.booleans()):
        weights = torch.tensor(
            draw(st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=len(pairs), max_size=len(pairs)))
        )
    return Data(x=torch.eye(n).double(), edge_index=edges(*pairs), edge_weight=weights)


@given(graphs(), st.booleans())
@settings(deadline=None, max_examples=200)
def test_normalised_adjacency_equals_its_dense_definition(data, self_loops):
    found = normalised_adjacency(data, self_loops=self_loops)
    assert found.layout == torch.sparse_csr
    assert found.dtype == torch.float64
    torch.testing.assert_close(found.to_dense(), dense_reference(data, self_loops), rtol=1e-12, atol=1e-12)


def test_normalised_adjacency_by_hand():
    # path 0 - 1 - 2 with loops: degrees 2, 3, 2; node 3 alone: degree 1
    r = 6**-0.5
    expected = torch.tensor([[0.5, r, 0, 0], [r, 1 / 3, r, 0], [0, r, 0.5, 0], [0, 0, 0, 1.0]])
    torch.testing.assert_close(normalised_adjacency(path()).to_dense(), expected)
    s = 2**-0.5
    expected = torch.tensor([[0, s, 0, 0], [s, 0, s, 0], [0, s, 0, 0], [0, 0, 0, 0.0]])
    torch.testing.assert_close(normalised_adjacency(path(), self_loops=False).to_dense(), expected)


def test_normalised_adjacency_keeps_the_loop_that_is_there():
    data = Data(x=torch.ones(2, 1), edge_index=edges((0, 0)), edge_weight=torch.tensor([4.0]))
    assert normalised_adjacency(data).to_dense().tolist() == [[1.0, 0.0], [0.0, 1.0]]
    data = Data(x=torch.ones(2, 1), edge_index=edges((0, 0), (0, 1), (1, 0)), edge_weight=torch.tensor([3.0, 1.0, 1.0]))
    # degrees 4 and 2
    expected = torch.tensor([[0.75, 8**-0.5], [8**-0.5, 0.5]])
    torch.testing.assert_close(normalised_adjacency(data).to_dense(), expected)


def test_normalised_adjacency_of_a_directed_graph_gathers_from_sources():
    dense = normalised_adjacency(Data(x=torch.ones(2, 1), edge_index=edges((0, 1))), self_loops=False).to_dense()
    # row 1 gathers from 0, whose own (in-)degree is 0
    assert dense.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    dense = normalised_adjacency(Data(x=torch.ones(2, 1), edge_index=edges((0, 1)))).to_dense()
    torch.testing.assert_close(dense, torch.tensor([[1.0, 0.0], [2**-0.5, 0.5]]))


# --- fingerprints ------------------------------------------------------------------------------------------------------


@given(graphs(), st.randoms(use_true_random=False), st.floats(0.1, 10))
@settings(deadline=None)
def test_the_fingerprint_ignores_the_order_of_edges_and_the_size_of_features(data, random, factor):
    order = list(range(data.num_edges))
    random.shuffle(order)
    moved = Data(x=data.x * factor, edge_index=data.edge_index[:, order])
    plain = Data(x=data.x, edge_index=data.edge_index)
    assert fingerprint(moved) == fingerprint(plain)
    assert fingerprint(Data(x=data.x.float(), edge_index=data.edge_index)) == fingerprint(plain)


@given(graphs(), st.data())
@settings(deadline=None)
def test_the_fingerprint_sees_one_edge_label_or_word(data, draw):
    n = data.num_nodes
    base = Data(x=data.x, edge_index=data.edge_index, y=torch.zeros(n).long())
    v, f = draw.draw(st.integers(0, n - 1)), draw.draw(st.integers(0, n - 1))
    x, y = base.x.clone(), base.y.clone()
    x[v, f] = 1 - x[v, f]
    y[v] = 1
    changed = [
        Data(x=x, edge_index=base.edge_index, y=base.y),
        Data(x=base.x, edge_index=base.edge_index, y=y),
        Data(x=base.x, edge_index=torch.cat([base.edge_index, edges((v, f))], 1), y=base.y),
        Data(x=base.x, edge_index=base.edge_index),
        Data(x=torch.cat([base.x, torch.zeros(n, 1)], 1), edge_index=base.edge_index, y=base.y),
        Data(x=torch.cat([base.x, torch.zeros(1, n)]), edge_index=base.edge_index, y=torch.zeros(n + 1).long()),
    ]
    if data.num_edges:
        changed.append(Data(x=base.x, edge_index=base.edge_index[:, 1:], y=base.y))
    prints = [fingerprint(base), *map(fingerprint, changed)]
    assert len(set(prints)) == len(prints)


def test_the_fingerprint_sees_the_direction_of_an_edge():
    assert fingerprint(path(edge_index=edges((0, 1)))) != fingerprint(path(edge_index=edges((1, 0))))


def test_the_fingerprint_of_a_list_sees_the_order_and_the_number_of_graphs():
    a, b = path(), path(y=torch.zeros(4).long())
    prints = [fingerprint(graphs) for graphs in ([a, b], [b, a], [a], [a, a], a)]
    assert len(set(prints)) == 5
    assert fingerprint([a, b]) == fingerprint([a.clone(), b.clone()])


def test_the_fingerprint_never_moves():
    # data set cards carry it
    assert fingerprint(path()) == "f7bf8036fb5e86ef"
    assert fingerprint([path(), path()]) == "0273370b858f4a6e"
    assert len(fingerprint(path())) == 16
