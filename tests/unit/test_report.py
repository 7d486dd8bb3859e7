"""From records to a table whose every figure can be worked out by hand."""

import importlib.util
import io
import json
import math
from pathlib import Path

import pytest
from rich.console import Console
from scipy import stats

from graphcl.bench.bias import bias_section, legacy_bias
from graphcl.bench.page import Page
from graphcl.bench.report import Cell, Column, by_metric, records_below, summarise
from graphcl.bench.run import Run
from graphcl.bench.section import Section
from graphcl.bench.store import Store
from graphcl.errors import DataError, RequestError
from graphcl.methods.grace import Grace

PRINTS = {"karate": "aaaa", "digits-knn": "bbbb", "cora": "cccc", "citeseer": "dddd"}


def record(method, dataset, seed, value, protocol="honest", split=None, changes=None, fingerprint=None, **more):
    run = Run.of(method, dataset, split, seed, changes, protocol)
    made = {
        "run_id": f"{run.id}-{fingerprint}" if fingerprint else run.id,
        "run": {**run.__dict__},
        "status": "ok",
        "metric": "acc",
        "metrics": {"acc/test": value, "acc/val": 1.0},
        "dataset": {"name": dataset, "fingerprint": fingerprint or PRINTS.get(dataset, "cccc")},
    }
    return {**made, **more}


def failed(method, dataset, seed, message, status="failed"):
    made = record(method, dataset, seed, None, status=status, error=message)
    for absent in ("metric", "metrics", "dataset"):
        del made[absent]
    return made


def scores(method, dataset, *values, **more):
    return [record(method, dataset, seed, value, **more) for seed, value in enumerate(values)]


TABLE = [
    *scores("grace", "karate", 0.80, 0.90, 1.00),
    *scores("dgi", "karate", 0.79, 0.90, 0.95),  # 0.02 below on average, differing in seeds: inside the noise
    *scores("raw", "karate", 0.60, 0.70, 0.80),  # 0.2 below at every seed: no noise at all
    *scores("grace", "digits-knn", 0.50, 0.60),
    *scores("dgi", "digits-knn", 0.70, 0.75),
]
KARATE = Column("karate", "few-4", "acc", "honest", "aaaa")
DIGITS = Column("digits-knn", "random-10-10-80", "acc", "honest", "bbbb")


@pytest.fixture
def report():
    return summarise(TABLE)


def test_means_and_intervals_by_hand(report):
    cell = report.cells["grace", KARATE]
    assert cell.mean == pytest.approx(0.9)
    # deviation 0.1, three seeds: t(0.975, 2) = √(2 · 0.95² / (1 - 0.95²)) has a closed form
    t = math.sqrt(2 * 0.95**2 / (1 - 0.95**2))
    assert t == pytest.approx(stats.t.ppf(0.975, 2), rel=1e-9)
    assert cell.half_width == pytest.approx(t * 0.1 / math.sqrt(3))
    # two seeds: t(0.975, 1) = tan(0.475 π); deviation 0.1/√2, so half width = tan(…) · 0.05
    assert report.cells["grace", DIGITS].half_width == pytest.approx(math.tan(0.475 * math.pi) * 0.05)


def test_the_table_in_words(report):
    assert report.columns == (DIGITS, KARATE)
    assert {row: [report.text(row, column) for column in report.columns] for row in report.rows} == {
        "dgi": ["72.50 ± 31.77 *", "88.00 ± 20.33 ≈"],
        "grace": ["55.00 ± 63.53 ≈", "90.00 ± 24.84 *"],
        "majority": ["not run", "not run"],
        "propagated": ["not run", "not run"],
        "propagated-high": ["not run", "not run"],
        "random-init": ["not run", "not run"],
        "raw": ["not run", "70.00 ± 24.84"],
    }


def test_the_figures_of_the_second_row_by_hand():
    # 0.79, 0.90, 0.95: mean 0.88, deviations -0.09, 0.02, 0.07, sum of squares 0.0134
    t = math.sqrt(2 * 0.95**2 / (1 - 0.95**2))
    assert Cell(dict(enumerate([0.79, 0.90, 0.95]))).half_width == pytest.approx(t * math.sqrt(0.0134 / 2 / 3))


def test_best_is_the_highest_mean(report):
    assert (report.best(KARATE), report.best(DIGITS)) == ("grace", "dgi")


def test_inside_the_noise_is_judged_on_paired_differences():
    # wide intervals that overlap everywhere, and a difference of exactly 0.01 at every seed: no noise
    report = summarise([*scores("grace", "karate", 0.2, 0.5, 0.9), *scores("dgi", "karate", 0.19, 0.49, 0.89)])
    assert "≈" not in report.text("dgi", KARATE)
    # narrow, equal on average, crossing: noise
    report = summarise([*scores("grace", "karate", 0.50, 0.53, 0.50), *scores("dgi", "karate", 0.52, 0.48, 0.52)])
    assert report.text("dgi", KARATE).endswith(" ≈")


def test_the_limit_of_the_noise():
    # differences d - s, d, d + s: inside if d <= t s / √3, t(0.975, 2) = 4.3027: the border lies at s/d = 0.4025
    for spread, inside in ((0.0402, False), (0.0403, True)):
        best = [0.9, 0.9, 0.9]
        other = [0.9 - 0.1 + spread, 0.9 - 0.1, 0.9 - 0.1 - spread]
        report = summarise([*scores("grace", "karate", *best), *scores("dgi", "karate", *other)])
        assert report.text("dgi", KARATE).endswith("≈") is inside


def test_only_shared_seeds_are_compared():
    records = [*scores("grace", "karate", 0.9, 0.9), record("dgi", "karate", 5, 0.9), record("dgi", "karate", 6, 0.85)]
    assert "≈" not in summarise(records).text("dgi", KARATE)


def test_one_seed_has_no_interval():
    report = summarise([record("grace", "karate", 0, 0.5)])
    assert report.text("grace", KARATE) == "50.00 (1 seed) *"
    assert math.isnan(report.cells["grace", KARATE].half_width)


def test_legacy_is_a_column_of_its_own():
    report = summarise([*TABLE, *scores("grace", "karate", 0.99, 0.99, protocol="legacy")])
    legacy = Column("karate", "few-4", "acc", "legacy", "aaaa")
    assert report.columns == (DIGITS, KARATE, legacy)
    assert legacy.title == "karate\nfew-4\nacc\nLEGACY (selected on test)"
    assert report.text("grace", KARATE) == "90.00 ± 24.84 *"
    assert report.text("grace", legacy) == "99.00 ± 0.00 *"
    assert report.text("dgi", legacy) == "not run"
    assert any(note.startswith("LEGACY columns select on the test set") for note in report.footnotes)
    assert not any("LEGACY" in note for note in summarise(TABLE).footnotes)


def test_another_content_of_the_data_is_a_column_of_its_own():
    report = summarise([*TABLE, *scores("grace", "karate", 0.1, 0.1, fingerprint="other")])
    assert Column("karate", "few-4", "acc", "honest", "other") in report.columns
    assert len(report.columns) == 3
    assert report.text("grace", KARATE) == "90.00 ± 24.84 *"


def test_another_metric_is_shown_of_the_records_that_have_it():
    old = scores("grace", "karate", 0.8, 0.9)
    new = scores("dgi", "karate", 0.7, 0.6)
    for one in new:
        one["metrics"]["f1/test"] = one["metrics"]["acc/test"] / 2
    lost = failed("dgi", "karate", 2, "diverged")
    found = summarise(by_metric([*old, *new, lost], "f1"))
    (column,) = found.columns
    assert column.metric == "f1"
    assert dict(found.cells["dgi", column].values) == {0: 0.35, 1: 0.3}
    assert found.cells["dgi", column].failures == ("diverged",)
    assert ("grace", column) not in found.cells
    assert old[0]["metric"] == "acc", "the records stay as they were"
    with pytest.raises(RequestError, match="no record has the metric 'auc'; there are acc, f1"):
        by_metric([*old, *new], "auc")
    with pytest.raises(RequestError, match="there are no scores at all"):
        by_metric([lost], "f1")
    # an error that was made good by a run before f1 was measured is no failure
    again = failed("grace", "karate", 0, "no memory", status="error")
    assert again not in by_metric([again, *old, *new], "f1")


def test_another_split_is_a_column_of_its_own():
    report = summarise([*TABLE, *scores("grace", "karate", 0.1, 0.1, split="few-5")])
    assert Column("karate", "few-5", "acc", "honest", "aaaa") in report.columns
    assert report.text("grace", KARATE) == "90.00 ± 24.84 *"


def test_changed_settings_are_a_row_of_their_own():
    changes = {"temperature": 0.9, "plan": {"epochs": 3}}
    report = summarise([*TABLE, *scores("grace", "karate", 0.1, 0.2, changes=changes)])
    assert report.text("grace (plan.epochs=3, temperature=0.9)", KARATE).startswith("15.00 ± ")
    assert report.text("grace", KARATE) == "90.00 ± 24.84 *"


def test_features_are_part_of_a_row():
    records = []
    for names, changes in [("tf-idf", {}), ("lsa+tf-idf", {"source": {"lsa": {"dim": 8}, "spread": "centred"}})]:
        run = Run.of("grace", "karate", None, 0, changes, features=names)
        records.append({**record("grace", "karate", 0, 0.5), "run_id": run.id, "run": {**run.__dict__}})
    rows = summarise([*records, record("grace", "karate", 0, 0.6)]).rows
    assert [row for row in rows if row.startswith("grace")] == [
        "grace",
        "grace (features=lsa[dim=8]+tf-idf spread=centred)",
        "grace (features=tf-idf)",
    ]


def test_how_features_are_come_by_is_no_part_of_a_row():
    endpoint = {"url": "http://localhost:1/v1", "budget": 10, "timeout": 3.0}
    changes = {"source": {"model": "m", "endpoint": endpoint}}
    run = Run.of("grace", "karate", None, 0, changes, features="endpoint-encoder")
    read = Run.of(
        "sdm-scr", "python-stdlib", None, 0, {"encoder": {"device": "cuda", "most": 3}, "decoupler": "random"}
    )
    records = [
        {**record("grace", dataset, 0, 0.5), "run_id": made.id, "run": {**made.__dict__}}
        for made, dataset in ((run, "karate"), (read, "python-stdlib"))
    ]
    rows = [row for row, kind in summarise(records).rows.items() if kind == "method"]
    assert rows[0].startswith("grace (features=endpoint-encoder[")
    assert "budget" not in rows[0]
    assert "timeout" not in rows[0]
    assert rows[1] == "sdm-scr (decoupler=random, encoder.most=3)"


def test_controls_are_always_rows():
    report = summarise([record("grace", "karate", 0, 0.5)])
    controls = {"majority", "propagated", "propagated-high", "random-init", "raw"}
    assert {row for row, kind in report.rows.items() if kind == "control"} == controls
    assert report.rows["grace"] == "method"
    assert "5 cells were not run." in report.footnotes


def test_a_control_with_settings_of_its_own_is_that_control():
    report = summarise([*TABLE, *scores("random-init", "karate", 0.5, 0.5, changes={"dim": 16})])
    controls = {row for row, kind in report.rows.items() if kind == "control"}
    assert controls == {"majority", "propagated", "propagated-high", "random-init (dim=16)", "raw"}


def test_failures_are_listed_and_counted(report):
    records = [
        *TABLE,
        failed("grace", "karate", 3, "the loss became nan"),
        failed("random-init", "karate", 0, "MemoryError: too large", status="error"),
        failed("random-init", "karate", 1, "MemoryError: too large", status="error"),
    ]
    report = summarise(records)
    assert report.columns == (DIGITS, KARATE)
    assert report.text("grace", KARATE) == "90.00 ± 24.84 * [1 failed]"
    assert report.text("random-init", KARATE) == "failed (2)"
    assert [note for note in report.footnotes if note.startswith("failed")] == [
        "failed: MemoryError: too large",
        "failed: the loss became nan",
    ]
    assert report.best(KARATE) == "grace"


def test_a_column_of_failures_alone_is_shown():
    report = summarise([failed("grace", "karate", 0, "the loss became nan")])
    (column,) = report.columns
    assert report.text("grace", column) == "failed (1)"
    assert report.best(column) is None
    assert "(0)" in report.footnotes[0]


def test_a_run_repeated_after_an_error_counts_once():
    broken = failed("grace", "karate", 0, "no space", status="error")
    mended = record("grace", "karate", 0, 0.5)
    broken["run_id"] = mended["run_id"]
    report = summarise([broken, mended])
    assert report.text("grace", KARATE) == "50.00 (1 seed) *"
    assert not any("failed" in note for note in report.footnotes)


def test_missing_cells_are_counted(report):
    # of 7 rows and 2 columns, 5 cells hold records
    assert "9 cells were not run." in report.footnotes


def test_without_records_there_is_no_table():
    with pytest.raises(RequestError) as caught:
        summarise([])
    assert str(caught.value) == "no records there yet; `graphcl bench run` makes some"


def test_the_seeds_are_told(report):
    assert "mean over seeds (2, 3)" in report.footnotes[0]


def test_markdown(report):
    lines = report.markdown().splitlines()
    assert lines[:5] == [
        "| method | digits-knn · random-10-10-80 · acc | karate · few-4 · acc |",
        "|---|---:|---:|",
        "| dgi | 72.50 ± 31.77 * | 88.00 ± 20.33 ≈ |",
        "| grace | 55.00 ± 63.53 ≈ | 90.00 ± 24.84 * |",
        "| *majority* (control) | not run | not run |",
    ]
    assert lines[8] == "| *raw* (control) | not run | 70.00 ± 24.84 |"
    assert lines[9] == ""
    assert [line.rstrip() for line in lines[10:]] == report.footnotes


def test_the_terminal_table_holds_every_cell(report):
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(report.table())
    text = console.export_text()
    for row in report.rows:
        line = next(line for line in text.splitlines() if f" {row} " in line)
        for column in report.columns:
            assert report.text(row, column) in line
    # methods above, controls below
    assert text.index(" grace ") < text.index(" majority ")


# --- which record counts -----------------------------------------------------------------------------------------------


def test_of_two_runs_of_one_row_and_seed_the_later_one_counts_whatever_the_order_of_the_lines():
    old = record("grace", "karate", 0, 0.5, run_id="old", time="2026-11-22T02:00:00+00:00")
    new = record("grace", "karate", 0, 0.7, run_id="new", time="2026-11-23T02:00:00+00:00")
    for lines in ([old, new], [new, old]):
        assert summarise(lines).cells["grace", KARATE].values == {0: 0.7}


def test_a_record_without_settings_that_came_later_is_the_same_row():
    old = record("grace", "karate", 0, 0.5)
    old["run"]["settings"] = {key: value for key, value in old["run"]["settings"].items() if key != "act"}
    old["run"]["settings"]["plan"] = {"epochs": 200}
    assert summarise([old]).text("grace", KARATE).startswith("50.00")


def test_a_later_failure_replaces_a_score_and_a_later_error_does_not():
    done = record("grace", "karate", 0, 0.5)
    diverged = failed("grace", "karate", 0, "the loss became nan")
    assert summarise([done, diverged | {"run_id": "newer"}]).text("grace", KARATE) == "failed (1)"
    assert summarise([diverged | {"run_id": "older"}, done]).text("grace", KARATE) == "50.00 (1 seed) *"
    broken = failed("grace", "karate", 0, "no space", status="error") | {"run_id": "newer"}
    assert summarise([done, broken]).text("grace", KARATE) == "50.00 (1 seed) *"


def test_settings_of_a_preset_are_named_by_it():
    run = Run.of("grace", "karate", "few-4", 0, preset="cora-wide")
    made = record("grace", "karate", 0, 0.5)
    made["run"]["settings"] = dict(run.settings)
    assert [row for row in summarise([made]).rows if row.startswith("grace")] == ["grace (preset cora-wide)"]


def test_records_below_a_folder_are_never_those_beside_it(tmp_path):
    Store(tmp_path / "runs").append(record("grace", "karate", 0, 0.5))
    (tmp_path / "runs" / "notes.jsonl").write_text("no record\n")
    assert len(records_below(tmp_path / "runs")) == len(records_below(tmp_path)) == 1
    assert records_below(tmp_path / "runs" / "grace") == []


def test_records_below_a_folder_of_results(tmp_path):
    for name, seed in (("one", 0), ("two", 1)):
        Store(tmp_path / name).append(record("grace", "karate", seed, 0.5))
    assert [made["run"]["seed"] for made in records_below(tmp_path)] == [0, 1]
    assert [made["run"]["seed"] for made in records_below(tmp_path / "two")] == [1]
    (tmp_path / "one" / "grace" / "karate.jsonl").write_text("nonsense\n")
    with pytest.raises(DataError, match="is no record"):
        records_below(tmp_path)
    with pytest.raises(RequestError, match="is no folder of results"):
        records_below(tmp_path / "none")


# --- rows that see labels ----------------------------------------------------------------------------------------------


def supervised(seed, value, monkeypatch):
    made = record("grace", "karate", seed, value)
    made["run"]["probe"] = {"name": "none"}
    monkeypatch.setattr(Grace, "supervised", True)
    return made


def test_a_supervised_row_stands_in_every_column_and_takes_no_mark(monkeypatch):
    other = Column("karate", "few-4", "acc", "honest", "aaaa", "early-stopped")
    stopped = [
        {**made, "run": {**made["run"], "probe": {"name": "early-stopped"}}, "run_id": f"{made['run_id']}s"}
        for made in scores("dgi", "karate", 0.4, 0.5)
    ]
    records = [*scores("dgi", "karate", 0.7, 0.8), *stopped, supervised(0, 0.9, monkeypatch)]
    report = summarise(records)
    assert report.columns == (other, KARATE)
    assert [report.text("grace", column) for column in report.columns] == ["90.00 (1 seed)", "90.00 (1 seed)"]
    assert report.rows["grace"] == "supervised"
    assert report.best(KARATE) == "dgi"
    assert "| *grace* (supervised) | 90.00 (1 seed) | 90.00 (1 seed) |" in report.markdown()
    assert any(note.startswith("Supervised rows are trained on the labels") for note in report.footnotes)


def test_supervised_rows_alone_have_a_column(monkeypatch):
    report = summarise([supervised(0, 0.9, monkeypatch)])
    (column,) = report.columns
    assert column.probe == "none"
    assert report.scored("grace", column)


# --- what follows from the table ---------------------------------------------------------------------------------------


def test_a_control_that_beats_a_method_is_named_with_the_difference():
    records = [
        *scores("grace", "karate", 0.80, 0.90, 1.00),
        *scores("dgi", "karate", 0.50, 0.60, 0.70),
        *scores("raw", "karate", 0.60, 0.70, 0.80),
        *scores("random-init", "karate", 0.1, 0.1, 0.1),
    ]
    section = summarise(records).beaten_by_controls()
    assert section.rows == (("dgi", "karate · few-4 · acc", "-10.00", "no", "raw"),)
    crossing = [*scores("dgi", "karate", 0.50, 0.60, 0.70), *scores("raw", "karate", 0.55, 0.58, 0.72)]
    (row,) = summarise(crossing).beaten_by_controls().rows
    assert row[2:] == ("-1.67", "yes", "raw")
    assert summarise(scores("grace", "karate", 0.8, 0.9)).beaten_by_controls() is None


def cost(made, seconds, memory):
    env = {"device": "cpu", "platform": "Linux x86_64", "threads": 2}
    return {**made, "seconds": {"total": seconds}, "peak_mb": memory, "env": env}


def test_costs_are_medians_over_seeds():
    records = [cost(record("grace", "karate", seed, 0.5), took, 100 * took) for seed, took in enumerate((1, 9, 2))]
    section = summarise([*records, record("raw", "digits-knn", 0, 0.5)]).costs()
    assert section.head == ("method", "karate · few-4 · acc")
    assert section.rows == (("grace", "2.0 · 200"),)
    assert section.notes[0].endswith("On: cpu, Linux x86_64, 2 threads.")
    assert summarise(TABLE).costs() is None


def test_the_bias_of_selection_on_test_is_paired_by_seed():
    legacy = [
        record("grace", "karate", seed, value, protocol="legacy") for seed, value in ((1, 0.92), (2, 1.0), (7, 0.3))
    ]
    report = summarise([*TABLE, *legacy, record("dgi", "karate", 9, 0.5, protocol="legacy")])
    (bias,) = legacy_bias(report)
    # the seeds 1 and 2 have both: differences of 2 and 0 points, deviation √2, half width t(0.975, 1) · √2 / √2
    assert (bias.row, bias.column, set(bias.differences)) == ("grace", KARATE, {1, 2})
    assert bias.mean == pytest.approx(1.0)
    assert bias.half_width == pytest.approx(math.tan(0.475 * math.pi))
    section = bias_section(report, (bias,))
    assert section.rows == (("grace", "karate · few-4 · acc", "+1.00 ± 12.71", "2"),)
    assert legacy_bias(summarise(TABLE)) == ()
    assert bias_section(report, ()) is None


def test_another_content_has_no_bias():
    legacy = scores("grace", "karate", 0.9, 0.9, protocol="legacy", fingerprint="other")
    assert legacy_bias(summarise([*TABLE, *legacy])) == ()


def test_rows_of_a_method_alone():
    report = summarise([*TABLE, *scores("grace", "karate", 0.1, changes={"temperature": 0.9})])
    assert report.rows_of("grace").rows == (
        ("grace", "digits-knn · random-10-10-80 · acc", "55.00 ± 63.53", "2"),
        ("grace", "karate · few-4 · acc", "90.00 ± 24.84", "3"),
        ("grace (temperature=0.9)", "karate · few-4 · acc", "10.00 (1 seed)", "1"),
    )
    assert report.rows_of("cca-ssg") is None


# --- the whole page ----------------------------------------------------------------------------------------------------


def test_a_section_in_markdown():
    section = Section("Title", ("name", "n"), (("a|b", "+1.0"), ("c", "–")), ("One.", "Two."))
    lines = ["### Title", "", "| name | n |", "|---|---:|", "| a/b | +1.0 |", "| c | – |", "", "One.", "", "Two.", ""]
    assert section.markdown() == "\n".join(lines)


def test_brackets_in_a_cell_survive_the_terminal():
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(Section("Title", ("name",), (("grace (act=[bold])",),)).table())
    assert "grace (act=[bold])" in console.export_text()


def test_the_page_says_the_same_in_every_form():
    legacy = scores("grace", "karate", 0.9, 0.95, protocol="legacy")
    page = Page.of([*TABLE, *legacy], published=True)
    titles = [section.title for section in page.sections]
    assert titles == ["Bias of selection on test", "Beside published numbers", "Published, and not run here"]
    markdown = page.markdown()
    console = Console(width=200, record=True, file=io.StringIO())
    page.print(console)
    terminal, html = console.export_text(), page.html()
    for title in titles:
        assert f"### {title}" in markdown
        assert title in terminal
        assert title in html
    assert markdown.startswith(page.report.markdown())
    plain = json.loads(json.dumps(page.plain(), allow_nan=False))
    cell = next(c for c in plain["cells"] if (c["row"], c["dataset"], c["protocol"]) == ("grace", "karate", "honest"))
    assert cell["mean"] == pytest.approx(0.9)
    assert cell["values"] == {"0": 0.8, "1": 0.9, "2": 1.0}
    assert plain["bias"][0]["bias"] == pytest.approx(7.5)
    assert plain["ranks"] == {}
    assert plain["published"]["comparisons"] == []
    assert Page.of(TABLE).plain()["published"] is None


# --- the leaderboard ---------------------------------------------------------------------------------------------------


@pytest.fixture
def board():
    path = Path(__file__).parents[2] / "tools" / "leaderboard.py"
    spec = importlib.util.spec_from_file_location("leaderboard_tool", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HONEST = {"selection": {"legacy": False}}


def test_the_leaderboard_names_what_is_missing_and_what_beats_a_method(board, tmp_path):
    store = Store(tmp_path / "planetoid")
    for dataset, split, seeds in (("cora", "public", 5), ("citeseer", "public", 4), ("cora", "random-10-10-80", 5)):
        for seed in range(seeds):
            store.append(record("grace", dataset, seed, 0.5 + seed / 100, split=split, **HONEST))
            store.append(record("raw", dataset, seed, 0.6 + seed / 100, split=split, **HONEST))
    # other settings than those of the suite are no record of its cell
    store.append(record("dgi", "cora", 0, 0.5, split="public", changes={"dim": 8}, **HONEST))
    text = board.leaderboard(tmp_path)
    assert text == board.leaderboard(tmp_path)
    assert "## planetoid\n" in text
    assert "| grace | cora · public · acc | -10.00 | no | raw |" in text
    missing = text[text.index("### Not run") : text.index("## All suites together")].splitlines()
    cora = next(line for line in missing if line.startswith("| cora · public"))
    assert "cca-ssg, dgi, majority" in cora
    assert "grace" not in cora
    citeseer = next(line for line in missing if line.startswith("| citeseer"))
    assert "grace (4 of 5 seeds)" in citeseer
    assert "| pubmed | every method |" in text[text.index("### Without a score") :]


def test_a_folder_that_is_no_suite_lists_its_holes(board, tmp_path):
    store = Store(tmp_path / "mine")
    store.append(record("grace", "karate", 0, 0.5, **HONEST))
    store.append(record("dgi", "digits-knn", 0, 0.5, **HONEST))
    (tmp_path / "empty").mkdir()
    text = board.leaderboard(tmp_path)
    assert "## empty" not in text
    assert "| karate · few-4 · acc | dgi, majority, propagated, propagated-high, random-init, raw |" in text
