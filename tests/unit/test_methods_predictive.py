"""The methods that predict, or contrast within one pass, and the supervised references: each against plain loops."""

import math
import warnings
from types import SimpleNamespace
from typing import Any

import networkx as nx
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GATConv

from graphcl.data.block_model import csbm
from graphcl.encoders.gat import GAT, edge_attention, looped_pattern
from graphcl.errors import DataError, RequestError
from graphcl.graph import GraphShape
from graphcl.methods.graph_mae import GraphMae, GraphMaeMethod
from graphcl.methods.recipe import Method, Recipe
from graphcl.methods.sp_gcl import SpGcl, SpGclMethod
from graphcl.methods.sugrl import Sugrl, _neighbour_draws
from graphcl.methods.supervised import SupervisedGcn, SupervisedMlp
from graphcl.ops.linear import sparse_features
from graphcl.train import embedding, start


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def block(nodes: int = 24, features: int = 7, seed: int = 0) -> Data:
    graph = csbm(nodes=nodes, classes=2, degree=min(4.0, nodes / 4), homophily=0.7, features=features, seed=seed)
    graph.x = graph.x.double()
    return graph


def built(recipe: Recipe, features: int = 7, level: str = "node", classes: int | None = None) -> Method:
    method = recipe.build(GraphShape(features, level, classes), seeded()).double()
    with torch.no_grad():
        for parameter in method.parameters():  # biases and slopes that are not their initial zeros and quarters
            parameter.add_(0.1 * torch.randn(parameter.shape, dtype=torch.double, generator=seeded(parameter.numel())))
    return method


def sparse_csr(x: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return x.to_sparse_csr()


def dense_operator(graph: Data) -> Tensor:
    n = graph.num_nodes
    a = torch.eye(n, dtype=torch.double)
    a[graph.edge_index[1], graph.edge_index[0]] = 1.0
    scale = a.sum(1).rsqrt()
    return scale[:, None] * a * scale


class TestGat:
    def test_a_layer_is_the_one_of_pyg(self) -> None:
        graph = block()
        graph.edge_index = graph.edge_index[:, ::3]  # a directed graph, with nodes that nothing points at
        ours = GAT(7, [6, 8], heads=2, act="elu", act_last=False).double()
        theirs = [GATConv(7, 3, heads=2).double(), GATConv(6, 4, heads=2).double()]
        with torch.no_grad():
            for layer, other in zip(ours.layers, theirs, strict=True):
                layer.bias.normal_()
                other.lin.weight.copy_(layer.weight)
                other.att_src.copy_(layer.source)
                other.att_dst.copy_(layer.target)
                other.bias.copy_(layer.bias)
        expected = theirs[1](F.elu(theirs[0](graph.x, graph.edge_index)), graph.edge_index)
        torch.testing.assert_close(ours(graph.x, graph.edge_index), expected)

    def test_attention_by_loops(self) -> None:
        graph = block(9)
        weight = torch.rand(graph.num_edges, generator=seeded()).double()
        source, target = torch.randn(2, 9, 3, generator=seeded(1)).double()
        pattern, weights = looped_pattern(graph.edge_index, 9, weight)
        shares = edge_attention(source, target, pattern, weights, slope=0.3)
        dense = torch.zeros(9, 9, 3, dtype=torch.double)
        dense[pattern.rows, pattern.columns] = shares
        arcs = {(v, v): 1.0 for v in range(9)}
        arcs |= {(int(v), int(u)): float(w) for u, v, w in zip(*graph.edge_index, weight, strict=True)}
        for v in range(9):
            for k in range(3):
                power = {}
                for u in range(9):
                    if (v, u) in arcs:
                        score = float(source[u, k] + target[v, k])
                        power[u] = arcs[v, u] * math.exp(score if score > 0 else 0.3 * score)
                for u in range(9):
                    assert float(dense[v, u, k]) == pytest.approx(power.get(u, 0.0) / sum(power.values()))

    def test_a_weight_counts_edges(self) -> None:
        x = torch.randn(4, 5, generator=seeded()).double()
        once = torch.tensor([[0, 1, 2], [1, 2, 1]])
        twice = torch.cat([once, once[:, :1]], 1)
        encoder = GAT(5, [4], heads=2).double()
        torch.testing.assert_close(encoder(x, once, torch.tensor([2.0, 1, 1]).double()), encoder(x, twice))
        torch.testing.assert_close(encoder(x, once, torch.tensor([1.0, 0, 1]).double()), encoder(x, once[:, [0, 2]]))
        torch.testing.assert_close(encoder(x, once, torch.ones(3).double()), encoder(x, once))

    def test_gradients_and_large_scores(self) -> None:
        graph = block(6, 3)
        encoder = GAT(3, [4], heads=2, act="elu").double()
        weight = torch.rand(graph.num_edges, generator=seeded()).double().add(0.1).requires_grad_()
        x = graph.x.clone().requires_grad_()
        assert torch.autograd.gradcheck(lambda w, h: encoder(h, graph.edge_index, w), (weight, x))
        assert torch.isfinite(encoder(1e4 * graph.x, graph.edge_index)).all()

    def test_dropout_of_attention_and_input_only_in_training(self) -> None:
        graph = block()
        plain = GAT(7, [4], heads=2).double()
        for rates in ({"dropout": 0.5}, {"attention_dropout": 0.5}):
            dropped = GAT(7, [4], heads=2, **rates).double()
            dropped.load_state_dict(plain.state_dict())
            assert not torch.allclose(dropped(graph.x, graph.edge_index), plain(graph.x, graph.edge_index))
            expected = plain(graph.x, graph.edge_index)
            torch.testing.assert_close(dropped.eval()(graph.x, graph.edge_index), expected)

    def test_heads_share_a_width(self) -> None:
        with pytest.raises(RequestError, match="a layer of 6 has no 4 heads"):
            GAT(3, [8, 6], heads=4)


class TestSugrl:
    recipe = Sugrl(
        dims=(6, 4), dropout=0.0, propagation_dropout=0.0, neighbours=3, negatives=2, margin=0.4, band=0.1,
        structure=3.0, neighbourhood=2.0, bound=0.5,
    )  # fmt: skip

    def test_the_losses_by_loops(self, monkeypatch: pytest.MonkeyPatch) -> None:
        graph = block()
        method = built(self.recipe)
        n = graph.num_nodes
        draws = torch.randint(n, (3 * n,), generator=seeded(3))
        orders = iter(torch.randperm(n, generator=seeded(k)) for k in (4, 5))
        held = list(orders)
        again = iter(held)
        monkeypatch.setattr("graphcl.methods.sugrl._neighbour_draws", lambda *_: draws)
        monkeypatch.setattr("graphcl.methods.sugrl.draw_order", lambda *_, **__: next(again))
        terms = method.loss(graph, seeded())

        h = graph.x @ method.first.weight.T + method.first.bias
        h = (F.relu(h) @ method.others[1].weight.T + method.others[1].bias).detach()
        spread = dense_operator(graph) @ h
        structure = neighbourhood = bound = 0.0
        for v in range(n):
            near = float((h[v] - spread[v]).norm())
            mean = (h[draws[v]] + h[draws[n + v]] + h[draws[2 * n + v]]) / 3
            nearby = float((h[v] - mean).norm())
            for order in held:
                far = float((h[v] - h[order[v]]).norm())
                structure += max(0.0, near - far + 0.4) / n
                neighbourhood += max(0.0, nearby - far + 0.4) / n
                bound += max(0.0, far - near - 0.5) / 2
        assert bound > 0
        values = {name: float(term.detach()) for name, term in terms.items()}
        assert values == pytest.approx(
            {"structure": 3 * structure, "neighbourhood": 2 * neighbourhood, "bound": 0.5 * bound}
        )

    def test_the_bound_does_not_move_the_positive(self) -> None:
        # with rows that only the structural positive uses held fixed, the bound has the gradient of the far distance
        graph = Data(x=torch.eye(2).double(), edge_index=torch.tensor([[0, 1], [1, 0]]))
        method = built(self.recipe.replace(dims=(2,), margin=0.0, band=0.0, negatives=1), 2)
        seed = next(s for s in range(99) if self.swaps(method, graph, s))
        (bound,) = torch.autograd.grad(method.loss(graph, seeded(seed))["bound"], method.first.weight)
        h = method.first.weight.T.detach().requires_grad_()  # the bias cancels in distances
        far = (h[0] - h[1]).norm() * 2 * 0.5
        (expected,) = torch.autograd.grad(far, h)
        torch.testing.assert_close(bound, expected.T)

    @staticmethod
    def swaps(method: Method, graph: Data, seed: int) -> bool:
        return float(method.loss(graph, seeded(seed))["bound"].detach()) > 0

    def test_neighbours_are_drawn_evenly_from_the_closed_neighbourhood(self) -> None:
        graph = Data(x=torch.ones(4, 1), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        draws = _neighbour_draws(graph, 6000, seeded()).view(6000, 4)
        for node, closed in enumerate(([0, 1], [0, 1, 2], [1, 2], [3])):
            seen = torch.bincount(draws[:, node], minlength=4) / 6000
            expected = torch.zeros(4)
            expected[closed] = 1 / len(closed)
            torch.testing.assert_close(seen, expected, atol=0.03, rtol=0)

    def test_feature_dropout_keeps_the_mean(self) -> None:
        graph = block()
        method = built(self.recipe.replace(dims=(4,), dropout=0.4, structure=0.0, neighbourhood=0.0, bound=0.0))
        seen: list[Tensor] = []
        method.others.register_forward_hook(lambda _, __, out: seen.append(out.detach()))
        generator = seeded()
        for _ in range(3000):
            method.loss(graph, generator)
        plain = graph.x @ method.first.weight.T + method.first.bias
        spread = torch.stack(seen).std(0) / math.sqrt(3000)
        assert ((torch.stack(seen).mean(0) - plain).abs() < 5 * spread + 1e-9).all()
        assert (spread > 0).any()

    def test_the_embedding_is_the_propagated_one_with_unit_rows(self) -> None:
        graph = block()
        graph.x[graph.x < 0.5] = 0.0
        method = built(self.recipe)
        h = graph.x @ method.first.weight.T + method.first.bias
        h = F.relu(h) @ method.others[1].weight.T + method.others[1].bias
        expected = F.normalize(dense_operator(graph) @ h, dim=1)
        torch.testing.assert_close(method.embed(graph), expected)
        sparse = graph.__copy__()
        sparse.x = sparse_csr(graph.x)
        torch.testing.assert_close(method.embed(sparse), expected)
        assert torch.isfinite(torch.stack(list(method.loss(sparse, seeded()).values()))).all()

    def test_a_perceptron_has_a_layer(self) -> None:
        with pytest.raises(RequestError, match="dims"):
            Sugrl(dims=())


class TestSpGcl:
    recipe = SpGcl(dim=6, norm="none", dropout=0.0, seeds=5, hops=2, sample=12, positives=3, negatives=4)

    def test_the_loss_by_loops(self, monkeypatch: pytest.MonkeyPatch) -> None:
        graph = block()
        method = built(self.recipe)
        members = torch.tensor([3, 3, 9, 20, 1, 7])  # a node may be met twice
        draws = torch.rand(6, 4, generator=seeded(5)).double()
        monkeypatch.setattr(SpGclMethod, "sampled", lambda *_: members)
        monkeypatch.setattr("graphcl.methods.sp_gcl.draw_uniform", lambda *_, **__: draws)
        value = float(method.loss(graph, seeded())["contrast"].detach())

        a, (one, two) = dense_operator(graph), (layer.layers[0] for layer in method.encoder.layers)
        slope = method.encoder.act.weight
        h = F.prelu(a @ graph.x @ one.lin.weight.T + one.bias, slope)
        h = F.prelu(a @ h @ two.lin.weight.T + two.bias, slope)
        torch.testing.assert_close(method.embed(graph), h)
        z = method.projector(F.relu(h))[members].detach()
        cosine = [[float(F.cosine_similarity(u, v, dim=0)) for v in z] for u in z]
        total = 0.0
        for i in range(6):
            total -= 2 * sum(sorted(cosine[i])[-3:]) / 3
            total += sum(cosine[i][int(6 * float(draws[i, k]))] ** 2 for k in range(4))
        assert value == pytest.approx(total / 6)

    @pytest.mark.parametrize("norm", ["none", "layer", "batch"])
    @pytest.mark.parametrize("layers", [1, 2])
    def test_some_rows_are_those_of_all(self, norm: Any, layers: int) -> None:
        graph = block()
        graph.edge_weight = torch.rand(graph.num_edges, generator=seeded()).double()
        encoder = built(self.recipe.replace(norm=norm, layers=layers)).encoder
        rows = torch.tensor([7, 0, 7])
        everything = encoder(graph.x, graph.edge_index, graph.edge_weight)
        some = encoder(graph.x, graph.edge_index, graph.edge_weight, rows)
        torch.testing.assert_close(some, everything[rows])

    @pytest.mark.parametrize("hops", [1, 2, 3])
    def test_the_sample_is_what_the_seeds_reach(self, hops: int) -> None:
        graph = block(30)
        net = nx.Graph(graph.edge_index.T.tolist())
        net.add_nodes_from(range(30))
        reach = [len(nx.single_source_shortest_path_length(net, v, hops)) for v in range(30)]
        everyone = built(self.recipe.replace(seeds=99, sample=9999, hops=hops))
        assert torch.bincount(everyone.sampled(graph, seeded()), minlength=30).tolist() == reach
        alone = built(self.recipe.replace(seeds=1, sample=9999, hops=hops))
        balls = {frozenset(nx.single_source_shortest_path_length(net, v, hops)) for v in range(30)}
        found = {frozenset(alone.sampled(graph, seeded(seed)).tolist()) for seed in range(20)}
        assert found <= balls
        assert len(found) > 3

    def test_the_sample_has_a_size_and_is_random(self) -> None:
        graph, method = block(30), built(self.recipe)
        first, other = (method.sampled(graph, seeded(seed)) for seed in (0, 1))
        assert len(first) == len(other) == 12
        assert not torch.equal(first, other)

    def test_a_sample_smaller_than_its_positives(self) -> None:
        graph = Data(x=torch.eye(3).double(), edge_index=torch.empty(2, 0, dtype=torch.long))
        method = built(self.recipe.replace(seeds=1), 3)
        assert torch.isfinite(method.loss(graph, seeded())["contrast"])

    def test_sparse_features(self) -> None:
        graph = csbm(nodes=300, classes=3, degree=4.0, homophily=0.8, features=300, seed=0)
        graph.x = torch.where(graph.x > graph.x.quantile(0.95), graph.x, 0.0)
        sparse = graph.__copy__()
        sparse.x = sparse_features(graph.x)
        assert sparse.x.layout == torch.sparse_csr
        method = self.recipe.build(GraphShape(300), seeded())
        assert method.takes_sparse_features
        torch.testing.assert_close(method.embed(sparse), method.embed(graph))


class TestGraphMae:
    recipe = GraphMae(
        dim=6, layers=2, heads=2, act="elu", mask=0.5, replacement=0.25, gamma=2.0, dropout=0.0, attention_dropout=0.0
    )

    @staticmethod
    def attention(x: Tensor, graph: Data, layer: Any, heads: int) -> Tensor:
        """A layer of attention as the paper writes it: transform all, then sum over the neighbours, by loops."""
        h = (x @ layer.weight.T).view(len(x), heads, -1)
        closed = [{v} for v in range(len(x))]
        for u, v in graph.edge_index.T.tolist():
            closed[v].add(u)
        out = torch.zeros_like(h)
        for v, around in enumerate(closed):
            for k in range(heads):
                scores = [
                    F.leaky_relu(h[u, k] @ layer.source[0, k] + h[v, k] @ layer.target[0, k], 0.2) for u in around
                ]
                for share, u in zip(torch.stack(scores).softmax(0), around, strict=True):
                    out[v, k] += share * h[u, k]
        return out.flatten(1) + layer.bias

    def test_the_loss_by_loops(self, monkeypatch: pytest.MonkeyPatch) -> None:
        graph = block()
        method = built(self.recipe)
        n = graph.num_nodes
        order, others = torch.randperm(n, generator=seeded(1)), torch.randperm(n, generator=seeded(2))
        draws = iter((order, others))
        monkeypatch.setattr("graphcl.methods.graph_mae.draw_order", lambda *_, **__: next(draws))
        before = graph.x.clone()
        value = float(method.loss(graph, seeded())["error"].detach())
        assert torch.equal(graph.x, before)

        masked = order[:12].tolist()
        seen = graph.x.clone()
        for place, v in enumerate(masked):
            seen[v] = graph.x[others[place]] if place < 3 else method.token
        h = seen
        for layer in method.encoder.layers:
            h = F.elu(self.attention(h, graph, layer, 2))
        z = h @ method.bridge.weight.T
        z[masked] = 0.0
        decoder = SimpleNamespace(**dict(method.decoder.named_parameters()))
        decoder.target = torch.randn(1, 1, 7, generator=seeded()).double()  # of no effect, as these rows are zero
        rebuilt = self.attention(z, graph, decoder, 1)
        error = sum((1 - float(F.cosine_similarity(rebuilt[v], graph.x[v], dim=0))) ** 2 for v in masked) / 12
        assert value == pytest.approx(error)

    def test_masked_features_are_seen_by_the_error_alone(self) -> None:
        graph = block()
        method = built(self.recipe.replace(replacement=0.0))
        seen: list[Tensor] = []
        method.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
        method.loss(graph, seeded())
        hidden = (seen[0] == method.token).all(1)
        assert int(hidden.sum()) == 12
        assert torch.equal(seen[0][~hidden], graph.x[~hidden])
        other = graph.__copy__()
        other.x = torch.where(hidden[:, None], graph.x + 1, graph.x)
        method.loss(other, seeded())
        assert torch.equal(seen[0], seen[1])

    def test_every_parameter_learns_and_nothing_is_masked_in_embeddings(self) -> None:
        graph = block()
        method = built(self.recipe)
        method.loss(graph, seeded())["error"].backward()
        assert all(parameter.grad is not None and parameter.grad.any() for parameter in method.parameters())
        expected = graph.x
        for layer in method.encoder.layers:
            expected = F.elu(self.attention(expected, graph, layer, 2))
        torch.testing.assert_close(method.embed(graph), expected)

    def test_nodes_without_a_visible_neighbour_can_be_rebuilt(self) -> None:
        graph = Data(x=torch.rand(8, 5, generator=seeded()), edge_index=torch.empty(2, 0, dtype=torch.long))
        training = start(self.recipe.replace(plan=self.recipe.plan.replace(epochs=3)), graph, 0)
        assert all(math.isfinite(step.loss) for step in training.steps)

    def test_graphs_are_read_out_one_by_one(self) -> None:
        graphs = [block(5 + i, seed=i) for i in range(3)]
        whole = Batch.from_data_list(graphs)
        for pooling, reduce in (("sum", torch.sum), ("mean", torch.mean), ("max", torch.amax)):
            method = built(self.recipe.replace(pooling=pooling), level="graph").eval()
            alone = torch.stack([reduce(method.encoder(g.x, g.edge_index), 0) for g in graphs])
            torch.testing.assert_close(method.embed(whole), alone)

    def test_isomorphism_layers_see_a_node_twice(self) -> None:
        graph = block()
        method = built(self.recipe.replace(layers=1), level="graph").eval()
        assert isinstance(method, GraphMaeMethod)
        (layer,) = method.encoder.layers
        a = torch.eye(24, dtype=torch.double)
        a[graph.edge_index[1], graph.edge_index[0]] = 1.0
        expected = layer(graph.x + a @ graph.x)
        torch.testing.assert_close(method.encoder(graph.x, graph.edge_index), expected)
        rows = torch.tensor([4, 2])
        h = torch.randn(24, 6, generator=seeded()).double()
        rebuilt = method.decoder.perceptron(h + a @ h)[rows]
        torch.testing.assert_close(method.decoder(h, graph.edge_index, None, rows), rebuilt)

    def test_hostile_settings(self) -> None:
        for setting in ({"mask": 0.0}, {"mask": 1.0}, {"gamma": 0.5}, {"replacement": 1.5}, {"pooling": "median"}):
            with pytest.raises(RequestError, match=next(iter(setting))):
                GraphMae(**setting)
        with pytest.raises(RequestError, match="heads"):
            GraphMae(dim=10, heads=4).build(GraphShape(3), seeded())
        with pytest.raises(DataError, match="larger share"):
            built(self.recipe.replace(mask=0.01)).loss(block(), seeded())


class TestSupervised:
    def labelled(self) -> Data:
        graph = block()
        graph.train_mask = torch.arange(24) % 4 == 0
        graph.y = torch.where(graph.train_mask, graph.y, -1)
        return graph

    @pytest.mark.parametrize("cls", [SupervisedGcn, SupervisedMlp])
    def test_the_loss_by_loops(self, cls: type[SupervisedGcn] | type[SupervisedMlp]) -> None:
        graph = self.labelled()
        method = built(cls(dim=5, dropout=0.0, decay=0.3), classes=3)
        spread = dense_operator(graph) if cls is SupervisedGcn else torch.eye(24, dtype=torch.double)
        h = F.relu(spread @ graph.x @ method.first.weight.T + method.first.bias)
        scores = spread @ h @ method.second.weight.T + method.second.bias
        torch.testing.assert_close(method.embed(graph), scores)
        train = graph.train_mask.nonzero().flatten().tolist()
        entropy = -sum(float(scores[v].log_softmax(0)[graph.y[v]]) for v in train) / len(train)
        terms = method.loss(graph, seeded())
        assert float(terms["cross-entropy"]) == pytest.approx(entropy)
        plain, _ = torch.autograd.grad(terms["cross-entropy"], [method.first.weight, method.second.weight])
        both = torch.autograd.grad(
            sum(method.loss(graph, seeded()).values()), [method.first.weight, method.second.weight]
        )
        # what Adam's weight decay adds to the gradient of a parameter, for the first layer's alone
        torch.testing.assert_close(both[0] - plain, 0.3 * method.first.weight)

    def test_dropout_hides_features_and_hidden_units(self, monkeypatch: pytest.MonkeyPatch) -> None:
        graph = self.labelled()
        method = built(SupervisedMlp(dim=40, dropout=0.5, decay=0.0), classes=3)
        with monkeypatch.context() as patched:
            patched.setattr("torch.nn.functional.dropout", lambda h, rate: h)
            assert len({float(method.loss(graph, seeded(s))["cross-entropy"].detach()) for s in range(4)}) == 4
        with monkeypatch.context() as patched:
            patched.setattr("graphcl.methods.supervised.FeatureDropout", lambda _: lambda batch, _: batch)
            assert len({float(method.loss(graph, seeded())["cross-entropy"].detach()) for _ in range(4)}) == 4
        method.eval()
        assert torch.equal(method.embed(graph), method.embed(graph))

    def test_it_learns_and_sees_no_label_outside_of_train(self) -> None:
        graph = csbm(nodes=120, classes=3, degree=8.0, homophily=0.9, features=12, seed=0)
        truth = graph.y.clone()
        graph.train_mask = torch.arange(120) % 6 == 0
        recipe = SupervisedGcn(plan=SupervisedGcn().plan.replace(epochs=60, device="cpu"))
        outputs = []
        for elsewhere in (-1, 1):
            graph.y = torch.where(graph.train_mask, truth, elsewhere)
            training = start(recipe, graph, 0, classes=3)
            for _ in training.steps:
                pass
            outputs.append(embedding(training.method, training.data))
        assert torch.equal(*outputs)
        rest = ~graph.train_mask
        assert float((outputs[0].argmax(1) == truth)[rest].float().mean()) > 0.85

    def test_what_is_missing_is_named(self) -> None:
        graph = self.labelled()
        with pytest.raises(RequestError, match="number of classes"):
            SupervisedGcn().build(GraphShape(7), seeded())
        method = built(SupervisedMlp(), classes=3)
        for mask in (None, torch.zeros(24, dtype=torch.bool), torch.ones(24, dtype=torch.bool)):
            graph.train_mask = mask
            with pytest.raises(DataError, match="train_mask"):
                method.loss(graph, seeded())
