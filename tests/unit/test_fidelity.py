"""Our records beside figures in print: what is compared, what counts, and how misses are explained."""

import json

import numpy as np
import pytest
from scipy import stats

from graphcl.bench.fidelity import Comparison, Miss, compare_with_published, explained_misses
from graphcl.bench.published import plain_figure, published_figures, read_figures
from graphcl.bench.report import Cell, Column, Report

# --- one comparison ----------------------------------------------------------------------------------------------------


def figure(method="grace", dataset="cora", mean=80.0, std=None, split="public", own=None, **fields):
    fields = {"table": "Table 1", "split": split, "probe": "linear", **fields}
    lines = [f"{key} = {json.dumps(value)}" for key, value in fields.items()]
    text = f"""
title = "A paper"
read = "paper"
own = {json.dumps([method] if own is None else own)}
[[tables]]
{chr(10).join(lines)}
[tables.figures]
{method} = {{ {dataset} = {mean if std is None else [mean, std]} }}
"""
    return next(read_figures(text, "some.toml"))


def at(dataset="cora", split="public", protocol="honest", probe="logistic", metric="acc"):
    return Column(dataset, split, metric, protocol, "f", probe)


def cell(*values):
    return Cell(dict(enumerate(value / 100 for value in values)))


@pytest.mark.parametrize(
    ("ours", "std", "within"),
    [
        (81.0, None, True),
        (81.01, None, False),
        (79.0, 0.2, True),
        (78.99, 0.2, False),
        (82.5, 2.5, True),
        (82.6, 2.5, False),
    ],
)
def test_within_is_one_point_or_their_deviation(ours, std, within):
    found = Comparison("grace", at(), cell(ours), figure(std=std))
    assert found.difference == pytest.approx(ours - 80.0)
    assert found.within is within
    assert found.inside is None


@pytest.mark.parametrize(("ours", "within"), [(14.67, True), (15.10, True), (15.12, False), (14.22, False)])
def test_a_ranking_is_within_three_percent_of_their_figure_and_one_seed_counts(ours, within):
    printed = figure("ease", "gowalla", 14.67, split="given-full", probe="ranking", metric="ndcg@20")
    column = at("gowalla", "given-full", probe="full-ranking", metric="ndcg@20")
    report = Report((column,), {"ease": "control"}, {("ease", column): cell(ours)})
    found = compare_with_published(report, [printed])
    assert [one.within for one in found.comparisons] == [within]
    assert found.verdicts[0].barred == ""
    assert f"{int(within)} of 1 rankings within 3 %" in found.summary[0]
    # another figure of the same lists is another column
    assert not printed.fits(at("gowalla", "given-full", probe="full-ranking", metric="recall@20"))


def test_an_exact_mean_is_inside_where_our_interval_holds_it():
    # 79, 80, 81: deviation 1, half width t(0.975, 2) / √3 = 2.484
    ours = cell(79.0, 80.0, 81.0)
    for mean, inside in ((82.48, True), (82.49, False), (77.52, True), (77.51, False)):
        assert Comparison("grace", at(), ours, figure(mean=mean)).inside is inside
        # a deviation without the number of runs tells nothing of their mean
        assert Comparison("grace", at(), ours, figure(mean=mean, std=5.0)).inside is inside


def test_inside_with_their_deviation_is_welchs_test():
    rng = np.random.default_rng(1)
    seen = set()
    for shift in (0.0, 0.5, 1.0, 2.0):
        ours = rng.normal(80.0 + shift, 1.0, 5)
        theirs = rng.normal(80.0, 0.6, 20)
        found = Comparison(
            "grace", at(), cell(*ours), figure(mean=float(theirs.mean()), std=float(theirs.std(ddof=1)), runs=20)
        )
        # the interval by its formula, with the degrees of freedom of Welch and Satterthwaite
        a, b = ours.var(ddof=1) / 5, theirs.var(ddof=1) / 20
        freedom = (a + b) ** 2 / (a * a / 4 + b * b / 19)
        half = stats.t.ppf(0.975, freedom) * np.sqrt(a + b)
        assert found.inside is bool(abs(ours.mean() - theirs.mean()) <= half)
        seen.add(found.inside)
    assert seen == {True, False}


def test_two_means_without_any_spread():
    assert Comparison("grace", at(), cell(80.0, 80.0), figure(std=0.0, runs=5)).inside is True
    assert Comparison("grace", at(), cell(80.5, 80.5), figure(std=0.0, runs=5)).inside is False


# --- what is compared with what ----------------------------------------------------------------------------------------


def compared(cells, *figures, methods=None):
    columns = tuple(dict.fromkeys(column for _, column in cells))
    return compare_with_published(Report(columns, {row: "method" for row, _ in cells}, cells), figures, methods)


def section(found, title):
    return next(part for part in found.sections if part.title.startswith(title))


def test_only_the_same_split_protocol_and_metric_are_compared():
    theirs = figure()
    assert len(compared({("grace", at()): cell(80.0)}, theirs).comparisons) == 1
    for other in (at(split="random-10-10-80"), at(protocol="legacy"), at(metric="nmi"), at(dataset="citeseer")):
        found = compared({("grace", other): cell(80.0)}, theirs)
        assert found.comparisons == ()
        # a cell of the data set says that there is something in print, elsewhere
        assert [row for row, _, _ in found.elsewhere] == (["grace"] if other.dataset == "cora" else [])
    assert compared({("dgi", at()): cell(80.0)}, theirs).comparisons == ()


def test_a_data_set_scored_by_roc_auc_is_compared_by_it():
    theirs = figure(dataset="minesweeper", split="official")
    assert compared({("grace", at("minesweeper", "official")): cell(80.0)}, theirs).comparisons == ()
    assert len(compared({("grace", at("minesweeper", "official", metric="auc")): cell(80.0)}, theirs).comparisons) == 1


def test_a_split_drawn_several_times_is_that_split():
    theirs = figure(split="random-10-10-80")
    assert len(compared({("grace", at(split="random-10-10-80x10")): cell(80.0)}, theirs).comparisons) == 1
    assert compared({("grace", at(split="random-10-10-80-cv")): cell(80.0)}, theirs).comparisons == ()


def test_scores_selected_on_test_are_compared_with_legacy_records_alone():
    theirs = figure(protocol="legacy")
    assert len(compared({("grace", at(protocol="legacy")): cell(80.0)}, theirs).comparisons) == 1
    found = compared({("grace", at()): cell(80.0)}, theirs)
    assert found.comparisons == ()
    rows = section(found, "In print under another protocol only").rows
    assert rows == (("grace", "cora · public", "public (selected on test)"),)


def test_what_is_not_comparable_is_never_compared():
    found = compared({("grace", at()): cell(80.0)}, figure(comparable=False, note="five folds"))
    assert (found.comparisons, found.not_run, found.summary) == ((), (), [])
    assert section(found, "Beside").notes[0] == "No record here has a published counterpart under its protocol."
    rows = section(found, "In print under another protocol only").rows
    assert rows == (("grace", "cora · public", "public (not comparable; five folds)"),)


def test_another_probe_is_shown_and_not_counted():
    theirs = figure("info-graph", "mutag", split="folds-10-cv", probe="svm-rbf")
    found = compared({("info-graph", at("mutag", "folds-10-cv")): cell(80.0, 80.1)}, theirs)
    assert section(found, "Beside").rows[0][-1] == "other probe"
    assert found.summary == []
    changed = at("mutag", "folds-10-cv", probe="svm-rbf (strengths=[1.0])")
    found = compared({("info-graph", changed): cell(*[80.0] * 5)}, theirs)
    assert section(found, "Beside").rows[0][-1] == "yes (probe settings of ours)"
    assert found.summary == []
    kernel = at("mutag", "folds-10-cv", probe="svm-rbf")
    assert compared({("info-graph", kernel): cell(*[80.0] * 5)}, theirs).summary[0].startswith("1 of 1 cells")
    # a re-run with our kind of probe judges before the authors with another
    again = figure("info-graph", "mutag", 70.0, split="folds-10-cv", probe="svm", own=[])
    linear = at("mutag", "folds-10-cv", probe="svm")
    (verdict,) = compared({("info-graph", linear): cell(80.0)}, theirs, again).verdicts
    assert [found.theirs for found in verdict.judges] == [again]
    assert verdict.beside == (theirs, again)


def test_kinds_of_probe():
    assert [figure().nearness(at(probe=probe)) for probe in ("logistic", "early-stopped", "knn")] == [0, 1, None]
    trained = figure(probe="early-stopped")
    assert [trained.nearness(at(probe=probe)) for probe in ("logistic", "early-stopped (epochs=9)")] == [1, 0]
    assert figure("supervised-gcn").nearness(at(probe="none")) == 0


@pytest.mark.parametrize("probe", ["linear", "early-stopped"])
def test_one_verdict_for_a_split_by_the_probe_that_is_theirs(probe):
    usual, trained = at(), at(probe="early-stopped")
    cells = {("grace", usual): cell(*[80.0] * 5), ("grace", trained): cell(*[90.0] * 5)}
    (verdict,) = compared(cells, figure(probe=probe)).verdicts
    assert [one.column for one in verdict.judges] == [usual if probe == "linear" else trained]
    assert len(compared(cells, figure(probe=probe)).comparisons) == 2


def test_a_cell_with_enough_seeds_judges_before_one_that_is_nearer():
    cells = {("grace", at()): cell(*[60.0] * 5), ("grace", at(probe="early-stopped")): cell(80.0, 80.0)}
    (verdict,) = compared(cells, figure(own=[]), figure(mean=80.5, probe="early-stopped", own=[])).verdicts
    assert verdict.nearest.ours.mean == pytest.approx(0.6)
    assert verdict.barred == ""


def test_a_figure_is_counted_once_however_often_its_split_is_drawn():
    cells = {("grace", at(split=f"random-10-10-80{times}")): cell(*[80.0] * 5) for times in ("", "x10")}
    assert compared(cells, figure(split="random-10-10-80")).summary[0].startswith("1 of 1 cells")


def test_a_supervised_row_has_one_verdict_for_a_split():
    cells = {("supervised-gcn", at(probe=probe)): cell(*[80.0] * 5) for probe in ("logistic", "early-stopped")}
    found = compared(cells, figure("supervised-gcn"))
    assert len(found.verdicts) == 1
    assert found.summary[0].startswith("1 of 1 cells")


def test_the_authors_judge_and_where_they_print_nothing_any_rerun_does():
    authors, rerun = figure(mean=84.0), figure(mean=80.0, own=[])
    cells = {("grace", at()): cell(*[80.0] * 5)}
    found = compared(cells, rerun, authors)
    assert found.summary == [
        "0 of 1 cells within 1 point or the std of the authors' figures; 0 within 1 point.",
        "Not within: grace on cora · public · logistic (-4.00).",
    ]
    assert section(found, "Beside").rows == (
        ("grace", "cora · public · logistic", "80.00 ± 0.00", "5", "84.00 (some)", "80.00 (some)", "-4.00", "no", "no"),
    )
    others = compared(cells, rerun, figure(mean=83.0, own=[]), figure(mean=90.0, own=[]))
    assert others.summary == [
        "1 of 1 cells within 1 point or the std of re-runs by others, authors printing none; 1 within 1 point."
    ]


def test_a_figure_that_is_met_counts_before_one_that_is_nearer():
    near, wide = figure(mean=81.2, own=[]), figure(mean=82.0, std=3.0, own=[])
    found = compared({("grace", at()): cell(*[80.0] * 5)}, near, wide)
    assert found.summary[0].startswith("1 of 1")
    assert section(found, "Beside").rows[0][6:] == ("-2.00", "no", "yes")
    assert "1 of 1 cells within 1 point or the std" in found.summary[0]
    assert found.summary[0].endswith("; 0 within 1 point.")


def test_every_row_of_a_method_is_compared():
    cells = {("grace", at()): cell(80.0, 80.0), ("grace (preset cora-wide)", at()): cell(70.0, 70.0)}
    found = compared(cells, figure())
    assert [(one.row, one.within) for one in found.comparisons] == [
        ("grace", True),
        ("grace (preset cora-wide)", False),
    ]
    # settings that are not the authors' say nothing of the paper, and two seeds too little
    assert found.summary == ["Not counted, for fewer than 5 seeds: grace on cora · public · logistic (2 seeds)."]
    rows = section(found, "Beside").rows
    assert [row[-1] for row in rows] == ["yes (2 seeds)", "no (settings of ours)"]


def test_misses_are_explained_or_named_as_open(monkeypatch):
    miss = Miss(method="grace", dataset="cora", split="random-10-10-80", why="the dog ate it")
    monkeypatch.setattr("graphcl.bench.fidelity.explained_misses", lambda: (miss,))
    cells = {
        ("grace", at(split="random-10-10-80x10")): cell(*[70.0] * 5),
        ("grace", at("citeseer")): cell(*[70.0] * 5),
        ("grace", at()): cell(*[80.0] * 5),
    }
    figures = figure(split="random-10-10-80"), figure(dataset="citeseer"), figure()
    found = compared(cells, *figures)
    assert section(found, "Why not within").rows == (
        ("grace on citeseer · public · logistic", "not found out yet"),
        ("grace on cora · random-10-10-80x10 · logistic", "the dog ate it"),
    )
    assert [one["why"] for one in found.plain()["misses"]] == [None, "the dog ate it"]


def test_explanations_are_of_cells_that_are_in_print():
    printed = {(figure.method, figure.dataset, figure.split) for figure in published_figures() if figure.comparable}
    cells = [(miss.method, miss.dataset, miss.split) for miss in explained_misses()]
    assert set(cells) <= printed
    assert len(set(cells)) == len(cells)


def test_what_was_not_run_is_listed_by_name():
    figures = (
        figure(),
        figure(dataset="pubmed"),
        figure(dataset="citeseer"),
        figure(split="random-10-90"),
        figure("dgi"),
        figure(dataset="actor", split="geom-gcn", protocol="legacy"),
    )
    cells = {("grace", at()): cell(80.0), ("grace", at("citeseer")): Cell({}, ("the loss became nan",))}
    found = compared(cells, *figures)
    rows = section(found, "Published, and not run here").rows
    assert rows == (("grace", "public", "pubmed, citeseer"), ("grace", "random-10-90", "cora"))
    everything = compared(cells, *figures, methods=["grace", "dgi"])
    assert {f.method for f in everything.not_run} == {"grace", "dgi"}


def test_plain_values():
    found = compared({("grace", at()): cell(80.0)}, figure(std=1.0), figure(dataset="pubmed"))
    plain = json.loads(json.dumps(found.plain(), allow_nan=False))
    (only,) = plain["comparisons"]
    assert (only["mean"], only["half_width"], only["inside"], only["within"]) == (pytest.approx(80.0), None, None, True)
    assert only["published"] == plain_figure(figure(std=1.0))
    assert only["published"]["source"] == "A paper"
    assert [f["dataset"] for f in plain["not_run"]] == ["pubmed"]
