"""What people do by mistake: each gets its meaning, or one line that says what is wrong."""

import copy

import pytest
import torch
from torch_geometric.data import Data, HeteroData

import graphcl
from graphcl.augment import EdgeDropout, EgoNet, FeatureMask
from graphcl.batches import FullGraph
from graphcl.bench import Run, Store, pending, summarise
from graphcl.data.splits import Split, Triple
from graphcl.errors import DataError, RequestError
from graphcl.evaluate import LogisticProbe, score


def rows(*bounds: int) -> torch.Tensor:
    return torch.arange(*bounds)


def two_class(n: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    y = torch.arange(n) % 2
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(0)) + y[:, None], y


@pytest.mark.parametrize("view", [EdgeDropout(0.5), FeatureMask(0.5)])
def test_views_refuse_what_they_cannot_change(view) -> None:
    with pytest.raises(DataError, match="takes a torch_geometric.data.Data, got dict"):
        view({"x": torch.ones(2, 1)})
    with pytest.raises(DataError, match=r"EgoNet takes one kind of nodes and edges, got a HeteroData; convert"):
        EgoNet()(HeteroData())
    hidden = Data(x=torch.ones(2, 1), adj_t=torch.eye(2).to_sparse_csr())
    if isinstance(view, FeatureMask):
        assert view(hidden).x.shape == (2, 1)  # edges are none of its business
        return
    with pytest.raises(DataError, match=r"EdgeDropout: the edges are in data.adj_t"):
        view(hidden)


def test_batches_leave_the_graph_on_its_device() -> None:
    data = Data(x=torch.ones(2, 1), edge_index=torch.tensor([[0, 1], [1, 0]]))
    assert FullGraph(data, "meta").data.x.device.type == "meta"
    assert data.x.device.type == "cpu"


def test_triples_take_masks() -> None:
    mask = torch.zeros(6, dtype=torch.bool)
    parts = []
    for start in (0, 2, 4):
        part = mask.clone()
        part[start : start + 2] = True
        parts.append(part)
    assert [part.tolist() for part in vars(Triple(*parts)).values()] == [[0, 1], [2, 3], [4, 5]]


def test_a_split_without_a_test_part_is_refused() -> None:
    h, y = two_class()
    split = Split("mine", (Triple(rows(20), rows(20, 40), rows(0)),), "by hand")
    with pytest.raises(DataError, match="the test part is empty"):
        score(h, y, split, LogisticProbe(strengths=(1.0,)))


def test_labels_with_gaps_are_refused_before_any_work() -> None:
    h, y = two_class()
    split = Split("mine", (Triple(rows(20), rows(20, 30), rows(30, 40)),), "by hand")
    with pytest.raises(DataError, match="labels go up to 1000000 with gaps"):
        score(h, y * 1_000_000, split, LogisticProbe())


def test_a_part_of_one_class_has_no_auc_but_an_accuracy() -> None:
    h, y = two_class()
    test = torch.tensor([30, 32, 34])  # class 0 only
    split = Split("mine", (Triple(rows(20), rows(20, 30), test),), "by hand")
    probe = LogisticProbe(strengths=(1.0,), normalisations=("none",))
    assert sorted(score(h, y, split, probe).metrics) == ["acc/test", "acc/val", "auc/val", "f1/test", "f1/val"]
    with pytest.raises(DataError, match="ROC-AUC needs rows of exactly two classes, found 1"):
        score(h, y, split, probe, metric="auc")


@pytest.mark.parametrize("seed", [-1, "a", 1.5])
def test_seeds_are_whole_numbers(seed) -> None:
    data, _ = graphcl.load("karate")
    with pytest.raises(RequestError, match="seed = "):
        graphcl.embed("raw", data, seed=seed)


def test_the_majority_probe_is_not_for_methods() -> None:
    with pytest.raises(RequestError, match="run the method 'majority' instead"):
        Run.of("grace", "karate", probe="majority")


def record(run: Run, status: str = "ok", accuracy: float = 0.5, content: str = "aa") -> dict:
    base = {"run_id": run.id, "run": dict(vars(run)), "status": status}
    if status != "ok":
        return {**base, "error": "boom"}
    return {**base, "metric": "acc", "metrics": {"acc/test": accuracy}, "dataset": {"fingerprint": content}}


def test_a_success_replaces_an_earlier_failure_of_the_same_run() -> None:
    run = Run.of("raw", "karate", "few-4")
    for order in (("error", "ok"), ("ok", "error")):
        report = summarise([record(run, status) for status in order])
        (column,) = report.columns
        assert report.cells["raw", column].values == {0: 0.5}
        assert report.cells["raw", column].failures == ()


def test_presets_by_name() -> None:
    assert Run.of("grace", "karate", "few-4", preset="cora-wide").settings["dim"] == 256
    with pytest.raises(RequestError, match="unknown preset of grace 'cora-wid': did you mean 'cora-wide'"):
        Run.of("grace", "karate", "few-4", preset="cora-wid")


def test_a_record_of_another_content_does_not_count_as_done(tmp_path, monkeypatch) -> None:
    run = Run.of("raw", "python-stdlib", "random-10-10-80")
    store = Store(tmp_path)
    store.append(record(run, content="bbbb"))
    graph = Data(x=torch.ones(2, 1), edge_index=torch.tensor([[0, 1], [1, 0]]))
    monkeypatch.setattr("graphcl.bench.run.open_dataset", lambda name: (None, copy.copy(graph), {}))
    monkeypatch.setattr("graphcl.bench.run.fingerprint", lambda graphs: "aaaa")
    assert pending([run], store) == [run]
    store.append(record(run, content="aaaa"))
    assert pending([run], store) == []
