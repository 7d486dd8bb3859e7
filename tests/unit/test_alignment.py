"""What lies on edges and nodes goes with them: in single graphs, batches, typed graphs, and after being taken apart."""

import copy
import pickle

import numpy as np
import pytest
import torch
import torch_geometric.transforms as T
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric import EdgeIndex
from torch_geometric.data import Batch, Data, HeteroData

from graphcl.alignment import (
    append_edges,
    append_nodes,
    arrange_edges,
    graph_of_nodes,
    keep_edges,
    keep_nodes,
    node_offsets,
    plain_edge_index,
    replace_edges,
)
from graphcl.augment import (
    AdaptiveEdgeDropout,
    AdaptiveFeatureMask,
    EdgeAddition,
    EdgeDropout,
    EdgeRewiring,
    EgoNet,
    ErrorPassingEdgeAddition,
    ErrorPassingEdgeDropout,
    FeatureSmoothing,
    HalfHop,
    HomophilicEdges,
    KNNGraph,
    MessageDropout,
    NodeDropout,
    RandomWalkSubgraph,
)
from graphcl.errors import DataError

EMPTY = torch.empty(2, 0, dtype=torch.long)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def edges(*pairs):
    return torch.tensor(pairs, dtype=torch.long).t().reshape(2, -1).contiguous()


def marked(number, n, index):
    """A graph on which everything tells the graph, the node or the edge it belongs to."""
    node, edge = 1000 * number + torch.arange(n), 1000 * number + torch.arange(index.size(1))
    return Data(
        x=node.double().view(-1, 1),
        edge_index=index,
        edge_weight=1.0 + edge.double(),
        edge_attr=torch.stack([edge, -edge], 1),
        y=torch.tensor([number]),
        n_id=node,
        edge_id=edge,
        node_face=torch.stack([node, node + 1], 1).float(),
        title=f"graph {number}",
    )


RING = torch.stack([torch.arange(5), (torch.arange(5) + 1) % 5])
SHAPES = [
    (4, edges((0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (3, 2))),
    (1, EMPTY),
    (3, EMPTY),
    (5, RING),  # as many edges as nodes
    (2, edges((0, 0), (0, 1), (1, 0))),
    (6, edges((5, 0), (0, 5), (5, 0), (0, 5))),  # parallel edges, isolated nodes between
]


def members():
    return [marked(number, n, index) for number, (n, index) in enumerate(SHAPES)]


def same_data(a, b):
    mine, other = a.to_dict(), b.to_dict()
    assert mine.keys() == other.keys()
    for name, value in mine.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, other[name]), name
            assert value.dtype == other[name].dtype, name
        elif isinstance(value, np.ndarray):
            assert np.array_equal(value, other[name]), name
        else:
            assert value == other[name], name


def random_rows(total, seed, share=0.5):
    return (torch.rand(total, generator=generator(seed)) < share).nonzero().flatten()


def mask(rows, total):
    return torch.zeros(total, dtype=torch.bool).index_fill(0, torch.as_tensor(rows), True)


# --- keep_edges --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_edges_kept_in_a_batch_are_those_kept_in_each_graph(seed):
    batch = Batch.from_data_list(members())
    rows = random_rows(batch.num_edges, seed, share=(0.0, 0.3, 0.5, 0.7, 0.9, 1.0)[seed])
    keep_edges(batch, batch._store, mask(rows, batch.num_edges))
    begin = 0
    for number, member in enumerate(members()):
        count = member.num_edges
        mine = rows[(rows >= begin) & (rows < begin + count)] - begin
        begin += count
        keep_edges(member, member._store, mask(mine, count))
        same_data(batch.get_example(number), member)
    same_data(Batch.from_data_list(batch.to_data_list()), batch)


def test_the_original_batch_can_still_be_taken_apart_after_its_copy_was_changed():
    batch = Batch.from_data_list(members())
    for view in (EdgeDropout(0.8), NodeDropout(0.8), EdgeAddition(1.0), HalfHop(1.0)):
        view(batch, generator())
    for got, want in zip(batch.to_data_list(), members(), strict=True):
        same_data(got, want)


def test_attributes_whose_last_axis_runs_over_edges_are_cut_along_it():
    # "index" in a name: PyG joins and counts along the last axis
    data = marked(0, 4, SHAPES[0][1])
    data.edge_pair_index = torch.stack([data.edge_id, data.edge_id + 1, data.edge_id + 2])
    keep_edges(data, data._store, mask([1, 4], 6))
    assert data.edge_pair_index.tolist() == [[1, 4], [2, 5], [3, 6]]
    assert data.edge_attr.tolist() == [[1, -1], [4, -4]]


@pytest.mark.parametrize("threads", [1, 2])
def test_many_edges_are_kept_like_few(threads):
    # longer than the pieces that long tensors are worked on in, and no multiple of them
    n, count = 5000, 100_003
    index = torch.randint(n, (2, count), generator=generator())
    number = torch.arange(count)
    data = Data(
        x=torch.arange(float(n)).view(-1, 1),
        edge_index=index,
        edge_attr=torch.stack([number, -number, 2 * number], 1).double(),
        edge_flag=number % 3 == 0,
        edge_half=(number % 7).half(),
        edge_apart=torch.stack([number, number], 1)[:, 0],  # not contiguous
        edge_learned=number.float().requires_grad_(),
    )
    keep = torch.rand(count, generator=generator(1)) < 0.3
    keep[40_000:80_000] = False  # whole pieces without a survivor
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        out, nodes = copy.copy(data), copy.copy(data)
        keep_edges(out, out._store, keep)
        rows = random_rows(n, 2)
        keep_nodes(nodes, {None: rows})
    finally:
        torch.set_num_threads(before)
    for name in ("edge_attr", "edge_flag", "edge_half", "edge_apart", "edge_learned"):
        assert torch.equal(out[name], data[name][keep]), name
    assert torch.equal(out.edge_index, index[:, keep])
    assert out.edge_learned.requires_grad
    inside = torch.isin(index, rows).all(0)
    assert torch.equal(rows[nodes.edge_index], index[:, inside])
    assert torch.equal(nodes.edge_attr, data.edge_attr[inside])


class Sideways(Data):
    """Node and edge attributes with their nodes and edges in the columns."""

    def __cat_dim__(self, key, value, *args, **kwargs):
        return 1 if key.endswith("columns") else super().__cat_dim__(key, value, *args, **kwargs)


def sideways(number, n, index):
    data = Sideways(**marked(number, n, index).to_dict())
    data.node_columns = torch.stack([data.n_id, -data.n_id])
    data.edge_columns = torch.stack([data.edge_id, -data.edge_id, 2 * data.edge_id])
    return data


@pytest.mark.parametrize("as_batch", [False, True])
def test_the_axis_is_what_the_class_of_the_graph_says(as_batch):
    parts = [sideways(0, *SHAPES[0]), sideways(1, *SHAPES[3])]
    data = Batch.from_data_list(parts) if as_batch else parts[0]
    out = NodeDropout(0.2)(EdgeDropout(0.4)(data, generator(0)), generator(4))
    assert 0 < out.num_edges < data.num_edges
    assert torch.equal(out.node_columns, torch.stack([out.n_id, -out.n_id]))
    assert torch.equal(out.edge_columns, torch.stack([out.edge_id, -out.edge_id, 2 * out.edge_id]))
    if as_batch:
        for part in out.to_data_list():
            assert torch.equal(part.node_columns, torch.stack([part.n_id, -part.n_id]))
            assert torch.equal(part.edge_columns[0], part.edge_id)


@pytest.mark.parametrize("kind", [list, tuple])
def test_lists_on_nodes_and_edges_go_along_in_one_graph(kind):
    data = Data(x=torch.arange(4.0).view(-1, 1), edge_index=SHAPES[0][1])
    data.names = kind("abcd")
    data.bonds = kind(["ab", "ba", "bc", "cb", "cd", "dc"])
    keep_nodes(data, {None: torch.tensor([0, 2, 3])})
    assert data.names == kind("acd")
    assert data.bonds == kind(["cd", "dc"])
    assert data.edge_index.tolist() == [[1, 2], [2, 1]]


def test_arrays_on_nodes_and_edges_go_along_in_one_graph():
    data = Data(x=torch.arange(4.0).view(-1, 1), edge_index=SHAPES[0][1])
    data.charge, data.bond = np.arange(8).reshape(4, 2), np.arange(6)
    keep_nodes(data, {None: torch.tensor([0, 2, 3])})
    assert data.charge.tolist() == [[0, 1], [4, 5], [6, 7]]
    assert data.bond.tolist() == [4, 5]


def test_lists_on_the_nodes_of_a_batch_are_refused():
    # PyG keeps them as one list for each graph, which no cut of a view would follow
    parts = [Data(x=torch.arange(float(n)).view(-1, 1), edge_index=EMPTY, names=list(names), n_id=torch.arange(n))
             for n, names in ((3, "abc"), (2, "de"))]  # fmt: skip
    with pytest.raises(
        DataError, match=r"data\.names is a list for each graph of the batch with an entry for each node"
    ):
        NodeDropout(0.5)(Batch.from_data_list(parts), generator(1))


def test_lists_of_graphs_are_no_lists_of_edges():
    # two graphs, two columns of edges: what PyG holds as a list of two things belongs to the graphs
    parts = [
        Data(x=torch.ones(3, 1), edge_index=edges((0, 1)), charge=np.arange(3), title="one"),
        Data(x=torch.ones(3, 1), edge_index=edges((0, 1)), charge=np.arange(3), title="two"),
    ]
    out = EdgeDropout(1.0)(Batch.from_data_list(parts), generator())
    assert out.title == ["one", "two"]
    assert [len(charge) for charge in out.charge] == [3, 3]


def test_labels_of_graphs_are_no_attributes_of_edges():
    # two graphs with two columns of edges between them: a label each
    parts = [
        Data(x=torch.ones(2, 1), edge_index=edges((0, 1), (1, 0)), y=torch.tensor([3])),
        Data(x=torch.ones(1, 1), edge_index=EMPTY, y=torch.tensor([4])),
    ]
    for view in (EdgeDropout(1.0), MessageDropout(1.0), EdgeAddition(1.0), NodeDropout(1.0), HalfHop(1.0)):
        out = view(Batch.from_data_list(parts), generator())
        assert out.y.tolist() == [3, 4], view


def test_labels_of_graphs_are_no_attributes_of_nodes():
    # as many graphs as nodes, but not one each
    parts = [Data(num_nodes=n, edge_index=EMPTY, y=torch.tensor([n])) for n in (0, 2)]
    out = NodeDropout(1.0)(Batch.from_data_list(parts), generator())
    assert out.num_nodes == 1
    assert out.y.tolist() == [0, 2]


def test_graphs_told_by_their_number_of_nodes_only():
    parts = [Data(edge_index=index, num_nodes=n, n_id=torch.arange(n)) for n, index in SHAPES]
    batch = Batch.from_data_list(parts)
    for view in (
        EdgeDropout(0.5),
        NodeDropout(0.5),
        EdgeAddition(1.0),
        EdgeRewiring(1.0),
        EgoNet(),
        RandomWalkSubgraph(),
    ):
        out = view(batch, generator(1))
        apart = out.to_data_list()
        assert [part.num_nodes for part in apart] == out.ptr.diff().tolist()
        assert out.num_nodes == int(out.ptr[-1]) == out.batch.numel()
        for part, (n, _) in zip(apart, SHAPES, strict=True):
            assert part.num_nodes == (n if view.keeps_nodes else part.n_id.numel())
            assert part.edge_index.numel() == 0 or int(part.edge_index.max()) < part.num_nodes
        same_data(Batch.from_data_list(apart), out)


@pytest.mark.parametrize("view", [EdgeDropout(0.5), NodeDropout(0.5), EdgeAddition(1.0), HalfHop(1.0)], ids=str)
def test_what_follow_batch_adds_stays_true(view):
    batch = Batch.from_data_list([member for member in members() if member.num_edges], follow_batch=["x", "edge_attr"])
    out = view(batch, generator(1))
    assert torch.equal(out.x_batch, out.batch)
    assert torch.equal(out.edge_attr_batch, out.batch[out.edge_index[0]])
    assert torch.equal(out.x_ptr, out.ptr)
    counts = torch.bincount(out.edge_attr_batch, minlength=out.num_graphs)
    assert torch.equal(out.edge_attr_ptr.diff(), counts)


@pytest.mark.parametrize("view", [EdgeDropout(0.5), NodeDropout(0.5), EdgeAddition(1.0), HalfHop(1.0)], ids=str)
def test_a_batch_with_follow_batch_can_be_taken_apart(view):
    batch = Batch.from_data_list([member for member in members() if member.num_edges], follow_batch=["x", "edge_attr"])
    apart = view(batch, generator(1)).to_data_list()
    assert [int(part.y) for part in apart] == [0, 3, 4, 5]


def test_excluded_attributes_are_missed_by_nobody():
    batch = Batch.from_data_list(members(), exclude_keys=["edge_attr", "x", "n_id"])
    out = NodeDropout(0.3)(EdgeDropout(0.3)(batch, generator()), generator())
    assert "edge_attr" not in out
    assert len(out.to_data_list()) == len(SHAPES)


def test_a_batch_made_by_hand_has_no_cuts_but_graphs():
    # no slices, no ptr: only `batch` says which node is whose
    whole = Batch.from_data_list(members())
    batch = Batch(x=whole.x, edge_index=whole.edge_index, batch=whole.batch, edge_attr=whole.edge_attr)
    assert torch.equal(node_offsets(batch), whole.ptr)
    for view in (EdgeDropout(0.4), NodeDropout(0.4), EgoNet(), EdgeAddition(1.0), HalfHop(1.0), EdgeRewiring(1.0)):
        out = view(batch, generator())
        assert torch.equal(out.batch[out.edge_index[0]], out.batch[out.edge_index[1]])
        assert out.edge_attr.size(0) == out.num_edges
        assert out.batch.numel() == out.num_nodes
        assert out.batch.unique().numel() == len(SHAPES)


def test_pairs_to_be_predicted_are_no_attributes_of_edges():
    # T.RandomLinkSplit leaves as many of them as edges, by default, in a directed graph
    pairs, labels = RING.flip(1), torch.ones(5)
    data = Data(x=torch.ones(9, 1), edge_index=RING, edge_label=labels, edge_label_index=pairs)
    for view in (EdgeDropout(1.0), MessageDropout(1.0), EdgeAddition(1.0)):
        out = view(data, generator())
        assert out.num_edges != 5
        assert torch.equal(out.edge_label_index, pairs), view
        assert torch.equal(out.edge_label, labels), view


@pytest.mark.parametrize("view", [EdgeDropout(1.0), NodeDropout(1.0)], ids=str)
def test_a_second_form_of_the_edges_is_refused_or_follows_the_first(view):
    data = T.ToSparseTensor(remove_edge_index=False)(Data(x=torch.ones(4, 1), edge_index=SHAPES[0][1]))
    try:
        out = view(data, generator())
    except DataError as error:
        out = str(error)
    assert "adj_t" in out if isinstance(out, str) else out.adj_t.values().numel() == out.num_edges


# --- append_edges, arrange_edges, replace_edges ------------------------------------------------------------------------


def test_appended_edges_stand_in_their_graphs_with_the_attributes_of_their_likes():
    batch = Batch.from_data_list(members())
    before = batch.num_edges
    # graph 2 has nodes 5..7 and no edge; it gets one that looks like the first of graph 0
    append_edges(batch, batch._store, edges((7, 5), (0, 3), (13, 14), (14, 13)), torch.tensor([0, 5, 12, 13]))
    assert batch.num_edges == before + 4
    apart = batch.to_data_list()
    assert apart[2].edge_index.tolist() == [[2], [0]]
    assert apart[2].edge_id.tolist() == [0]
    assert apart[0].edge_index[:, -1].tolist() == [0, 3]
    assert apart[0].edge_id.tolist() == [0, 1, 2, 3, 4, 5, 5]
    assert apart[4].edge_index.tolist() == [[0, 0, 1, 0, 1], [0, 1, 0, 1, 0]]
    assert apart[4].edge_id.tolist() == [4000, 4001, 4002, 4001, 4002]
    assert apart[4].edge_attr.tolist() == [[e, -e] for e in apart[4].edge_id.tolist()]
    for number in (1, 3, 5):
        same_data(apart[number], members()[number])


@given(st.integers(0, 10**6))
@settings(max_examples=25)
def test_arranged_edges_come_grouped_by_graph_whatever_their_order(seed):
    batch = Batch.from_data_list(members())
    old = batch.edge_index
    origin = torch.randint(batch.num_edges, (12,), generator=generator(seed))
    arrange_edges(batch, batch._store, old[:, origin], origin)
    home = batch.batch[batch.edge_index[0]]
    assert bool((home.diff() >= 0).all())
    assert sorted(batch.edge_id.tolist()) == sorted(torch.cat([m.edge_id for m in members()])[origin].tolist())
    for part, member in zip(batch.to_data_list(), members(), strict=True):
        assert torch.equal(part.edge_index, member.edge_index[:, part.edge_id % 1000])
        assert torch.equal(part.edge_weight, 1.0 + part.edge_id)


def test_replaced_edges_leave_nothing_of_the_old_ones():
    batch = Batch.from_data_list(members())
    new, weight = edges((20, 19), (0, 1), (5, 6)), torch.tensor([0.3, 0.1, 0.2])
    replace_edges(batch, batch._store, new, weight)
    assert not {"edge_attr", "edge_id"} & set(batch.keys())
    apart = batch.to_data_list()
    assert [part.num_edges for part in apart] == [1, 0, 1, 0, 0, 1]
    assert [round(float(part.edge_weight.sum()), 1) for part in apart] == [0.1, 0.0, 0.2, 0.0, 0.0, 0.3]
    assert apart[5].edge_index.tolist() == [[5], [4]]
    assert apart[3].n_id.tolist() == [3000, 3001, 3002, 3003, 3004]
    same_data(Batch.from_data_list(apart), batch)


def test_replaced_edges_of_a_ring_keep_what_lies_on_its_nodes():
    data = marked(0, 5, RING)
    replace_edges(data, data._store, edges((0, 1)))
    assert "edge_weight" not in data
    assert "edge_id" not in data
    assert torch.equal(data.n_id, torch.arange(5))
    assert data.num_nodes == 5


def test_graphs_without_edge_index_get_one_and_can_be_taken_apart():
    parts = [Data(x=torch.rand(n, 3, generator=generator(n))) for n in (4, 1, 6)]
    out = KNNGraph(2)(Batch.from_data_list(parts))
    apart = out.to_data_list()
    for part, alone in zip(apart, parts, strict=True):
        same_data(part, KNNGraph(2)(alone))


# --- keep_nodes, append_nodes ------------------------------------------------------------------------------------------


def induced(data, rows):
    """The subgraph by a plain loop."""
    number = {node: place for place, node in enumerate(rows.tolist())}
    columns = [e for e, (u, v) in enumerate(data.edge_index.t().tolist()) if u in number and v in number]
    pairs = [(number[u], number[v]) for u, v in data.edge_index[:, columns].t().tolist()]
    out = copy.copy(data)
    out.edge_index = edges(*pairs) if pairs else EMPTY
    for name in ("x", "n_id", "node_face"):
        out[name] = data[name][rows]
    for name in ("edge_weight", "edge_attr", "edge_id"):
        out[name] = data[name][columns]
    return out


@pytest.mark.parametrize("seed", range(8))
def test_nodes_kept_in_a_batch_are_those_kept_in_each_graph(seed):
    batch = Batch.from_data_list(members())
    rows = random_rows(21, seed, share=0.1 * seed + 0.2)
    before = batch.ptr
    keep_nodes(batch, {None: rows})
    for number, member in enumerate(members()):
        mine = rows[(rows >= before[number]) & (rows < before[number + 1])] - before[number]
        same_data(batch.get_example(number), induced(member, mine))
    assert torch.equal(batch.ptr.diff(), torch.bincount(batch.batch, minlength=len(SHAPES)))
    assert batch.y.tolist() == [0, 1, 2, 3, 4, 5]
    assert batch.title == [f"graph {number}" for number in range(6)]


def test_no_node_left_at_all():
    batch = Batch.from_data_list(members())
    keep_nodes(batch, {None: torch.empty(0, dtype=torch.long)})
    assert (batch.num_nodes, batch.num_edges) == (0, 0)
    assert [(part.num_nodes, part.num_edges) for part in batch.to_data_list()] == [(0, 0)] * 6
    data = Data(edge_index=RING, num_nodes=5)
    keep_nodes(data, {None: torch.empty(0, dtype=torch.long)})
    assert (data.num_nodes, data.num_edges) == (0, 0)


@pytest.mark.parametrize("name", ["edge_label_index", "root_n_index", "face"])
@pytest.mark.parametrize("view", [NodeDropout(0.5), EgoNet(), RandomWalkSubgraph()], ids=str)
def test_other_node_ids_are_refused_by_name(name, view):
    data = marked(0, 4, SHAPES[0][1])
    data[name] = torch.tensor([[0, 3], [1, 2], [2, 0]]) if name == "face" else torch.tensor([[0, 3], [1, 2]])
    with pytest.raises(DataError, match=rf"data\.{name} holds node ids"):
        view(data, generator())
    # choosing edges renumbers nothing
    assert torch.equal(EdgeDropout(0.5)(data, generator())[name], data[name])


def test_other_node_ids_of_a_batch_are_refused_where_nodes_come_in_between():
    parts = [marked(number, n, index) for number, (n, index) in enumerate(SHAPES[:1] * 2)]
    for part in parts:
        part.pair_index = torch.tensor([[0], [3]])
    with pytest.raises(DataError, match=r"data\.pair_index holds node ids"):
        HalfHop(1.0)(Batch.from_data_list(parts), generator())


def test_appended_nodes_stand_behind_those_of_their_graph():
    batch = Batch.from_data_list(members())
    like = torch.tensor([20, 0, 4, 0])
    index = batch.edge_index
    place = append_nodes(batch, like)
    batch.edge_index = place[index]
    assert sorted(place.tolist()) == list(range(25))
    apart = batch.to_data_list()
    assert apart[0].n_id.tolist() == [0, 1, 2, 3, 0, 0]
    assert apart[1].n_id.tolist() == [1000, 1000]
    assert apart[5].n_id.tolist() == [5000, 5001, 5002, 5003, 5004, 5005, 5005]
    for part, member in zip(apart, members(), strict=True):
        assert torch.equal(part.edge_index, member.edge_index)
        assert torch.equal(part.edge_id, member.edge_id)
    assert batch.x.flatten()[place[21:]].tolist() == [5005.0, 0.0, 1000.0, 0.0]


def test_appended_nodes_of_one_graph_stand_at_the_end():
    data = Data(edge_index=RING, num_nodes=5, n_id=torch.arange(5), names=list("abcde"))
    assert append_nodes(data, torch.tensor([3, 3])).tolist() == list(range(7))
    assert data.num_nodes == 7
    assert data.n_id.tolist() == [0, 1, 2, 3, 4, 3, 3]
    assert data.names == list("abcdedd")


def test_marks_of_slow_nodes_are_taken_apart_too():
    out = HalfHop(1.0)(Batch.from_data_list(members()), generator())
    for part, member in zip(out.to_data_list(), members(), strict=True):
        assert part.slow_node_mask.tolist() == [False] * member.num_nodes + [True] * (part.num_nodes - member.num_nodes)


# --- graphs of several types -------------------------------------------------------------------------------------------


def typed(number, users, items, index):
    data = HeteroData()
    data["user"].x = 1000.0 * number + torch.arange(float(users)).view(-1, 1)
    data["user"].names = torch.arange(users)
    data["item"].x = 1000.0 * number + torch.arange(float(items)).view(-1, 1)
    data["user", "buys", "item"].edge_index = index
    data["user", "buys", "item"].price = 1000 * number + torch.arange(index.size(1))
    data["item", "rev_buys", "user"].edge_index = index.flip(0)
    data["user", "knows", "user"].edge_index = torch.stack([torch.arange(users), torch.arange(users).flip(0)])
    data.label = torch.tensor([number])
    return data


TYPED = [
    typed(0, 3, 4, edges((0, 3), (1, 0), (2, 2), (0, 0))),
    typed(1, 1, 1, EMPTY),
    typed(2, 2, 5, edges((1, 4), (0, 1))),
]


def typed_subgraph(data, kept):
    out = copy.copy(data)
    number = {}
    for kind, rows in kept.items():
        for name, value in data[kind].items():
            out[kind][name] = value[rows]
        number[kind] = {node: place for place, node in enumerate(rows.tolist())}
    for source, relation, target in data.edge_types:
        store = data[source, relation, target]
        at = number.get(source, {u: u for u in range(store.edge_index.max() + 1 if store.edge_index.numel() else 0)})
        to = number.get(target, {u: u for u in range(store.edge_index.max() + 1 if store.edge_index.numel() else 0)})
        columns = [e for e, (u, v) in enumerate(store.edge_index.t().tolist()) if u in at and v in to]
        pairs = [(at[u], to[v]) for u, v in store.edge_index[:, columns].t().tolist()]
        out[source, relation, target].edge_index = edges(*pairs) if pairs else EMPTY
        if "price" in store:
            out[source, relation, target].price = store.price[columns]
    return out


def same_typed(a, b):
    assert [store._key for store in a.stores] == [store._key for store in b.stores]
    for one, two in zip(a.stores, b.stores, strict=True):
        assert dict(one).keys() == dict(two).keys()
        for name, value in one.items():
            assert torch.equal(value, two[name]), (one._key, name)


KEPT = [
    {"user": [0, 2], "item": [0, 2, 3]},
    {"user": [0, 2]},
    {"item": [1]},
    {"user": [], "item": [0, 1, 2, 3]},
]


@pytest.mark.parametrize("kept", KEPT, ids=str)
def test_nodes_kept_by_type_are_an_induced_subgraph(kept):
    kept = {kind: torch.tensor(rows, dtype=torch.long) for kind, rows in kept.items()}
    out = copy.copy(TYPED[0])
    keep_nodes(out, kept)
    same_typed(out, typed_subgraph(TYPED[0], kept))


@pytest.mark.parametrize("kinds", [("user", "item"), ("user",), ("item",)], ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_a_batch_of_typed_graphs_can_be_taken_apart(kinds, seed):
    batch = Batch.from_data_list(TYPED)
    before = {kind: batch[kind].ptr for kind in kinds}
    kept = {kind: random_rows(int(batch[kind].num_nodes), seed + len(kind)) for kind in kinds}
    keep_nodes(batch, kept)
    for number, data in enumerate(TYPED):
        mine = {}
        for kind, rows in kept.items():
            low, high = before[kind][number], before[kind][number + 1]
            mine[kind] = rows[(rows >= low) & (rows < high)] - low
        same_typed(batch.get_example(number), typed_subgraph(data, mine))


@pytest.mark.parametrize("view", [EdgeDropout(0.5), MessageDropout(0.5), NodeDropout(0.5)], ids=str)
def test_views_of_a_batch_of_typed_graphs_can_be_taken_apart(view):
    batch = Batch.from_data_list(TYPED)
    for seed in range(4):
        out = view(batch, generator(seed))
        assert out.label.tolist() == [0, 1, 2]
        for number, (part, data) in enumerate(zip(out.to_data_list(), TYPED, strict=True)):
            assert part.validate()
            assert int(part.label) == number
            buys, whole = part["user", "buys", "item"], data["user", "buys", "item"]
            ends = torch.stack(
                [part["user"].x.flatten()[buys.edge_index[0]], part["item"].x.flatten()[buys.edge_index[1]]]
            )
            assert torch.equal(ends.long() - 1000 * number, whole.edge_index[:, buys.price - 1000 * number])
    for got, want in zip(batch.to_data_list(), TYPED, strict=True):
        same_typed(got, want)


def test_types_of_nodes_without_attributes_lose_nodes_in_one_graph():
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = 30, 40
    data["user", "buys", "item"].edge_index = torch.stack([torch.arange(30), torch.arange(30)])
    out = NodeDropout(0.5)(data, generator())
    assert out["user"].num_nodes < 30
    assert out["item"].num_nodes < 40
    assert out.validate()


def test_types_of_nodes_without_attributes_lose_nodes_in_a_batch():
    parts = []
    for _ in range(2):
        data = HeteroData()
        data["user"].x, data["item"].num_nodes = torch.ones(3, 1), 4
        data["user", "buys", "item"].edge_index = edges((0, 3), (2, 1))
        parts.append(data)
    out = NodeDropout(0.5)(Batch.from_data_list(parts), generator())
    assert out["item"].num_nodes == out["item"].batch.numel() == int(out["item"].ptr[-1])
    assert out["user"].x.size(0) == int(out["user"].ptr[-1])


def test_a_typed_graph_is_thinned_alike_in_both_directions_of_a_relation():
    rows = torch.randint(20, (2, 200), generator=generator())
    data = HeteroData()
    data["user"].x, data["item"].x = torch.ones(20, 1), torch.ones(20, 1)
    data["user", "buys", "item"].edge_index = rows
    data["user", "sells", "item"].edge_index = rows
    data["item", "rev_buys", "user"].edge_index = rows.flip(0)
    out = EdgeDropout(0.5)(data, generator())
    buys, sells = out["user", "buys", "item"].edge_index, out["user", "sells", "item"].edge_index
    assert torch.equal(buys, out["item", "rev_buys", "user"].edge_index.flip(0))
    # another relation between the same nodes has coins of its own
    assert not torch.equal(buys, sells)


# --- EdgeIndex, pickles, gradients -------------------------------------------------------------------------------------

ON_EDGES = [
    EdgeDropout(0.4), MessageDropout(0.4), EdgeAddition(1.0), EdgeRewiring(1.0), NodeDropout(0.4), EgoNet(hops=1),
    RandomWalkSubgraph(length=2), HalfHop(0.7), HomophilicEdges(0.4), KNNGraph(2), AdaptiveEdgeDropout(0.5),
    AdaptiveFeatureMask(0.5, "pagerank"), ErrorPassingEdgeDropout(0.4), ErrorPassingEdgeAddition(1.0), FeatureSmoothing(),
]  # fmt: skip


@pytest.mark.parametrize("view", ON_EDGES, ids=str)
@pytest.mark.parametrize("as_batch", [False, True])
def test_pyg_edge_index_gives_the_view_of_the_plain_tensor(view, as_batch):
    plain = torch.cat([RING, RING.flip(0)], 1)
    plain = plain[:, torch.argsort(plain[0], stable=True)]
    special = EdgeIndex(plain, sparse_size=(5, 5), sort_order="row", is_undirected=True)
    x = torch.rand(5, 4, generator=generator()) + 0.1
    one, two = Data(x=x, edge_index=special), Data(x=x, edge_index=plain)
    if as_batch:
        one, two = Batch.from_data_list([one, one]), Batch.from_data_list([two, two])
    out, expected = view(one, generator(1)), view(two, generator(1))
    assert torch.equal(plain_edge_index(out._store), expected.edge_index)
    assert torch.equal(out.x, expected.x)
    if isinstance(out.edge_index, EdgeIndex):
        out.edge_index.validate()  # what it remembers is still true
    if as_batch:
        for got, want in zip(out.to_data_list(), expected.to_data_list(), strict=True):
            assert torch.equal(plain_edge_index(got._store), want.edge_index)


@pytest.mark.parametrize("view", ON_EDGES, ids=str)
def test_views_of_batches_survive_pickles_and_deep_copies(view):
    parts = [
        Data(x=torch.rand(n, 3, generator=generator(n)).double() + 0.1, edge_index=index, y=torch.tensor([n]))
        for n, index in SHAPES
    ]
    out = view(Batch.from_data_list(parts), generator(3))
    for twin in (pickle.loads(pickle.dumps(out)), copy.deepcopy(out), out.clone()):
        assert type(twin) is type(out)
        for got, want in zip(twin.to_data_list(), out.to_data_list(), strict=True):
            same_data(got, want)
    # and the twin is a batch that can be viewed again
    again = view(pickle.loads(pickle.dumps(out)), generator(4))
    assert torch.equal(again.edge_index, view(out, generator(4)).edge_index)


@pytest.mark.parametrize("view", ON_EDGES, ids=str)
def test_columns_of_edges_may_lie_apart_in_memory(view):
    apart = torch.randint(9, (20, 2), generator=generator()).t()
    assert not apart.is_contiguous()
    x = torch.rand(9, 4, generator=generator())
    one, two = (
        view(Data(x=x, edge_index=apart), generator(1)),
        view(Data(x=x, edge_index=apart.contiguous()), generator(1)),
    )
    assert torch.equal(one.edge_index, two.edge_index)
    assert torch.equal(one.x, two.x)


@pytest.mark.parametrize("view", ON_EDGES, ids=str)
def test_a_batch_of_one_graph_has_the_view_of_the_graph(view):
    data = marked(0, 9, torch.randint(9, (2, 20), generator=generator()))
    data.x = torch.rand(9, 4, generator=generator())
    expected = view(data, generator(1))
    (part,) = view(Batch.from_data_list([data]), generator(1)).to_data_list()
    for name in ("x", "edge_index", "n_id", "edge_weight"):
        assert torch.equal(part[name], expected[name]), name


def test_gradients_pass_through_choices_of_edges_and_nodes():
    weight = torch.rand(6, generator=generator()).requires_grad_()
    x = torch.rand(4, 2, generator=generator(1)).requires_grad_()
    data = Data(x=x, edge_index=SHAPES[0][1], edge_weight=weight)
    keep_nodes(data, {None: torch.tensor([1, 2, 3])})
    of_x, of_weight = torch.autograd.grad(data.x.sum() + data.edge_weight.sum(), [x, weight])
    assert of_x.tolist() == [[0, 0], [1, 1], [1, 1], [1, 1]]
    assert of_weight.tolist() == [0, 0, 1, 1, 1, 1]


def test_node_offsets_and_graphs_of_nodes():
    batch = Batch.from_data_list(members())
    assert node_offsets(batch).tolist() == [0, 4, 5, 8, 13, 15, 21]
    assert torch.equal(graph_of_nodes(batch), batch.batch)
    assert node_offsets(members()[0]).tolist() == [0, 4]
    assert graph_of_nodes(members()[0]).tolist() == [0] * 4
    mixed = Batch.from_data_list(TYPED)
    assert node_offsets(mixed, "item").tolist() == [0, 4, 5, 10]
    assert graph_of_nodes(mixed, "user").tolist() == [0, 0, 0, 1, 2, 2]
