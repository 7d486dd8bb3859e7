"""The contract of augmenters, fixed and learned."""

import ast
import copy
import pickle
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.transforms import Compose

import graphcl.augment
from graphcl.augment.augmenter import Augmentation, Augmenter
from graphcl.augment.learned import LearnedAugmenter
from graphcl.errors import DataError, GraphclError, RequestError
from graphcl.graph import GraphShape, check_graph, is_symmetric
from graphcl.testing.promises import (
    Promises,
    check_config,
    leaves_global_random_state,
    same_graph,
    sample_graph,
    tensors_of,
)

__all__ = ["check_augmenter"]

View = Callable[..., Any]


def check_augmenter(augmenter: Augmentation) -> list[str]:
    """Purity, seeds, alignment, symmetry, rates, batches, odd graphs, hostile input, equivariance, gradients.

    Args:
        augmenter: an instance; a learned one is built first, and its module is what is checked.

    Raises:
        ContractError: at the first broken promise.

    Example:
        >>> from graphcl.augment import EdgeDropout
        >>> "an undirected graph stays undirected" in check_augmenter(EdgeDropout(0.3))
        True
    """
    promises = Promises(augmenter)
    promises.kept += check_config(augmenter)
    _check_copies(promises, augmenter)
    if isinstance(augmenter, LearnedAugmenter):
        module = _built(promises, augmenter)
        trial = _Trial(promises, augmenter, module, module)
    else:
        trial = _Trial(promises, augmenter, augmenter, augmenter)
    trial.purity()
    trial.symmetry()
    trial.memory()
    trial.compose()
    trial.sparse()
    trial.rates()
    trial.alignment()
    trial.batches()
    trial.odd_graphs()
    trial.heterogeneous()
    trial.hostile()
    trial.equivariance()
    trial.gradients()
    trial.draws()
    return promises.kept


def _check_copies(promises: Promises, augmenter: Augmentation) -> None:
    promises.require(pickle.loads(pickle.dumps(augmenter)) == augmenter, "survives pickling")
    promises.require(copy.deepcopy(augmenter) == augmenter, "survives a deep copy")
    cls = type(augmenter)
    if cls.__module__.startswith("graphcl."):
        promises.require(_evaluated(repr(augmenter)) == augmenter, "its repr rebuilds it", repr(augmenter))


def _evaluated(text: str) -> Any:
    """The value of a repr made of literals and calls of what `graphcl.augment` exports."""

    def value(node: ast.expr) -> Any:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            keywords = {str(word.arg): value(word.value) for word in node.keywords}
            return getattr(graphcl.augment, node.func.id)(*(value(argument) for argument in node.args), **keywords)
        if isinstance(node, ast.Tuple):
            return tuple(value(item) for item in node.elts)
        if isinstance(node, ast.Dict):
            return {value(key): value(item) for key, item in zip(node.keys, node.values, strict=True) if key}
        return ast.literal_eval(node)

    return value(ast.parse(text, mode="eval").body)


def _built(promises: Promises, augmenter: LearnedAugmenter) -> Any:
    shape = GraphShape.of(_graph(augmenter, 0))

    def build() -> Any:
        return augmenter.build(shape, torch.Generator().manual_seed(0))

    promises.require(leaves_global_random_state(build), "building leaves the global random state alone")
    one, two = build(), build()
    same = all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))
    promises.require(same, "the same seed builds the same weights")
    return one


def _graph(part: Any, seed: int, **settings: Any) -> Data:
    data = sample_graph(seed, **settings)
    if getattr(part, "takes_categories", False):
        data.x = (data.x.abs() * 10).long()
    return data


def _numbered(data: Data) -> Data:
    """Numbers on nodes and edges, and things that are functions of them."""
    data = copy.copy(data)
    data.n_id = torch.arange(int(data.num_nodes or 0))
    data.e_id = torch.arange(data.num_edges)
    data.train_mask = data.n_id % 3 == 0
    data.position = torch.stack([data.n_id, -data.n_id, data.n_id**2], 1).double()
    data.edge_attr = torch.stack([data.e_id, data.e_id**2], 1).double()
    return data


class _Trial:
    """One augmenter on trial.

    Args:
        promises: kept so far.
        config: the hyper-parameters.
        part: what states the traits: the config, or the module a learned one has built.
        call: what is called on graphs.
    """

    def __init__(self, promises: Promises, config: Any, part: Any, call: Any) -> None:
        self.promises = promises
        self.config = config
        self.part = part
        self.call = call
        self.fixed = isinstance(config, Augmenter)

    def view(self, data: Any, seed: int = 1) -> Any:
        return self.call(data, torch.Generator().manual_seed(seed))

    def graphs(self) -> Iterator[Data]:
        yield _graph(self.part, 0)
        yield _graph(self.part, 1, nodes=45)
        if self.part.takes_directed:
            yield _graph(self.part, 2, directed=True)
        yield Batch.from_data_list([_graph(self.part, 0), _graph(self.part, 1, nodes=45)])
        bare = torch.ones(3, 40, dtype=torch.long if self.part.takes_categories else torch.float32)
        yield Data(x=bare, edge_index=torch.empty(2, 0, dtype=torch.long))

    def usable(self, out: Data) -> None:
        plain = copy.copy(out)
        plain.x = out.x.detach().float()
        if plain.get("edge_weight") is not None:
            plain.edge_weight = plain.edge_weight.detach()
        try:
            check_graph(plain)
        except GraphclError as error:
            self.promises.require(False, "a view is a usable graph", error)

    def purity(self) -> None:
        require = self.promises.require
        for data in self.graphs():
            before = copy.deepcopy(data)
            out = self.view(data)
            require(same_graph(before, data), "the input is never changed")
            require(same_graph(out, self.view(data)), "the same seed gives the same view")
            require(leaves_global_random_state(partial(self.view, data)), "with a generator the global one stays")
            edges, nodes = out.edge_index.size(1), int(out.num_nodes or 0)
            for name, value in out.to_dict().items():
                if name in ("edge_weight", "edge_attr"):
                    require(value.size(0) == edges, "edge attributes stay aligned with the edges")
                if name in ("y", "train_mask"):
                    require(value.size(0) == nodes, "node attributes stay aligned with the nodes")
            self.usable(out)
            require(out.x.dtype == data.x.dtype, "features keep their type")
            learned = not self.fixed
            require(
                learned or not any(v.requires_grad for v in tensors_of(out).values()), "a fixed view is a plain one"
            )
        if not self.part.takes_directed:
            self.refused(_graph(self.part, 2, directed=True), "edge_index")

    def draws(self) -> None:
        """Two views from one generator are two draws; nothing that is handed out is handed out again."""
        first, source = _graph(self.part, 0), torch.Generator().manual_seed(1)
        views = [self.call(first, source) for _ in range(6)]
        alike = [same_graph(views[0], view) for view in views[1:]]
        apart = [same_graph(self.view(first, 1), self.view(first, seed)) for seed in range(2, 7)]
        self.promises.require(any(apart) or not all(alike), "a generator is advanced by what is drawn")
        once = self.view(first)
        expected = {name: value.detach().clone() for name, value in tensors_of(once).items()}
        for name, value in tensors_of(once).items():
            if name not in first or value.data_ptr() != first[name].data_ptr():
                value.detach().zero_()
        again = tensors_of(self.view(first))
        same = all(torch.equal(again[name], value) for name, value in expected.items())
        self.promises.require(same, "what is done to a view reaches no other one")

    def symmetry(self) -> None:
        first = _graph(self.part, 0)
        out = self.view(first)
        if self.part.keeps_symmetry:
            self.promises.require(is_symmetric(_detached(out)), "an undirected graph stays undirected")
        self.promises.require(out.get("edge_weight") is not None, "edge weights are carried along")
        if self.part.keeps_nodes:
            self.promises.require(out.num_nodes == first.num_nodes, "all nodes stay")

    def memory(self) -> None:
        # a twin that meets another graph first, and views of graphs that differ: a cache gives itself away in one
        require = self.promises.require
        first, third = _graph(self.part, 0), _graph(self.part, 0)
        third.update({"x": third.x.flip(0) + 1, "edge_index": third.num_nodes - 1 - third.edge_index})
        twin = self.config.replace() if self.fixed else copy.deepcopy(self.call)
        fresh = twin(third, torch.Generator().manual_seed(1))
        require(same_graph(fresh, self.view(third)), "no memory of other graphs")
        require(not same_graph(self.view(first), self.view(third)), "no memory of other graphs")

    def compose(self) -> None:
        first = _graph(self.part, 0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            one = Compose([self.call])(first)
            torch.manual_seed(3)
            same = same_graph(one, self.call(first))
        self.promises.require(same, "works in T.Compose, drawing on torch's own generator")

    def sparse(self) -> None:
        first = _graph(self.part, 0)
        if not self.part.takes_sparse_features or self.part.takes_categories:
            return
        sparse = copy.copy(first)
        sparse.x = first.x.to_sparse_csr()
        out = self.view(sparse)
        self.promises.require(out.x.layout == torch.sparse_csr, "sparse features stay sparse")
        out.x = out.x.to_dense()
        dense = self.view(first)
        if not getattr(self.part, "draws_alike_on_sparse", True):
            return
        close = torch.allclose(out.x, dense.x)
        out.x = dense.x
        self.promises.require(close and same_graph(out, dense), "sparse features give the view of the dense ones")

    def rates(self) -> None:
        if not self.fixed or not isinstance(getattr(self.config, "rate", None), float):
            return
        require, third = self.promises.require, _graph(self.part, 3)
        # at a rate of its own and at one that differs from its complement, so that an inverted rate shows
        once = self.view(third)
        empty = getattr(self.config, "parts", None) is not None and not self.config.parts()
        for rate in (self.config.rate, 0.3):
            holds = empty or not 0.05 < rate < 0.95 or _keeps_its_rate(self.config.replace(rate=rate), self.part, rate)
            require(holds, "removes the share that `rate` says")
        require(same_graph(once, self.view(third)), "another instance does not change this one")
        nothing = self.config.replace(rate=0.0)
        out = nothing(third, torch.Generator().manual_seed(1))
        require(same_graph(out, third), "rate 0 leaves the graph as it is")
        everything = self.config.replace(rate=1.0)
        self.usable(everything(third, torch.Generator().manual_seed(1)))
        self.promises.kept.append("rate 1 gives a usable graph")
        for rate in (1.5, -0.1, float("nan")):
            try:
                self.config.replace(rate=rate)
            except RequestError as error:
                named = type(self.config).__name__ in str(error) and "rate" in str(error)
                require(named, "a rate outside of [0, 1] is refused by name", error)
            else:
                require(False, "a rate outside of [0, 1] is refused by name", rate)

    def alignment(self) -> None:
        """What lies on a node or an edge is of that node or edge."""
        data = _numbered(_graph(self.part, 5))
        codes = set(map(tuple, data.edge_index.t().tolist()))
        for seed in range(3):
            out = self.view(data, seed)
            known = _known(out)
            nodes = out.n_id[known]
            fits = all(torch.equal(out[name][known], data[name][nodes]) for name in ("position", "y", "train_mask"))
            self.promises.require(fits, "what lies on a node goes with it")
            if self.part.keeps_nodes:
                self.promises.require(torch.equal(out.n_id, data.n_id), "nodes keep their order")
            if "e_id" not in out:
                continue
            self.promises.require(
                torch.equal(out.edge_attr, data.edge_attr[out.e_id]), "what lies on an edge goes with it"
            )
            ends = out.n_id[out.edge_index]
            if out.e_id.unique().numel() == out.e_id.numel() and codes.issuperset(map(tuple, ends.t().tolist())):
                same = torch.equal(ends, data.edge_index[:, out.e_id])
                self.promises.require(same, "what lies on an edge goes with it")

    def batches(self) -> None:
        require = self.promises.require
        members = [_numbered(_graph(self.part, seed, nodes=nodes)) for seed, nodes in ((6, 30), (7, 21), (8, 40))]
        for number, member in enumerate(members):
            member.graph_label = torch.tensor([number])
        batch = Batch.from_data_list(members)
        out = self.view(batch)
        require(out.num_graphs == 3, "a batch keeps its graphs")
        require(torch.equal(out.graph_label, batch.graph_label), "a batch keeps what belongs to a graph")
        try:
            apart = out.to_data_list()
        except Exception as error:
            self.promises.require(False, "a batch of views can be taken apart", f"{type(error).__name__}: {error}")
        for number, (graph, member) in enumerate(zip(apart, members, strict=True)):
            self.usable(graph)
            require(int(graph.num_nodes or 0) > 0, "no graph of a batch loses all its nodes")
            require(int(graph.graph_label) == number, "a batch of views can be taken apart")
            nodes = graph.n_id[_known(graph)]
            require(bool((nodes < member.num_nodes).all()), "graphs of a batch never mix")
            known = (
                ~graph.slow_node_mask if "slow_node_mask" in graph else torch.ones_like(graph.n_id, dtype=torch.bool)
            )
            fits = all(torch.equal(graph[name][known], member[name][nodes]) for name in ("position", "y", "train_mask"))
            require(fits, "what lies on a node goes with it")
            if "e_id" in graph:
                require(torch.equal(graph.edge_attr, member.edge_attr[graph.e_id]), "what lies on an edge goes with it")
        seen = [self.view(batch, seed).to_data_list() for seed in range(8)]
        changed = [
            any(not same_graph(views[number], member) for views in seen) for number, member in enumerate(members)
        ]
        require(all(changed) or not any(changed), "every graph of a batch is treated", changed)
        again = Batch.from_data_list(apart)
        require(torch.equal(again.edge_index, out.edge_index), "a batch of views can be taken apart")
        require(
            torch.equal(again.batch, out.batch) and torch.equal(again.ptr, out.ptr), "a batch knows its nodes' graphs"
        )

    def odd_graphs(self) -> None:
        """Loops, parallel edges, one node, no edge, edges as many as nodes: nothing crashes or is lost."""
        kind = torch.long if self.part.takes_categories else torch.float32
        loops = _graph(self.part, 9, nodes=12)
        loops.edge_index = torch.cat([loops.edge_index, torch.arange(12).repeat(2, 1)], 1)
        loops.edge_weight = torch.cat([loops.edge_weight, torch.ones(12)])
        loops.edge_attr = torch.cat([loops.edge_attr, torch.ones(12, 3)])
        ring = torch.stack([torch.arange(5), (torch.arange(5) + 1) % 5])
        ring = torch.cat([ring, ring.flip(0)], 1)
        complete = torch.cartesian_prod(torch.arange(5), torch.arange(5)).t()
        complete = complete[:, complete[0] != complete[1]]
        empty = torch.empty(2, 0, dtype=torch.long)
        for data in (
            loops,
            Data(x=torch.ones(1, 40, dtype=kind), edge_index=empty),
            Data(x=torch.ones(1, 40, dtype=kind), edge_index=torch.zeros(2, 1, dtype=torch.long)),
            Data(x=torch.ones(2, 40, dtype=kind), edge_index=torch.tensor([[0, 1], [1, 0]])),
            Data(x=torch.ones(5, 40, dtype=kind), edge_index=ring),
            Data(x=torch.ones(5, 40, dtype=kind), edge_index=torch.cat([ring, ring], 1)),
            Data(x=torch.ones(5, 40, dtype=kind), edge_index=complete),
            Data(x=torch.ones(6, 40, dtype=kind), edge_index=ring[:, [0, 5]], num_nodes=6),
        ):
            for seed in range(2):
                try:
                    out = self.view(data, seed)
                except GraphclError:
                    raise
                except Exception as error:
                    self.promises.require(False, "odd graphs pass", f"{type(error).__name__}: {error} on {data}")
                self.usable(out)
                if self.part.keeps_symmetry:
                    self.promises.require(is_symmetric(_detached(out)), "an undirected graph stays undirected")
                if self.part.keeps_nodes:
                    self.promises.require(out.num_nodes == data.num_nodes, "all nodes stay")
        self.promises.kept.append("odd graphs pass")

    def refused(self, data: Any, field: str) -> None:
        name = type(self.config).__name__
        try:
            self.view(data)
        except (DataError, RequestError) as error:
            fits = name in str(error) and field in str(error) and "\n" not in str(error)
            self.promises.require(fits, "unusable input is refused, naming class and field", error)
        else:
            self.promises.require(
                False, "unusable input is refused, naming class and field", f"{field} of {data} passed"
            )

    def hostile(self) -> None:
        if not self.part.needs:
            return  # a composition: its parts refuse
        for field in self.part.needs:
            data = _graph(self.part, 0)
            data.num_nodes = data.num_nodes
            del data[field]
            self.refused(data, field)
        edgy = "edge_index" in self.part.needs
        for field, value in (
            ()
            if not edgy
            else (
                ("edge_index", torch.tensor([[0, 60], [60, 0]])),
                ("edge_index", torch.tensor([[0, -1], [-1, 0]])),
                ("edge_index", torch.zeros(3, 4, dtype=torch.long)),
                ("edge_index", torch.zeros(4, dtype=torch.long)),
                ("edge_index", torch.zeros(2, 4)),
                ("edge_weight", torch.ones(5)),
                ("edge_weight", torch.full((_graph(self.part, 0).num_edges,), torch.nan)),
            )
        ):
            data = _graph(self.part, 0)
            data[field] = value
            if field == "edge_index":
                del data["edge_weight"], data["edge_attr"]
            self.refused(data, field)
        if "x" in self.part.needs:
            data = _graph(self.part, 0)
            data.x = data.x[:, 0]
            self.refused(data, "x")

    def heterogeneous(self) -> None:
        data = _hetero(self.part)
        if not self.part.takes_hetero:
            if self.part.needs:
                self.refused(data, "HeteroData")
            return
        require = self.promises.require
        before = copy.deepcopy(data)
        out = self.view(data)
        require(_same_stores(before, data), "the input is never changed")
        require(_same_stores(out, self.view(data)), "the same seed gives the same view")
        require(out.validate(raise_on_error=False), "a heterogeneous view is a usable graph")
        if self.part.keeps_symmetry:
            there, back = out["user", "buys", "item"].edge_index, out["item", "rev_buys", "user"].edge_index
            pairs = set(map(tuple, there.t().tolist()))
            require(pairs == set(map(tuple, back.flip(0).t().tolist())), "an edge and its reverse type go together")
        for kind, store in out.node_items():
            require(store.position.size(0) == store.num_nodes, "node attributes stay aligned with the nodes", kind)

    def equivariance(self) -> None:
        """Renumbering the nodes renumbers the view, in distribution."""
        data = sample_graph(11, nodes=14)
        if self.part.takes_categories:
            data = _graph(self.part, 11, nodes=14)
        data = _numbered(data)
        order = torch.randperm(14, generator=torch.Generator().manual_seed(3))
        place = torch.empty_like(order)
        place[order] = torch.arange(14)
        moved = copy.copy(data)
        for name in ("x", "y", "train_mask", "n_id", "position"):
            moved[name] = data[name][order]
        moved.edge_index = place[data.edge_index]
        repeats = 120
        one = torch.stack([_profile(self.view(data, seed), 14) for seed in range(repeats)])
        two = torch.stack([_profile(self.view(moved, seed + repeats), 14) for seed in range(repeats)])
        spread = ((one.var(0) + two.var(0)) / repeats).sqrt()
        scale = 1 + one.mean(0).abs()
        far = (one.mean(0) - two.mean(0)).abs() > 5.5 * spread + 1e-4 * scale + (spread > 0) * scale / repeats
        self.promises.require(
            not bool(far.any()), "renumbering the nodes renumbers the view", far.nonzero().tolist()[:3]
        )

    def gradients(self) -> None:
        if self.part.takes_categories:
            return
        for name in self.part.differentiable:
            data = _graph(self.part, 12, nodes=20)
            data[name] = data[name].clone().requires_grad_()
            total = torch.zeros(())
            for seed in range(3):
                out = self.view(data, seed)
                if out[name].requires_grad:
                    total = total + out[name].pow(2).sum()
            flows = total.requires_grad and bool((torch.autograd.grad(total, data[name])[0] != 0).any())
            self.promises.require(flows, "gradients pass through what it says", name)


def _known(out: Data) -> Tensor:
    """Which nodes of a view are nodes of the graph, ``bool [N]``."""
    return ~out.slow_node_mask if "slow_node_mask" in out else torch.ones_like(out.n_id, dtype=torch.bool)


def _detached(data: Data) -> Data:
    out = copy.copy(data)
    if out.get("edge_weight") is not None:
        out.edge_weight = out.edge_weight.detach()
    return out


def _profile(out: Data, n: int) -> Tensor:
    """What a view makes of each node of the graph: whether it is there, its degree and weight, its features."""
    known = _known(out)
    weight = out.edge_weight.detach().double() if out.get("edge_weight") is not None else torch.ones(out.num_edges)
    nodes = int(out.num_nodes or 0)
    ones = torch.ones(out.num_edges, dtype=torch.float64)
    found = (
        torch.ones(nodes, dtype=torch.float64),
        torch.zeros(nodes, dtype=torch.float64).index_add(0, out.edge_index[0], ones),
        torch.zeros(nodes, dtype=torch.float64).index_add(0, out.edge_index[1], weight.double()),
        out.x.detach().double().mean(1),
    )
    nothing = torch.zeros(n, dtype=torch.float64)
    return torch.stack([nothing.index_add(0, out.n_id[known], values[known]) for values in found])


def _hetero(part: Any) -> HeteroData:
    generator = torch.Generator().manual_seed(0)
    data = HeteroData()
    for kind, n in (("user", 12), ("item", 15)):
        x = torch.randn(n, 40, generator=generator) + 3
        data[kind].x = (x.abs() * 10).long() if part.takes_categories else x
        data[kind].position = torch.arange(n)
    buys = torch.stack([torch.randint(12, (50,), generator=generator), torch.randint(15, (50,), generator=generator)])
    buys = torch.unique(buys, dim=1)
    data["user", "buys", "item"].edge_index = buys
    data["user", "buys", "item"].edge_weight = torch.rand(buys.size(1), generator=generator) + 0.5
    data["item", "rev_buys", "user"].edge_index = buys.flip(0)
    follows = torch.unique(torch.randint(12, (2, 30), generator=generator), dim=1)
    data["user", "follows", "user"].edge_index = follows
    return data


def _same_stores(a: HeteroData, b: HeteroData) -> bool:
    for one, two in zip(a.stores, b.stores, strict=True):
        mine, other = dict(one.items()), dict(two.items())
        if mine.keys() != other.keys() or not all(torch.equal(mine[name], other[name]) for name in mine):
            return False
    return True


def _keeps_its_rate(augmenter: Any, part: Any, rate: float) -> bool:
    """Whether some share of what the view did to the graph is ``rate``, within four standard errors."""
    data = sample_graph(4, nodes=400)
    data.x = torch.rand(400, 400, generator=torch.Generator().manual_seed(0)) + 1
    if part.takes_categories:
        data.x = data.x[:, :4].long()
    data = _numbered(data)
    repeats, totals, trials = 20, dict.fromkeys(_SHARES, 0.0), dict.fromkeys(_SHARES, 0)
    for seed in range(repeats):
        out = augmenter(data, torch.Generator().manual_seed(seed))
        for name, share in _SHARES.items():
            found, count = share(data, out)
            totals[name] += found
            trials[name] += count

    def fits(name: str) -> bool:
        # a view that draws fewer coins than were counted (whole columns, whole graphs) varies more: each share says
        return trials[name] > 0 and abs(totals[name] / repeats - rate) < 4 * (rate * (1 - rate) / trials[name]) ** 0.5

    return any(fits(name) for name in _SHARES)


def _lost_edges(data: Data, out: Data) -> tuple[float, int]:
    return 1 - out.num_edges / data.num_edges, data.num_edges // 2


def _new_edges(data: Data, out: Data) -> tuple[float, int]:
    return out.num_edges / data.num_edges - 1, data.num_edges // 2


def _moved_edges(data: Data, out: Data) -> tuple[float, int]:
    if out.edge_index.shape != data.edge_index.shape:
        return 0.0, data.num_edges // 2
    # pairs swap together: half as many coins
    moved = (out.edge_index != data.edge_index).any(0)
    return float(moved.double().mean()), data.num_edges // 4


def _lost_nodes(data: Data, out: Data) -> tuple[float, int]:
    return 1 - int(out.num_nodes or 0) / int(data.num_nodes or 1), int(data.num_nodes or 0)


def _slowed_nodes(data: Data, out: Data) -> tuple[float, int]:
    if "slow_node_mask" not in out:
        return 0.0, 0
    heard = torch.bincount(data.edge_index[1], minlength=int(data.num_nodes or 0)) > 0
    slowed = out.n_id[out.slow_node_mask].unique().numel()
    return slowed / int(heard.sum()), int(heard.sum())


def _cleared_columns(data: Data, out: Data) -> tuple[float, int]:
    if out.x.shape != data.x.shape:
        return 0.0, 0
    return float((out.x == 0).all(0).double().mean()), data.x.size(1)


def _cleared_entries(data: Data, out: Data) -> tuple[float, int]:
    if out.x.shape != data.x.shape:
        return 0.0, 0
    return float((out.x == 0).double().mean()), data.x.numel()


def _changed_rows(data: Data, out: Data) -> tuple[float, int]:
    if out.x.shape != data.x.shape:
        return 0.0, 0
    return float((out.x != data.x).any(1).double().mean()), data.x.size(0)


def _changed_graphs(data: Data, out: Data) -> tuple[float, int]:
    return float(not same_graph(data, out)), 1


_SHARES: dict[str, Callable[[Data, Data], tuple[float, int]]] = {
    "removed edges": _lost_edges,
    "added edges": _new_edges,
    "rewired edges": _moved_edges,
    "removed nodes": _lost_nodes,
    "slowed nodes": _slowed_nodes,
    "cleared columns": _cleared_columns,
    "cleared entries": _cleared_entries,
    "changed rows": _changed_rows,
    "changed graphs": _changed_graphs,
}
