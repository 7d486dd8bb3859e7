"""Figures in print: what the files hold, and what is refused in them."""

import re
from importlib import resources

import pytest

from graphcl.bench.published import published_figures, published_section, read_figures
from graphcl.catalogue import entries
from graphcl.data.splits import is_random
from graphcl.errors import RequestError, UnknownNameError

# methods that figures are on file for, whether they are in the catalogue yet or not
METHODS = {
    *("ad-gcl", "afgrl", "ariel", "bgrl", "cca-ssg", "dgi", "epagcl", "gca", "gcl-span", "grace", "graph-acl"),
    *("graph-barlow-twins", "graph-cl", "graph-mae", "greet", "hlcl", "info-graph", "joao", "mvgrl", "mvgrl-graph"),
    *("polygcl", "pro-gcl", "sim-grace", "sp-co", "sp-gcl", "sugrl", "supervised-gcn", "supervised-mlp"),
    *("ease", "gf-cf", "item-knn", "lightgcn"),
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
        ranked = figure.probe == "ranking"
        spec = entries("interactions" if ranked else "datasets")[figure.dataset]
        assert figure.split == "" or figure.split in spec.splits or is_random(figure.split)
        assert figure.split or not figure.comparable
        assert ranked == ("@" in figure.metric)
        assert figure.split.startswith("folds-") == (not ranked and spec.level == "graph")
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
    polygcl = one("polygcl", "texas", "random-60-20-20-balanced")
    assert (polygcl.protocol, polygcl.comparable) == ("legacy", False)
    barred = [figure for figure in published_figures() if not figure.comparable]
    assert {f.source.name for f in barred} == {"bgrl", "fuel", "gouda", "graph-jepa", "polygcl", "s2gae", "spgcl"}
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


@pytest.mark.parametrize(
    ("probe", "metric", "fails"),
    [("ranking", "ndcg@20", False), ("ranking", "", True), ("linear", "ndcg@20", True), ("ranking", "acc", True)],
)
def test_rankings_have_a_metric_of_rankings_and_nothing_else_has(probe, metric, fails):
    dataset, split = ("gowalla", "given-full") if probe == "ranking" else ("cora", "public")
    text = f"""
title = "A paper"
read = "paper"
[[tables]]
table = "Table 1"
split = "{split}"
probe = "{probe}"
metric = "{metric}"
figures = {{ ease = {{ {dataset} = 14.67 }} }}
"""
    if fails:
        with pytest.raises(RequestError, match="Table 1: metric"):
            list(read_figures(text, "some.toml"))
    else:
        assert [(f.metric, f.mean) for f in read_figures(text, "some.toml")] == [("ndcg@20", 14.67)]


@pytest.mark.parametrize(("old", "new"), [("cora", "gowalla"), ("linear", "ranking")])
def test_graphs_are_probed_and_interactions_are_ranked(old, new):
    text = SOURCE.replace(old, new).replace("public", "given-full" if new == "gowalla" else "public")
    if new == "ranking":
        text = text.replace("runs", 'metric = "ndcg@20"\nruns')
    with pytest.raises(RequestError, match=r"probe = '\w+' on"):
        list(read_figures(text, "some.toml"))


def test_a_split_that_interactions_do_not_have_is_refused():
    text = (
        SOURCE.replace('"public"', '"random-10-90"')
        .replace("linear", "ranking")
        .replace("runs", 'metric = "ndcg@20"\nruns')
    )
    with pytest.raises(UnknownNameError, match="split of gowalla"):
        list(read_figures(text.replace("cora", "gowalla").replace("citeseer", "lastfm"), "some.toml"))


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
