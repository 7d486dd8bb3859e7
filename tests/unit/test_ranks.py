"""Average ranks and what they can tell apart, against values in print and worked out by hand."""

import itertools
import json
import math

import numpy as np
import pytest

from graphcl.bench.ranks import critical_difference, rank, rank_section
from graphcl.bench.report import Cell, Column, Report

# Demšar (2006), table 5 (a): critical values of the two-tailed Nemenyi test at 0.05, for 2 … 10 classifiers
Q = (1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164)


def column(name, protocol="honest", probe="logistic"):
    return Column(name, "public", "acc", protocol, "f", probe)


def table(scores, kinds=None, columns=None):
    """A report from a score matrix: row name to scores, ``None`` for no record."""
    width = len(next(iter(scores.values())))
    columns = columns or [column(f"d{i:02d}") for i in range(width)]
    cells = {
        (row, at): Cell({0: value})
        for row, values in scores.items()
        for at, value in zip(columns, values, strict=True)
        if value is not None
    }
    return Report(tuple(columns), {row: (kinds or {}).get(row, "method") for row in scores}, cells)


@pytest.mark.parametrize("k", range(2, 11))
def test_the_critical_values_of_the_literature(k):
    assert critical_difference(k, 20) == pytest.approx(Q[k - 2] * math.sqrt(k * (k + 1) / 120), rel=4e-4)


def test_the_example_of_the_literature():
    # Demšar (2006), section 3.2.2: four classifiers on 14 data sets, CD = 2.569 √(4 · 5 / (6 · 14)) = 1.25
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)


def test_average_ranks_by_hand():
    ranking = rank(table({"a": [0.9, 0.8, 0.5], "b": [0.8, 0.8, 0.9], "c": [0.7, 0.9, 0.4]}))
    # a: 1, 2.5, 2;  b: 2, 2.5, 1;  c: 3, 1, 3
    assert ranking.average == {"a": pytest.approx(11 / 6), "b": pytest.approx(11 / 6), "c": pytest.approx(7 / 3)}
    assert list(ranking.average) == ["a", "b", "c"]


def test_friedman_by_its_formula():
    rng = np.random.default_rng(0)
    scores = rng.random((5, 12))
    ranking = rank(table({name: list(values) for name, values in zip("abcde", scores, strict=True)}))
    # without ties: 12 N / (k (k + 1)) · (Σ R² - k (k + 1)² / 4), the ranks counted by a double loop
    k, n = scores.shape
    mean = [sum(1 + sum(scores[other, j] > scores[i, j] for other in range(k)) for j in range(n)) / n for i in range(k)]
    assert [ranking.average[name] for name in "abcde"] == pytest.approx(mean)
    expected = 12 * n / (k * (k + 1)) * (sum(r * r for r in mean) - k * (k + 1) ** 2 / 4)
    assert ranking.statistic == pytest.approx(expected)


def test_groups_are_the_largest_runs_within_the_critical_difference():
    # the same order in 12 columns: ranks 1 … 6, CD = 2.850 √(6 · 7 / 72) = 2.18: three in a row belong together
    ranking = rank(table({name: [0.9 - i / 10] * 12 for i, name in enumerate("abcdef")}))
    assert ranking.difference == pytest.approx(2.850 * math.sqrt(42 / 72), rel=1e-3)
    assert ranking.p_value < 0.05
    assert ranking.groups == (("a", "b", "c"), ("b", "c", "d"), ("c", "d", "e"), ("d", "e", "f"))
    assert [ranking.letters(name) for name in "abcdef"] == ["a", "ab", "abc", "bcd", "cd", "d"]
    for one, other in itertools.combinations("abcdef", 2):
        together = bool(set(ranking.letters(one)) & set(ranking.letters(other)))
        assert together == (abs(ranking.average[one] - ranking.average[other]) <= ranking.difference)


def test_without_a_significant_friedman_test_nothing_is_told_apart():
    ranking = rank(table({"a": [0.9, 0.8, 0.7], "b": [0.8, 0.9, 0.6], "c": [0.7, 0.7, 0.8]}))
    assert ranking.p_value > 0.05
    assert ranking.groups == (("a", "b", "c"),)
    equal = rank(table({"a": [0.5] * 4, "b": [0.5] * 4, "c": [0.5] * 4}))
    assert (equal.statistic, equal.p_value, equal.average) == (0.0, 1.0, {"a": 2.0, "b": 2.0, "c": 2.0})


def test_columns_that_some_row_lacks_and_rows_with_too_few_are_named():
    scores = {
        "a": [0.9, 0.9, 0.9, 0.9],
        "b": [0.8, 0.8, 0.8, 0.8],
        "c": [0.7, 0.7, 0.7, None],
        "d": [0.6, None, None, None],
        "e": [None] * 4,
    }
    report = table(scores)
    ranking = rank(report)
    # three rows on three columns are more than two on four, or four on one
    assert set(ranking.average) == {"a", "b", "c"}
    assert ranking.columns == report.columns[:3]
    assert ranking.left_out_columns == report.columns[3:]
    assert ranking.left_out_rows == ("d", "e")
    notes = " ".join(rank_section(report).notes)
    assert "lack: d03 · public · acc." in notes
    assert "too few columns: d; e." in notes


def test_legacy_columns_other_probes_and_supervised_rows_take_no_part():
    columns = [column("x"), column("y"), column("z"), column("x", "legacy"), column("x", probe="knn")]
    scores = {"a": [0.9, 0.9, 0.9, 0.1, 0.1], "b": [0.8] * 5, "c": [0.7] * 5, "s": [0.99] * 5}
    ranking = rank(table(scores, {"s": "supervised", "c": "control"}, columns))
    assert ranking.columns == tuple(columns[:3])
    assert ranking.average == {"a": 1.0, "b": 2.0, "c": 3.0}
    assert ranking.left_out_rows == ()
    assert rank(table(scores, columns=columns), probe="knn") is None


def test_splits_of_one_data_set_count_once():
    columns = [Column(name, split, "acc", "honest", "f") for name, split in
               [("x", "s1"), ("x", "s2"), ("x", "s3"), ("y", "s1"), ("z", "s1")]]  # fmt: skip
    scores = {"a": [0.9, 0.9, 0.5, 0.1, 0.1], "b": [0.8, 0.8, 0.9, 0.2, 0.2], "c": [0.7, 0.7, 0.4, 0.3, 0.3]}
    ranking = rank(table(scores, columns=columns))
    # on x the means of 1 1 2, 2 2 1, 3 3 3: a, b, c; on y and z: c, b, a
    assert ranking.average == {"c": pytest.approx(5 / 3), "b": 2.0, "a": pytest.approx(7 / 3)}
    assert ranking.datasets == ("x", "y", "z")
    assert ranking.difference == pytest.approx(critical_difference(3, 3))
    two = {row: values[:4] for row, values in scores.items()}
    assert rank(table(two, columns=columns[:4])) is None


def test_levels_are_ranked_apart():
    names = ("cora", "citeseer", "pubmed", "mutag", "proteins", "nci1")
    scores = {"grace": [0.9] * 3 + [None] * 3, "dgi": [0.8] * 3 + [None] * 3, "raw": [0.7] * 6,
              "graph-cl": [None] * 3 + [0.9] * 3, "joao": [None] * 3 + [0.6] * 3}  # fmt: skip
    report = table(scores, columns=[column(name) for name in names])
    assert rank(report).average == {"grace": 1.0, "dgi": 2.0, "raw": 3.0}
    graphs = rank(report, level="graph")
    assert graphs.average == {"graph-cl": 1.0, "raw": 2.0, "joao": 3.0}
    assert graphs.left_out_rows == ()
    assert rank_section(report, "graph").title == "Average ranks, graph level"


def test_a_smaller_table_is_found_where_the_largest_cannot_be_ranked():
    wide = {name: [0.9 - n / 10] * 3 + [None] * 9 for n, name in enumerate("abc")}
    # two rows on all columns are more cells than three on three
    found = rank(table(wide | {"d": [0.1] * 12, "e": [0.05] * 12}))
    assert found is not None
    assert set(found.average) == set("abcde")


@pytest.mark.parametrize(
    "scores", [{"a": [0.9] * 5, "b": [0.8] * 5}, {"a": [0.9, 0.8], "b": [0.8, 0.9], "c": [0.1, 0.1]}]
)
def test_too_little_is_not_ranked(scores):
    assert rank(table(scores)) is None
    assert rank_section(table(scores)) is None


def test_the_section_and_the_plain_form():
    report = table({name: [0.9 - i / 10] * 12 for i, name in enumerate("abcdef")})
    section = rank_section(report)
    assert section.rows[0] == ("1.00", "a", "a")
    assert section.rows[2] == ("3.00", "c", "abc")
    assert "Nemenyi's critical difference at 5 %: 2.18." in section.notes[0]
    plain = json.loads(json.dumps(rank(report).plain(), allow_nan=False))
    assert plain["average"]["f"] == 6.0
    assert plain["groups"][0] == ["a", "b", "c"]
