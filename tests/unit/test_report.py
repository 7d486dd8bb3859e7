"""From records to a table whose every figure can be worked out by hand."""

import io
import math

import pytest
from rich.console import Console
from scipy import stats

from graphcl.bench.report import Cell, Column, summarise
from graphcl.bench.run import Run
from graphcl.errors import RequestError

PRINTS = {"karate": "aaaa", "digits-knn": "bbbb"}


def record(method, dataset, seed, value, protocol="honest", split=None, changes=None, fingerprint=None, **more):
    run = Run.of(method, dataset, split, seed, changes, protocol)
    made = {
        "run_id": f"{run.id}-{fingerprint}",
        "run": {**run.__dict__},
        "status": "ok",
        "metric": "acc",
        "metrics": {"acc/test": value, "acc/val": 1.0},
        "dataset": {"name": dataset, "fingerprint": fingerprint or PRINTS[dataset]},
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


def test_another_split_is_a_column_of_its_own():
    report = summarise([*TABLE, *scores("grace", "karate", 0.1, 0.1, split="few-5")])
    assert Column("karate", "few-5", "acc", "honest", "aaaa") in report.columns
    assert report.text("grace", KARATE) == "90.00 ± 24.84 *"


def test_changed_settings_are_a_row_of_their_own():
    changes = {"temperature": 0.9, "plan": {"epochs": 3}}
    report = summarise([*TABLE, *scores("grace", "karate", 0.1, 0.2, changes=changes)])
    assert report.text("grace (plan.epochs=3, temperature=0.9)", KARATE).startswith("15.00 ± ")
    assert report.text("grace", KARATE) == "90.00 ± 24.84 *"


def test_controls_are_always_rows():
    report = summarise([record("grace", "karate", 0, 0.5)])
    controls = {"majority", "propagated", "propagated-high", "random-init", "raw"}
    assert {row for row, control in report.rows.items() if control} == controls
    assert report.rows["grace"] is False
    assert "5 cells were not run." in report.footnotes


def test_a_control_with_settings_of_its_own_is_that_control():
    report = summarise([*TABLE, *scores("random-init", "karate", 0.5, 0.5, changes={"dim": 16})])
    controls = {row for row, control in report.rows.items() if control}
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
