"""Figures in print: what the files hold, what is refused in them, and what is compared with what."""

import json
import re
from importlib import resources

import numpy as np
import pytest
from scipy import stats

from graphcl.bench.published import (
    Comparison,
    compare_with_published,
    plain_figure,
    published_figures,
    published_section,
    read_figures,
)
from graphcl.bench.report import Cell, Column, Report
from graphcl.catalogue import entries
from graphcl.data.splits import is_random
from graphcl.errors import RequestError, UnknownNameError

# methods that figures are on file for, whether they are in the catalogue yet or not
METHODS = {
    *("ad-gcl", "afgrl", "ariel", "bgrl", "cca-ssg", "dgi", "epagcl", "gca", "gcl-span", "grace", "graph-acl"),
    *("graph-barlow-twins", "graph-cl", "graph-mae", "greet", "hlcl", "info-graph", "joao", "mvgrl", "mvgrl-graph"),
    *("polygcl", "pro-gcl", "sim-grace", "sp-co", "sp-gcl", "sugrl", "supervised-gcn", "supervised-mlp"),
}


def one(method, dataset, split, **wanted):
    found = [
        figure
        for figure in published_figures()
        if (figure.method, figure.dataset, figure.split) == (method, dataset, split)
        and all(getattr(figure, name) == value for name, value in wanted.items())
    ]
    assert len(found) == 1, found
    return found[0]


# --- the files ---------------------------------------------------------------------------------------------------------


def test_every_name_exists():
    figures = published_figures()
    assert {figure.method for figure in figures} == METHODS
    for figure in figures:
        spec = entries("datasets")[figure.dataset]
        assert figure.split == "" or figure.split in spec.splits or is_random(figure.split)
        assert figure.split or not figure.comparable
        assert figure.split.startswith("folds-") == (spec.level == "graph")
        assert 0 < figure.mean <= 100
        assert figure.std is None or 0 <= figure.std < 15
        assert figure.comparable or figure.note


def test_no_figure_stands_twice():
    figures = [(f.method, f.dataset, f.split, f.mean, f.std) for f in published_figures() if f.std is not None]
    assert {figure for figure in figures if figures.count(figure) > 1} == set()


@pytest.mark.parametrize(
    ("method", "dataset", "split", "mean", "std"),
    [
        ("grace", "cora", "random-10-90", 83.3, None),
        ("grace", "citeseer", "random-10-90", 72.1, None),
        ("grace", "pubmed", "random-10-90", 86.7, None),
        ("bgrl", "amazon-photo", "random-20-80-cv", 93.17, 0.30),
        ("bgrl", "amazon-computers", "random-20-80-cv", 90.34, 0.19),
        ("cca-ssg", "cora", "public", 84.0, 0.4),
        ("cca-ssg", "citeseer", "public", 73.1, 0.3),
        ("cca-ssg", "pubmed", "public", 81.0, 0.4),
        ("graph-acl", "cora", "public", 84.20, None),
        ("info-graph", "mutag", "folds-10-cv", 89.01, 1.13),
        ("graph-cl", "mutag", "folds-10-cv", 86.80, 1.34),
        ("graph-cl", "proteins", "folds-10-cv", 74.39, 0.45),
    ],
)
def test_figures_everybody_quotes(method, dataset, split, mean, std):
    figure = one(method, dataset, split, by="authors")
    assert (figure.mean, figure.std) == (mean, std)


def test_the_reruns_of_grace_on_random_splits():
    means = {
        dataset: sorted(
            f.mean
            for f in published_figures()
            if (f.method, f.dataset, f.split) == ("grace", dataset, "random-10-10-80")
        )
        for dataset in ("cora", "citeseer", "pubmed")
    }
    assert means == {
        "cora": [83.30, 83.44, 85.34],
        "citeseer": [71.41, 71.52, 71.66],
        "pubmed": [86.02, 86.51, 86.74],
    }


def test_scores_selected_on_test_and_other_protocols_are_marked():
    assert one("polygcl", "texas", "random-60-20-20-balanced").protocol == "legacy"
    barred = [figure for figure in published_figures() if not figure.comparable]
    assert {figure.source.name for figure in barred} == {"bgrl", "fuel", "gouda", "graph-jepa", "s2gae"}
    assert all("not comparable" in figure.caveats for figure in barred)


def test_every_source_says_where_it_was_read():
    for figure in published_figures():
        assert figure.source.link.startswith("https://") or not figure.source.link
        assert figure.table
        assert ("second-hand" in figure.origin) == (figure.read == "second-hand")


def test_the_files_come_with_the_package():
    folder = resources.files("graphcl.bench") / "papers"
    names = {file.name.removesuffix(".toml") for file in folder.iterdir()}
    assert names == {figure.source.name for figure in published_figures()}


SOURCE = """
title = "A paper"
read = "paper"
own = ["grace"]
[[tables]]
table = "Table 1"
split = "public"
probe = "linear"
runs = 20
[tables.figures]
grace = { cora = [80.0, 1.5], citeseer = 70 }
dgi = { cora = 79.0 }
"""


def test_a_file_is_read():
    figures = list(read_figures(SOURCE, "some.toml"))
    assert [(f.method, f.dataset, f.mean, f.std, f.runs, f.by) for f in figures] == [
        ("grace", "cora", 80.0, 1.5, 20, "authors"),
        ("grace", "citeseer", 70.0, None, 20, "authors"),
        ("dgi", "cora", 79.0, None, 20, "others"),
    ]
    assert figures[0].origin == "authors: A paper, Table 1"
    assert (figures[0].score, figures[1].score) == ("80.00 ± 1.50", "70.00")
    assert figures[0].source.name == "some"


def test_a_quoted_row_is_the_authors_and_second_hand_and_a_rerun_is_nobodys_own():
    quoted = list(read_figures(SOURCE.replace("runs = 20", 'runs = 20\nquoted = ["dgi"]'), "some.toml"))[-1]
    assert (quoted.by, quoted.read, quoted.runs) == ("authors", "second-hand", None)
    assert quoted.origin == "authors: A paper, Table 1, second-hand"
    again = next(read_figures(SOURCE.replace("runs = 20", "rerun = true"), "some.toml"))
    assert again.by == "others"


@pytest.mark.parametrize(
    ("old", "new", "kind", "message"),
    [
        ("cora = 79.0", "coar = 79.0", UnknownNameError, "did you mean 'cora'?"),
        ('split = "public"', 'split = "pubic"', UnknownNameError, "did you mean 'public'?"),
        ('split = "public"', "", RequestError, "without a split nothing can be compared"),
        ("cora = 79.0", "cora = 179.0", RequestError, "less than or equal to 100"),
        ("cora = 79.0", "cora = [79.0, -1.0]", RequestError, "figures.dgi.cora"),
        ("dgi =", "DGI =", RequestError, "figures"),
        ("runs = 20", "runs = 0", RequestError, "greater than or equal to 1"),
        ("runs = 20", "seeds = 5", UnknownNameError, "'seeds'"),
        ('probe = "linear"', 'probe = "knn"', RequestError, "probe"),
        ('read = "paper"', 'read = "memory"', RequestError, "read"),
        ("[[tables]]", "[[tables]", RequestError, "some.toml is no TOML file"),
    ],
)
def test_what_a_file_may_not_say(old, new, kind, message):
    assert old in SOURCE
    with pytest.raises(kind, match=re.escape(message)):
        list(read_figures(SOURCE.replace(old, new), "some.toml"))


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
    kernel = at("mutag", "folds-10-cv", probe="svm-rbf (strengths=[1.0])")
    assert compared({("info-graph", kernel): cell(80.0)}, theirs).summary[0].startswith("1 of 1 cells")
    # a re-run with our kind of probe judges before the authors with another
    again = figure("info-graph", "mutag", 70.0, split="folds-10-cv", probe="svm", own=[])
    linear = at("mutag", "folds-10-cv", probe="svm")
    (group,) = compared({("info-graph", linear): cell(80.0)}, theirs, again).judged.values()
    assert [found.theirs for found in group] == [again]


def test_kinds_of_probe():
    assert figure().same_probe(at(probe="early-stopped"))
    assert not figure().same_probe(at(probe="knn"))
    assert figure("supervised-gcn").same_probe(at(probe="none"))


def test_the_authors_judge_and_where_they_print_nothing_any_rerun_does():
    authors, rerun = figure(mean=84.0), figure(mean=80.0, own=[])
    cells = {("grace", at()): cell(*[80.0] * 5)}
    found = compared(cells, rerun, authors)
    assert found.summary == [
        "0 of 1 cells within 1 point or the std of the authors' figures.",
        "Not within: grace on cora · public · logistic (-4.00).",
    ]
    assert section(found, "Beside").rows == (
        ("grace", "cora · public · logistic", "80.00 ± 0.00", "5", "84.00 (some)", "80.00 (some)", "-4.00", "no", "no"),
    )
    others = compared(cells, rerun, figure(mean=83.0, own=[]), figure(mean=90.0, own=[]))
    assert others.summary == ["1 of 1 cells within 1 point or the std of re-runs by others, authors printing none."]


def test_a_figure_that_is_met_counts_before_one_that_is_nearer():
    near, wide = figure(mean=81.2, own=[]), figure(mean=82.0, std=3.0, own=[])
    found = compared({("grace", at()): cell(*[80.0] * 5)}, near, wide)
    assert found.summary[0].startswith("1 of 1")
    assert section(found, "Beside").rows[0][6:] == ("-2.00", "no", "yes")


def test_every_row_of_a_method_is_compared():
    cells = {("grace", at()): cell(80.0, 80.0), ("grace (preset cora-wide)", at()): cell(70.0, 70.0)}
    found = compared(cells, figure())
    assert [(one.row, one.within) for one in found.comparisons] == [
        ("grace", True),
        ("grace (preset cora-wide)", False),
    ]
    assert found.summary[0].startswith("1 of 2 cells")
    assert found.summary[2].startswith("Fewer than five seeds: grace on cora · public · logistic (2); ")


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


def test_the_figures_of_a_method_as_a_table():
    assert (
        "amazon-photo",
        "random-20-80-cv",
        "93.17 ± 0.30",
        "–",
        "authors: BGRL repository (ICLR 2022), README, transductive tasks",
        "mean over several splits and initialisations",
    ) in published_section("bgrl").rows
    assert published_section("raw") is None
