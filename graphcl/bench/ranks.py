r"""Who is better over many data sets: average ranks, Friedman's test, Nemenyi's critical difference (Demšar, 2006).

.. math:: \mathrm{CD} = q_\alpha \sqrt{\frac{k (k + 1)}{6 N}}

for k methods on N data sets; two average ranks that differ by less are not told apart. Several splits of one data set
are not independent: a method's ranks on them are averaged, and the averages ranked, before data sets are counted.
"""

import string
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphcl.bench.report import Column, Report, method_of
from graphcl.bench.section import Section
from graphcl.catalogue import entries

__all__ = ["LEVELS", "Ranking", "critical_difference", "rank", "rank_section"]

ALPHA = 0.05
LEVELS = ("node", "graph")
_FEWEST = 3
"""Rows and data sets that make a ranking."""


@dataclass(frozen=True)
class Ranking:
    """Average ranks over a table without holes.

    Args:
        average: rank averaged over the data sets, by row, best first; 1 is best, equal scores share a rank.
        columns: those that all of them fill.
        datasets: of the columns.
        left_out_rows: rows that would have cost too many columns, or see labels.
        left_out_columns: columns that some of the rows lack.
        statistic: Friedman's chi-square.
        p_value: of it.
        difference: Nemenyi's critical difference.
        groups: rows that are not told apart, largest groups only; one group where Friedman's test finds nothing.
    """

    average: dict[str, float]
    columns: tuple[Column, ...]
    datasets: tuple[str, ...]
    left_out_rows: tuple[str, ...]
    left_out_columns: tuple[Column, ...]
    statistic: float
    p_value: float
    difference: float
    groups: tuple[tuple[str, ...], ...]

    def letters(self, row: str) -> str:
        """One letter for each group that a row is in."""
        names = string.ascii_lowercase + string.ascii_uppercase
        return "".join(name for name, group in zip(names, self.groups, strict=False) if row in group)

    def plain(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "average": self.average,
            "columns": [column.title.replace("\n", " · ") for column in self.columns],
            "datasets": list(self.datasets),
            "left_out_rows": list(self.left_out_rows),
            "left_out_columns": [column.title.replace("\n", " · ") for column in self.left_out_columns],
            "friedman": self.statistic,
            "p_value": self.p_value,
            "critical_difference": self.difference,
            "groups": [list(group) for group in self.groups],
        }


def critical_difference(methods: int, datasets: int, alpha: float = ALPHA) -> float:
    """Nemenyi's critical difference of average ranks.

    Args:
        methods: k, 2 or more.
        datasets: N, 1 or more.
        alpha: level of significance, in (0, 1).

    Example:
        >>> round(critical_difference(5, 30), 3)
        1.114
    """
    from scipy import stats

    # the quantile of the studentised range for infinitely many degrees of freedom, over the root of two
    q = stats.studentized_range.ppf(1.0 - alpha, methods, np.inf) / np.sqrt(2.0)
    return float(q * np.sqrt(methods * (methods + 1) / (6.0 * datasets)))


def rank(report: Report, probe: str | None = None, level: str = "node") -> Ranking | None:
    """Rank the rows of a report over its honest columns.

    Rows are taken in the order of how many columns they fill, and columns that all of them fill; as many rows as make
    the largest table without holes that can be ranked. Supervised rows take no part.

    Args:
        report: of records.
        probe: only columns of this probe; ``None`` takes the one with the most columns.
        level: only data sets at this level: ``node`` or ``graph``.

    Returns:
        The ranking, or ``None`` with fewer than three rows on three data sets.
    """
    from scipy import stats

    honest = [column for column in report.columns if _is_plain(column) and _level(column) == level]
    if probe is None:
        probes = [column.probe for column in honest]
        probe = max(sorted(set(probes)), key=probes.count, default=None)
    honest = [column for column in honest if column.probe == probe]
    rows = {row for row, kind in report.rows.items() if kind != "supervised" and _filled(report, row, honest)}
    chosen, columns = _largest(report, rows, honest)
    if not chosen:
        return None
    datasets = tuple(dict.fromkeys(column.dataset for column in columns))
    places = {name: [n for n, column in enumerate(columns) if column.dataset == name] for name in datasets}
    scores = np.array([[report.cells[row, column].mean for column in columns] for row in chosen])
    by_column = stats.rankdata(-scores.round(10), axis=0)
    standing = np.stack([by_column[:, place].mean(axis=1) for place in places.values()], axis=1)
    blocks = stats.rankdata(standing, axis=0)
    ranks = blocks.mean(axis=1)
    order = sorted(range(len(chosen)), key=lambda i: (ranks[i], chosen[i]))
    average = {chosen[i]: float(ranks[i]) for i in order}
    # Friedman's statistic is 0 / 0 where all rows are equal everywhere
    tied = bool((blocks == blocks[:1]).all())
    statistic, p_value = (0.0, 1.0) if tied else map(float, stats.friedmanchisquare(*blocks))
    difference = critical_difference(len(chosen), len(datasets))
    groups = _cliques(average, difference) if p_value < ALPHA else (tuple(average),)
    able = {row for row, kind in report.rows.items() if kind != "supervised" and _able(row, level, report)}
    return Ranking(
        average,
        tuple(columns),
        datasets,
        tuple(sorted(able - set(average))),
        tuple(column for column in honest if column not in columns),
        statistic,
        p_value,
        difference,
        groups,
    )


def _is_plain(column: Column) -> bool:
    """Whether a column is honest and of a graph that nobody attacked."""
    spec = entries("datasets").get(column.dataset)
    return column.protocol == "honest" and not column.attack and (spec is None or spec.poison is None)


def _level(column: Column) -> str:
    spec = _spec(column)
    return "node" if spec is None else str(spec.level)


def _spec(column: Column) -> Any:
    return {**entries("datasets"), **entries("interactions")}.get(column.dataset)


def _able(row: str, level: str, report: Report) -> bool:
    recipe = {**entries("methods"), **entries("recommenders")}.get(method_of(row))
    specs = [_spec(column) for column in report.columns if _level(column) == level]
    return recipe is None or any(spec is None or recipe.takes(spec) for spec in specs)


def _filled(report: Report, row: str, columns: list[Column]) -> list[Column]:
    return [column for column in columns if report.scored(row, column)]


def _largest(report: Report, rows: set[str], columns: list[Column]) -> tuple[list[str], list[Column]]:
    """The rows and columns of the table without holes that has the most cells, three rows and data sets at least.

    Of equals the one with more rows.
    """
    filled = {row: set(_filled(report, row, columns)) for row in rows}
    order = sorted(rows, key=lambda row: (-len(filled[row]), row))
    best: tuple[list[str], list[Column]] = [], []
    for count in range(_FEWEST, len(order) + 1):
        shared = [column for column in columns if all(column in filled[row] for row in order[:count])]
        enough = len({column.dataset for column in shared}) >= _FEWEST
        if enough and count * len(shared) >= len(best[0]) * len(best[1]):
            best = order[:count], shared
    return best


def _cliques(average: dict[str, float], difference: float) -> tuple[tuple[str, ...], ...]:
    """Maximal runs of rows, in the order of their ranks, whose ends differ by at most the critical difference."""
    rows = list(average)
    found: list[tuple[int, int]] = []
    for first in range(len(rows)):
        last = max(i for i in range(first, len(rows)) if average[rows[i]] - average[rows[first]] <= difference)
        if not found or last > found[-1][1]:
            found.append((first, last))
    return tuple(tuple(rows[first : last + 1]) for first, last in found)


def rank_section(report: Report, level: str = "node") -> Section | None:
    """Average ranks at one level as a table; ``None`` where there is too little to rank."""
    ranking = rank(report, level=level)
    if ranking is None:
        return None
    rows = tuple((f"{mean:.2f}", row, ranking.letters(row)) for row, mean in ranking.average.items())
    k, n = len(ranking.average), len(ranking.datasets)
    notes = [
        f"Average rank of {k} rows over {n} data sets (1 is best; splits of one data set count once). Friedman: "
        f"chi-square {ranking.statistic:.2f}, p = {ranking.p_value:.2g}; Nemenyi's critical difference at 5 %: "
        f"{ranking.difference:.2f}. Rows that share a letter are not told apart.",
        f"Columns: {'; '.join(map(report.place, ranking.columns))}.",
    ]
    if ranking.left_out_columns:
        notes.append(f"Columns that some of these rows lack: {'; '.join(map(report.place, ranking.left_out_columns))}.")
    if ranking.left_out_rows:
        notes.append(f"Rows left out, having too few columns: {'; '.join(ranking.left_out_rows)}.")
    return Section(f"Average ranks, {level} level", ("rank", "method", "not told apart"), rows, tuple(notes))
