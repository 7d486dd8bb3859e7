"""The store of records: appended, never changed, and never in doubt about what counts."""

import contextlib
import dataclasses
import errno
import json
import multiprocessing
import os
import subprocess
import sys

import pytest

from graphcl.bench import run as run_module
from graphcl.bench import runner
from graphcl.bench import store as store_module
from graphcl.bench.run import Run, execute, nested
from graphcl.bench.runner import pending, run_all
from graphcl.bench.store import Store
from graphcl.data.loading import load
from graphcl.errors import DataError, RequestError, RunFailedError, UnknownNameError
from graphcl.evaluate.clusters import clustering
from graphcl.evaluate.diagnostics import diagnose
from graphcl.train import start


def record(run_id, method="raw", dataset="karate", status="ok", **more):
    return {"run_id": run_id, "run": {"method": method, "dataset": dataset}, "status": status, **more}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


@pytest.fixture
def file(store):
    store.append(record("a", value=1))
    store.append(record("b", value=2))
    return store.folder / "raw" / "karate.jsonl"


# --- appending and reading ---------------------------------------------------------------------------------------------


def test_records_come_back_as_they_went_in(store):
    written = [
        record("a", note="ä\n|", number=0.1 + 0.2),
        record("b", "grace"),
        record("c", dataset="cora"),
        record("d"),
    ]
    for one in written:
        store.append(one)
    # by file name, then by line
    assert store.read() == [written[1], written[2], written[0], written[3]]
    assert sorted(str(path.relative_to(store.folder)) for path in store.folder.rglob("*.jsonl")) == [
        "grace/karate.jsonl",
        "raw/cora.jsonl",
        "raw/karate.jsonl",
    ]


def test_a_record_is_one_line(file):
    assert file.read_bytes().count(b"\n") == 2
    assert file.read_bytes().endswith(b"}\n")


def test_a_folder_that_is_not_there_is_no_folder_of_results(store):
    with pytest.raises(RequestError) as caught:
        store.read()
    assert str(caught.value) == f"{store.folder} is no folder of results; give the --out of a `graphcl bench run`"
    assert store.finished() == set()


def test_finished_are_those_that_would_come_out_the_same_again(store):
    for status in ("ok", "failed", "error"):
        store.append(record(status, status=status))
    assert store.finished() == {"ok", "failed"}


def test_nan_is_no_json_and_is_not_written(store, file):
    before = file.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.append(record("c", value=float("nan")))
    assert file.read_bytes() == before


# --- a line cut off ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 2, 10, 40])
def test_a_torn_last_line_never_counted_and_goes_before_the_next(store, file, cut):
    whole = file.read_bytes()
    line = whole.splitlines(keepends=True)[1]
    # cut 1 takes the line break alone, after which the record is whole
    file.write_bytes(whole[: len(whole) - min(cut, len(line) - 1)])
    assert store.finished() == ({"a", "b"} if cut == 1 else {"a"})
    store.append(record("c", value=3))
    expected = ["a", "b", "c"] if cut == 1 else ["a", "c"]
    assert [one["run_id"] for one in store.read()] == expected
    assert [json.loads(line)["run_id"] for line in file.read_text().splitlines()] == expected


def test_every_cut_of_the_last_line_leaves_a_store_that_goes_on(store, file):
    whole = file.read_bytes()
    first = whole.index(b"\n") + 1
    for end in range(first, len(whole)):
        file.write_bytes(whole[:end])
        counted = store.finished()
        assert counted == ({"a", "b"} if end == len(whole) - 1 else {"a"})
        store.append(record("c"))
        assert store.finished() == counted | {"c"}
        assert file.read_bytes().startswith(whole[:first])


def test_a_file_that_is_one_torn_line_becomes_empty_first(store):
    path = store.folder / "raw" / "karate.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"run_id": "a", "ru')
    assert store.read() == []
    store.append(record("b"))
    assert store.read() == [record("b")]


def test_a_cut_inside_a_letter_is_a_torn_line_too(store, file):
    with file.open("ab") as stream:
        stream.write('{"run_id": "ä'.encode()[:-1])
    assert store.finished() == {"a", "b"}
    store.append(record("c"))
    assert store.finished() == {"a", "b", "c"}


@pytest.mark.parametrize(
    "line", ["nonsense", '{"run_id": "b"}', "5", "null", '{"run_id": "b", "run": 3, "status": "ok"}']
)
def test_a_corrupt_line_in_the_middle_is_named(store, file, line):
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], line, lines[1]]) + "\n")
    for look in (store.read, store.finished):
        with pytest.raises(DataError) as caught:
            look()
        assert str(caught.value) == f"{file}:2 is no record; restore the line or delete it"


def test_a_corrupt_last_line_that_was_written_whole_is_named_too(store, file):
    with file.open("a") as stream:
        stream.write("nonsense\n")
    with pytest.raises(DataError, match=r":3 is no record"):
        store.read()


def test_empty_lines_are_nothing(store, file):
    file.write_text(file.read_text().replace("\n", "\n\n"))
    assert store.finished() == {"a", "b"}


# --- a disk that is full, a folder that cannot be written --------------------------------------------------------------


def full_after(monkeypatch, count):
    """Let ``count`` bytes through, then fail as a full disk does."""
    real, left = os.write, [count]

    def write(descriptor, data):
        if left[0] <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = real(descriptor, bytes(data)[: left[0]])
        left[0] -= done
        return done

    monkeypatch.setattr(store_module.os, "write", write)


@pytest.mark.parametrize("count", [0, 1, 30])
def test_a_full_disk_leaves_the_file_as_it_was(store, file, monkeypatch, count):
    before = file.read_bytes()
    full_after(monkeypatch, count)
    with pytest.raises(RequestError) as caught:
        store.append(record("c"))
    assert str(caught.value) == (
        f"cannot write {file} (No space left on device); all earlier results are safe: make room and start the same "
        "command again, it resumes"
    )
    assert file.read_bytes() == before
    monkeypatch.undo()
    store.append(record("c"))
    assert store.finished() == {"a", "b", "c"}


def test_a_full_disk_while_syncing_leaves_the_file_as_it_was(store, file, monkeypatch):
    before = file.read_bytes()

    def fsync(descriptor):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(store_module.os, "fsync", fsync)
    with pytest.raises(RequestError, match=r"\(Input/output error\); all earlier results are safe"):
        store.append(record("c"))
    assert file.read_bytes() == before


def test_a_slow_disk_that_takes_a_few_bytes_at_a_time_gets_the_whole_line(store, file, monkeypatch):
    real = os.write
    monkeypatch.setattr(store_module.os, "write", lambda descriptor, data: real(descriptor, bytes(data)[:7]))
    store.append(record("c", note="x" * 100))
    assert store.read()[-1] == record("c", note="x" * 100)


def test_a_record_is_forced_to_disk_before_it_counts(store, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(store_module.os, "fsync", lambda fd: (synced.append(os.fstat(fd).st_size), real(fd)))
    store.append(record("a"))
    assert synced == [(store.folder / "raw" / "karate.jsonl").stat().st_size]


def test_a_folder_below_a_file_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    for folder, reason in ((tmp_path / "file", "File exists"), (tmp_path / "file" / "x", "Not a directory")):
        with pytest.raises(RequestError) as caught, Store(folder).writing():
            pass
        assert str(caught.value) == f"cannot write to {folder} ({reason}); choose another --out"


def test_a_folder_without_permission_is_refused_before_any_work(store, monkeypatch):
    def refuse(self, timeout=None):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(store_module.FileLock, "acquire", refuse)
    monkeypatch.setattr(runner, "execute", lambda *_: pytest.fail("it must not start"))
    with pytest.raises(RequestError, match=r"^cannot write to .* \(Permission denied\); choose another --out$"):
        list(run_all([Run.of("raw", "karate")], store))


HOLD = """
import sys, time
from pathlib import Path
from filelock import FileLock
with FileLock(Path(sys.argv[1]) / ".lock"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_that_another_process_holds_is_refused(store):
    store.folder.mkdir()
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(store.folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RequestError) as caught, store.writing():
            pass
        expected = f"another process is writing to {store.folder}; wait for it or choose another --out"
        assert str(caught.value) == expected
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    # killed, it holds nothing any more
    with store.writing():
        store.append(record("a"))
    with store.writing():
        pass


# --- running what is missing -------------------------------------------------------------------------------------------


@pytest.fixture
def computed(monkeypatch):
    """Replace the computation by a note of what was asked; the outcome is scripted by method."""
    asked, outcome = [], {}

    def fake(run, watch=None, kept=None):
        asked.append(run.id)
        return {
            "run_id": run.id,
            "run": {"method": run.method, "dataset": run.dataset},
            "status": outcome.get(run.method, "ok"),
        }

    monkeypatch.setattr(runner, "execute", fake)
    fake.asked, fake.outcome = asked, outcome
    return fake


CELLS = [Run.of(method, "karate", seed=seed) for seed in (0, 1) for method in ("raw", "majority", "random-init")]


def test_each_cell_is_computed_once_in_order(store, computed):
    yielded = [one["run_id"] for one in run_all([*CELLS, *CELLS], store)]
    assert yielded == computed.asked == [cell.id for cell in CELLS]
    assert list(run_all(CELLS, store)) == []
    assert pending(CELLS, store) == []


def test_an_interrupted_bench_goes_on_where_it_stopped(store, computed):
    bench = run_all(CELLS, store)
    next(bench)
    next(bench)
    bench.close()
    assert store.finished() == {CELLS[0].id, CELLS[1].id}
    assert [one["run_id"] for one in run_all(CELLS, store)] == [cell.id for cell in CELLS[2:]]


def test_a_failed_cell_is_final_and_an_error_is_tried_again(store, computed):
    computed.outcome.update({"majority": "failed", "random-init": "error"})
    assert [one["status"] for one in run_all(CELLS, store)] == ["ok", "failed", "error"] * 2
    computed.outcome.clear()
    assert [one["status"] for one in run_all(CELLS, store)] == ["ok", "ok"]
    assert pending(CELLS, store) == []
    # what was tried is kept: two errors beside their mended runs
    assert len(store.read()) == 8


def test_what_differs_in_split_or_probe_alone_is_trained_once(store, monkeypatch):
    changes = {"dim": 8, "plan": {"epochs": 3}}
    cells = [
        Run.of("grace", "karate", "few-4", 0, changes),
        Run.of("grace", "karate", "few-4", 1, changes),
        Run.of("grace", "karate", "few-5", 0, changes),
        Run.of("grace", "karate", "few-4", 0, changes, probe="early-stopped"),
        Run.of("grace", "karate", "few-4", 0, changes, protocol="legacy"),
    ]
    alone = {cell.id: execute(cell) for cell in cells}
    started = []
    monkeypatch.setattr(run_module, "start", lambda *args: (started.append(args), start(*args))[1])
    together = {one["run_id"]: one for one in run_all(cells, store)}
    assert len(started) == 3  # two seeds, and the legacy run by itself
    for name, one in together.items():
        assert one["metrics_per_split"] == alone[name]["metrics_per_split"]
        assert one["seconds"]["total"] >= one["seconds"]["train"] > 0
    shared = [one for one in together.values() if "trained_with" in one]
    assert {one["run_id"] for one in shared} == {cells[2].id, cells[3].id}
    first = together[cells[0].id]
    assert all(one["seconds"]["train"] == first["seconds"]["train"] for one in shared)


def test_the_same_rows_on_the_same_split_are_probed_once(store, monkeypatch):
    asked = []

    def score(h, y, split, probe, metric, seed):
        asked.append(seed)
        return real(h, y, split, probe, metric, seed)

    real = run_module.score
    monkeypatch.setattr(run_module, "score", score)
    # a published split: the same for every seed
    monkeypatch.setattr(run_module, "load", lambda name, split, seed: load(name, split, 0))
    runs = [Run.of(name, "karate", seed=seed) for name in ("raw", "random-init") for seed in (0, 1, 2)]
    runs += [Run.of("raw", "karate", seed=3, changes={"probe": {"strengths": [1.0]}})]
    first, second, third, *random, other = run_all(runs, store)
    assert asked == [0, 0, 1, 2, 3]
    assert "probed_with" not in first
    assert second["probed_with"] == third["probed_with"] == first["run_id"]
    for record in (second, third):
        assert {key: record[key] for key in ("metrics", "metrics_per_split", "selection", "split")} == {
            key: first[key] for key in ("metrics", "metrics_per_split", "selection", "split")
        }
        assert record["seconds"]["probe"] == pytest.approx(first["seconds"]["probe"], abs=2e-3)
        assert record["seconds"]["total"] >= record["seconds"]["probe"]
    assert not any("probed_with" in record for record in (*random, other))


def test_memory_of_a_probe_that_was_not_made_again_is_that_of_the_one_that_was(store, monkeypatch):
    @contextlib.contextmanager
    def peaks():
        peak = {}
        yield peak
        peak["peak_mb"] = left.pop(0)

    left = [900.0, 100.0, 950.0]
    monkeypatch.setattr(run_module, "peak_memory", peaks)
    monkeypatch.setattr(run_module, "load", lambda name, split, seed: load(name, split, 0))
    found = [record["peak_mb"] for record in run_all([Run.of("raw", "karate", seed=seed) for seed in (0, 1, 2)], store)]
    assert found == [900.0, 900.0, 950.0]


def test_a_run_that_is_made_again_is_probed_again(monkeypatch):
    run = Run.of("raw", "karate")
    first, second = execute(run), execute(run)
    assert "probed_with" not in second
    first["metrics"]["acc/test"] = 99.0
    monkeypatch.setattr(run_module, "load", lambda name, split, seed: load(name, split, 0))
    third = execute(Run.of("raw", "karate", seed=1))
    assert third["probed_with"] == run.id
    assert third["metrics"] == second["metrics"], "a record that is changed changes no other"


def test_folds_are_drawn_anew_for_every_seed(store, monkeypatch):
    monkeypatch.setattr(run_module, "load", lambda name, split, seed: load(name, split, 0))
    runs = [Run.of("raw", "karate", "random-20-80-cv", seed=seed) for seed in (0, 1)]
    assert not any("probed_with" in record for record in run_all(runs, store))


def test_scores_are_not_kept_for_ever(store, monkeypatch):
    monkeypatch.setattr(run_module, "_PROBED_AT_MOST", 2)
    list(run_all([Run.of("random-init", "karate", seed=seed) for seed in range(5)], store))
    assert [known.run_id for known in run_module._PROBED.values()] == [
        Run.of("random-init", "karate", seed=seed).id for seed in (3, 4)
    ]


def test_processes_hand_over_each_record_of_a_group(store):
    changes = {"dim": 8, "plan": {"epochs": 3}}
    cells = [Run.of("grace", "karate", f"few-{k}", seed, changes) for k in (3, 4, 5) for seed in (0, 1)]
    bench = run_all(cells, store, jobs=2)
    first = next(bench)
    assert first["status"] == "ok"
    assert first["run_id"] in store.finished()
    bench.close()
    rest = list(run_all(cells, store))
    assert len(rest) == 6 - len(store.finished() - {one["run_id"] for one in rest})
    assert store.finished() == {cell.id for cell in cells}


def test_workers_killed_within_their_groups_cost_only_what_was_not_handed_over(store):
    changes = {"dim": 8, "plan": {"epochs": 3}}
    probes = [(4, None), (3, "early-stopped"), (4, "early-stopped"), (5, "early-stopped")]
    cells = [
        Run.of("grace", "karate", f"few-{k}", seed, changes, probe=probe) for seed in (0, 1) for k, probe in probes
    ]
    bench = run_all(cells, store, jobs=2)
    next(bench)
    workers = [child for child in multiprocessing.active_children() if not child.name.startswith("SyncManager")]
    assert len(workers) == 2
    for worker in workers:
        worker.kill()
    with pytest.raises(RunFailedError, match="a worker process was killed"):
        list(bench)
    before = [one["run_id"] for one in store.read()]
    assert 1 <= len(before) < len(cells)
    after = [one["run_id"] for one in run_all(cells, store)]
    assert sorted(before + after) == sorted(cell.id for cell in cells)


def test_a_training_that_failed_is_not_repeated_for_the_other_splits(store, monkeypatch):
    changes = {"dim": 8, "plan": {"epochs": 3, "lr": 1e30}}
    cells = [Run.of("grace", "karate", f"few-{k}", 0, changes) for k in (3, 4, 5)]
    alone = execute(cells[1])
    started = []
    monkeypatch.setattr(run_module, "start", lambda *args: (started.append(args), start(*args))[1])
    together = list(run_all(cells, store))
    assert len(started) == 1
    assert [one["status"] for one in together] == ["failed"] * 3
    assert {one["error"] for one in together} == {alone["error"]}
    assert [one.get("trained_with") for one in together] == [None, cells[0].id, cells[0].id]


def test_a_record_describes_the_embedding():
    changes = {"dim": 8, "plan": {"epochs": 3}}
    run = Run.of("grace", "karate", changes=changes)
    kept = []
    made = execute(run, None, kept)
    graph, _ = load("karate")
    assert made["embedding"]["clustering"] == clustering(kept[0].embedding, graph.y, runs=1, seed=0)
    assert made["embedding"]["diagnostics"] == diagnose(kept[0].embedding, graph).to_dict()
    again = execute(Run.of("grace", "karate", "few-5", changes=changes), None, kept)
    assert again["embedding"] == made["embedding"]
    assert "embedding" not in execute(Run.of("majority", "karate"))
    assert "embedding" not in execute(Run.of("supervised-gcn", "karate", changes={"plan": {"epochs": 2}}))


def test_an_embedding_that_cannot_be_described_keeps_its_score(store, monkeypatch):
    def broken(*_):
        raise MemoryError("400 MB")

    monkeypatch.setattr(run_module, "diagnose", broken)
    changes = {"dim": 8, "plan": {"epochs": 3}}
    cells = [Run.of("grace", "karate", split, 0, changes) for split in ("few-4", "few-5")]
    first, second = run_all(cells, store)
    assert (first["status"], second["status"], second["trained_with"]) == ("ok", "ok", cells[0].id)
    assert first["embedding"] == second["embedding"] == {"error": "MemoryError: 400 MB"}


def test_legacy_looks_at_what_patience_puts_back():
    changes = {"dim": 8, "plan": {"epochs": 60, "patience": 3, "lr": 0.5}}
    honest, legacy = (execute(Run.of("dgi", "karate", changes=changes, protocol=p)) for p in ("honest", "legacy"))
    assert legacy["metrics"]["acc/test"] >= honest["metrics"]["acc/test"]
    assert legacy["selection"]["epoch"] in {*range(0, 61, 10), "of the lowest loss"}


def test_a_value_that_json_cannot_hold_is_an_error_of_its_own_run(store, monkeypatch):
    cells = [Run.of("raw", "karate", split) for split in ("few-4", "few-5")]
    real = run_module.score

    def broken(h, y, split, *rest):
        scores = real(h, y, split, *rest)
        return dataclasses.replace(scores, metrics={"acc/test": float("nan")}) if split.name == "few-4" else scores

    monkeypatch.setattr(run_module, "score", broken)
    first, second = run_all(cells, store)
    assert (first["status"], first["kind"]) == ("error", "ValueError")
    assert "metrics" not in first
    assert second["status"] == "ok"


def test_what_learns_without_labels_is_not_handed_any():
    graph, _ = load("karate")
    training = start(Run.of("grace", "karate").recipe(), graph, 0)
    assert not {"y", "train_mask", "val_mask", "test_mask"} & set(training.data.keys())
    assert graph.y is not None
    graphs = [graph, graph]
    assert "y" not in start(Run.of("graph-cl", "mutag").recipe(), graphs, 0).data


def test_a_probe_that_fails_does_not_cost_the_next_record_its_training_time(store, monkeypatch):
    changes = {"dim": 8, "plan": {"epochs": 3}}
    cells = [Run.of("grace", "karate", split, 0, changes) for split in ("few-4", "few-5")]
    real = run_module.score
    calls = []

    def failing(*args):
        calls.append(args)
        if len(calls) == 1:
            raise ValueError("the first one fails")
        return real(*args)

    monkeypatch.setattr(run_module, "score", failing)
    first, second = run_all(cells, store)
    assert (first["status"], second["status"]) == ("error", "ok")
    assert second["seconds"]["train"] > 0


def test_a_supervised_reference_sees_the_labels_of_train_alone(monkeypatch):
    seen = []

    def watching(recipe, data, seed, classes):
        seen.append(data)
        return start(recipe, data, seed, classes)

    monkeypatch.setattr("graphcl.bench.references.start", watching)
    made = execute(Run.of("supervised-gcn", "karate", "few-4x3", 0, {"plan": {"epochs": 30}}))
    assert made["status"] == "ok", made
    _, split = load("karate", "few-4x3", 0)
    assert len(seen) == len(split) == 3
    for data, triple in zip(seen, split, strict=True):
        assert data.train_mask.nonzero().flatten().tolist() == triple.train.tolist()
        assert (data.y[~data.train_mask] == -1).all()
    assert made["selection"]["rule"].startswith("SUPERVISED")
    assert [choice["epoch"] > 0 for choice in made["selection"]["chosen"]] == [True] * 3
    assert made["metrics"]["acc/test"] > 0.7


def test_a_setting_that_is_left_open_is_not_part_of_a_runs_id():
    run = Run.of("grace", "karate")
    later = dataclasses.replace(run, settings={**run.settings, "novelty": None})
    assert later.id == run.id
    assert dataclasses.replace(run, settings={**run.settings, "novelty": 1}).id != run.id


def test_a_record_is_on_disk_when_it_is_yielded(store, computed):
    for one in run_all(CELLS[:2], store):
        assert one["run_id"] in store.finished()


def test_two_benches_never_write_into_one_folder(store, computed):
    first = run_all(CELLS, store)
    next(first)
    with pytest.raises(RequestError, match="another process is writing to"):
        list(run_all(CELLS, Store(store.folder)))
    first.close()
    assert len(list(run_all(CELLS, store))) == len(CELLS) - 1


@pytest.mark.parametrize("jobs", [0, -1])
def test_a_senseless_number_of_jobs_is_refused(store, jobs):
    with pytest.raises(RequestError, match=rf"^jobs = {jobs}: input should be 1 or more$"):
        list(run_all(CELLS, store, jobs=jobs))


# --- runs --------------------------------------------------------------------------------------------------------------


def test_equal_runs_have_equal_ids_and_different_ones_do_not():
    base = Run.of("grace", "karate", seed=1)
    assert base.id == Run.of("grace", "karate", "few-4", 1, {"temperature": 0.5}).id
    others = [
        Run.of("dgi", "karate", seed=1),
        Run.of("grace", "digits-knn", seed=1),
        Run.of("grace", "karate", "few-5", 1),
        Run.of("grace", "karate", seed=2),
        Run.of("grace", "karate", seed=1, changes={"temperature": 0.6}),
        Run.of("grace", "karate", seed=1, changes={"plan": {"epochs": 1}}),
        Run.of("grace", "karate", seed=1, protocol="legacy"),
    ]
    assert len({base.id, *(run.id for run in others)}) == 8
    assert len(base.id) == 16


def test_a_run_rebuilds_its_recipe_and_its_probe():
    run = Run.of("grace", "cora", changes={"plan": {"epochs": 3}})
    assert run.recipe().temperature == 0.4
    assert run.recipe().plan.epochs == 3
    assert run.probe["name"] == "logistic"
    assert type(run.make_probe()).name == "logistic"
    assert Run.of("majority", "karate").probe == {"name": "majority"}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("grcae", "karate"), UnknownNameError, "unknown method 'grcae': did you mean 'grace'"),
        (("grace", "karat"), UnknownNameError, "unknown data set 'karat': did you mean 'karate'"),
        (("grace", "karate", "few-0"), UnknownNameError, "unknown split of karate 'few-0'"),
        (("grace", "karate", None, -1), RequestError, "seed = -1: input should be 0 or more"),
        (
            ("grace", "mutag"),
            RequestError,
            "grace embeds nodes and mutag is a set at graph level; `graphcl ls methods`",
        ),
        (("grace", "karate", None, 0, None, "test"), UnknownNameError, "unknown protocol 'test'"),
    ],
)
def test_a_wrong_run_is_refused_before_any_work(arguments, error, message, monkeypatch):
    monkeypatch.setattr(run_module, "load", lambda *_: pytest.fail("nothing may be loaded"))
    with pytest.raises(error) as caught:
        Run.of(*arguments)
    assert str(caught.value).startswith(message)


def test_nested_settings():
    assert nested(["plan.epochs=5", "dim=64", "plan.lr=0.1"]) == {"plan": {"epochs": 5, "lr": 0.1}, "dim": 64}
    with pytest.raises(RequestError, match="^setting 'plan.epochs=5': 'plan' is already a value$"):
        nested(["plan=3", "plan.epochs=5"])


def test_a_diverging_run_has_failed(monkeypatch):
    made = execute(Run.of("grace", "karate", changes={"plan": {"epochs": 5, "lr": 1e30}}))
    assert made["status"] == "failed"
    assert "lower plan.lr = 1e+30" in made["error"]
    assert "metrics" not in made
    assert {"run_id", "run", "seconds", "env", "time"} <= set(made)


@pytest.mark.parametrize(
    ("raised", "status", "kind", "message"),
    [
        (DataError("no file"), "error", "DataError", "no file"),
        (MemoryError("32 GiB"), "error", "MemoryError", "MemoryError: 32 GiB"),
        (RunFailedError("diverged"), "failed", None, "diverged"),
    ],
)
def test_what_goes_wrong_is_a_record(monkeypatch, raised, status, kind, message):
    def load(*_):
        raise raised

    monkeypatch.setattr(run_module, "load", load)
    made = execute(Run.of("raw", "karate"))
    assert (made["status"], made.get("kind"), made["error"]) == (status, kind, message)
    json.dumps(made, allow_nan=False)


def test_an_interrupt_is_no_record(monkeypatch):
    def load(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module, "load", load)
    with pytest.raises(KeyboardInterrupt):
        execute(Run.of("raw", "karate"))


def test_watch_is_called_after_each_step():
    seen = []
    made = execute(
        Run.of("dgi", "karate", changes={"dim": 8, "plan": {"epochs": 4}}), lambda s, p: seen.append((s.n, p.epochs))
    )
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert made["status"] == "ok"
    assert set(made["seconds"]) == {"load", "train", "embed", "probe", "total"}
    assert made["peak_mb"] > 1


def test_legacy_reports_the_epoch_that_is_best_on_test_and_says_so():
    changes = {"dim": 8, "plan": {"epochs": 25, "lr": 0.05}}
    honest, legacy = (execute(Run.of("dgi", "karate", changes=changes, protocol=p)) for p in ("honest", "legacy"))
    assert legacy["selection"]["legacy"] is True
    assert legacy["selection"]["rule"].startswith("FLAGGED")
    assert legacy["selection"]["epoch"] in (0, 10, 20, 25)
    assert legacy["metrics"]["acc/test"] >= honest["metrics"]["acc/test"]
    assert honest["selection"]["legacy"] is False
    assert "epoch" not in honest["selection"]
    assert honest["run_id"] != legacy["run_id"]


def test_the_global_random_state_is_nobodys_business():
    import torch

    torch.manual_seed(9)
    before = torch.get_rng_state()
    first = execute(Run.of("grace", "karate", changes={"dim": 8, "plan": {"epochs": 3}}))
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(10)
    second = execute(Run.of("grace", "karate", changes={"dim": 8, "plan": {"epochs": 3}}))
    assert first["metrics"] == second["metrics"]
    assert first["metrics_per_split"] == second["metrics_per_split"]
