"""Our records beside what is in print: whether ours are the papers' methods.

A figure is comparable with a record of ours under the same split, the same kind of probe and the same way of selecting;
whatever else there is in print is named, never compared. Where the authors of a method print a figure for a cell, that
one is the reference; where they print none, every re-run by others is, and a record has to meet one of them.
"""

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any, Literal

import numpy as np

from graphcl.bench.published import PublishedFigure, plain_figure, published_figures
from graphcl.bench.report import Cell, Column, Report, method_of
from graphcl.bench.section import Section
from graphcl.config import Config, decode

__all__ = ["Comparison", "Fidelity", "Miss", "Verdict", "compare_with_published", "explained_misses"]

TOLERANCE = 1.0
"""Points by which a mean may differ from a published one that has no larger standard deviation."""
SHARE = 0.03
"""Of a figure of a ranking, by which ours may differ: points mean other things from one to the next."""
SEEDS = 5
"""Seeds that a cell needs before it counts; of rankings one is enough: what is in print has one, on one split."""

_BY = ("authors", "others")


@dataclass(frozen=True, kw_only=True)
class Miss(Config):
    """Why a cell of ours is not the published one, as far as it was found out.

    Args:
        method: catalogue name.
        dataset: catalogue name.
        split: name of the split.
        why: what was tried, and where released code and paper differ.
        protocol: ``honest`` or ``legacy``.
    """

    method: str
    dataset: str
    split: str
    why: str
    protocol: Literal["honest", "legacy"] = "honest"


@cache
def explained_misses() -> tuple[Miss, ...]:
    """The misses that come with an explanation, from ``misses.toml``."""
    text = (resources.files("graphcl.bench") / "misses.toml").read_text(encoding="utf-8")
    return tuple(decode(Miss, miss) for miss in tomllib.loads(text).get("misses", []))


@dataclass(frozen=True)
class Comparison:
    """A cell of ours beside one published figure.

    Args:
        row: label of our row.
        column: of our cell.
        ours: our cell.
        theirs: the published figure.
    """

    row: str
    column: Column
    ours: Cell
    theirs: PublishedFigure

    @property
    def difference(self) -> float:
        """Our mean less theirs, in points."""
        return 100 * self.ours.mean - self.theirs.mean

    @property
    def same_probe(self) -> bool:
        """Whether both were measured with a probe of the same kind."""
        return self.theirs.nearness(self.column) is not None

    @property
    def ranking(self) -> bool:
        """Whether it is a ranking that was measured."""
        return self.theirs.probe == "ranking"

    @property
    def within_a_point(self) -> bool:
        """Whether the difference is at most one point."""
        # half of the last printed digit is not a difference
        return abs(self.difference) <= TOLERANCE + 1e-9

    @property
    def within(self) -> bool:
        """Whether the difference is at most one point, or at most their standard deviation where that is larger.

        Of a ranking: at most `SHARE` of their figure.
        """
        if self.ranking:
            return abs(self.difference) <= SHARE * self.theirs.mean + 1e-9
        return self.within_a_point or abs(self.difference) <= (self.theirs.std or 0.0) + 1e-9

    @property
    def inside(self) -> bool | None:
        """Whether the 95 % interval of the difference of the two means contains 0; ``None`` with one seed.

        Where they print a deviation and the number of runs it is Welch's interval, else their mean is taken as exact.
        """
        from scipy import stats

        values = [100 * value for value in self.ours.values.values()]
        if len(values) < 2:
            return None
        theirs = self.theirs
        if theirs.std is None or theirs.runs is None or theirs.runs < 2:
            return abs(self.difference) <= 100 * self.ours.half_width
        deviation = float(np.std(values, ddof=1))
        if deviation == 0.0 and theirs.std == 0.0:
            return self.difference == 0.0
        welch = stats.ttest_ind_from_stats(
            100 * self.ours.mean, deviation, len(values), theirs.mean, theirs.std, theirs.runs, equal_var=False
        )
        return float(welch.pvalue) >= 0.05


@dataclass(frozen=True)
class Verdict:
    """What print says of one row on one split of a data set.

    Args:
        row: label of our row.
        judges: our cell beside each figure that judges it; where several of our probes would do, in the column of the
            one that is nearest to theirs.
        beside: all comparable figures, judges or not.
    """

    row: str
    judges: tuple[Comparison, ...]
    beside: tuple[PublishedFigure, ...]

    @property
    def nearest(self) -> Comparison:
        """The figure that our cell meets, else the one it is nearest to."""
        return min(self.judges, key=lambda one: (not one.within, abs(one.difference)))

    @property
    def by(self) -> str:
        """Who judges: the ``authors``, or ``others`` where the authors print nothing."""
        return self.judges[0].theirs.by

    @property
    def barred(self) -> str:
        """Why it does not count; empty where it does."""
        if self.row != method_of(self.row):
            return "settings of ours"
        if not self.judges[0].same_probe:
            return "other probe"
        if " (" in self.nearest.column.probe:
            return "probe settings of ours"
        seeds = len(self.nearest.ours.values)
        if seeds < SEEDS and not self.nearest.ranking:
            return f"{seeds} seed{'s' if seeds != 1 else ''}"
        return ""

    @property
    def text(self) -> str:
        """Whether it is within the tolerance, and why it does not count; nothing is said across kinds of probes."""
        if not self.judges[0].same_probe:
            return "other probe"
        return ("yes" if self.nearest.within else "no") + (f" ({self.barred})" if self.barred else "")

    @property
    def miss(self) -> Miss | None:
        """The explanation on file."""
        column = self.nearest.column
        cell = method_of(self.row), column.dataset, _base(column.split), column.protocol
        return next(
            (miss for miss in explained_misses() if (miss.method, miss.dataset, miss.split, miss.protocol) == cell),
            None,
        )


@dataclass(frozen=True)
class Fidelity:
    """How far our records are those of the papers.

    Args:
        comparisons: every cell beside every figure that fits it.
        not_run: comparable figures, of methods that have records, whose cell has none.
        elsewhere: cells for which only figures under another protocol are in print, with those figures.
    """

    comparisons: tuple[Comparison, ...]
    not_run: tuple[PublishedFigure, ...]
    elsewhere: tuple[tuple[str, Column, tuple[PublishedFigure, ...]], ...]

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """One for each row and split: by the authors' figures, or by all re-runs where the authors print none.

        Figures of another kind of probe judge only where there is no other, and then nothing is counted.
        """
        grouped: dict[tuple[str, ...], list[Comparison]] = defaultdict(list)
        for one in self.comparisons:
            grouped[one.row, one.column.dataset, _base(one.column.split), one.column.protocol].append(one)
        return tuple(_verdict(row, group) for (row, *_), group in grouped.items())

    @property
    def summary(self) -> list[str]:
        """How many cells are within the tolerance, and which are not."""
        counted = [verdict for verdict in self.verdicts if not verdict.barred]
        lines = []
        for by, whom in (("authors", "the authors' figures"), ("others", "re-runs by others, authors printing none")):
            mine = [verdict.nearest for verdict in counted if verdict.by == by]
            judged, ranked = ([one for one in mine if one.ranking is kind] for kind in (False, True))
            if ranked:
                lines.append(
                    f"{sum(one.within for one in ranked)} of {len(ranked)} rankings within {100 * SHARE:.0f} % of "
                    f"{whom}."
                )
            if judged:
                lines.append(
                    f"{sum(one.within for one in judged)} of {len(judged)} cells within {TOLERANCE:.0f} point or the "
                    f"std of {whom}; {sum(one.within_a_point for one in judged)} within {TOLERANCE:.0f} point."
                )
        missed = [f"{_where(one)} ({one.nearest.difference:+.2f})" for one in counted if not one.nearest.within]
        if missed:
            lines.append(f"Not within: {'; '.join(missed)}.")
        few = [f"{_where(one)} ({one.barred})" for one in self.verdicts if one.barred.endswith(("seed", "seeds"))]
        if few:
            lines.append(f"Not counted, for fewer than {SEEDS} seeds: {'; '.join(few)}.")
        return lines

    @property
    def sections(self) -> list[Section]:
        """The comparison, why cells are missed, what was not run, and what is in print under other protocols only."""
        made = [self._compared()]
        missed = [verdict for verdict in self.verdicts if not verdict.barred and not verdict.nearest.within]
        if missed:
            reasons = tuple((_where(one), one.miss.why if one.miss else "not found out yet") for one in missed)
            made.append(Section("Why not within", ("cell", "what was tried, and where code and paper differ"), reasons))
        if self.not_run:
            made.append(Section("Published, and not run here", ("method", "split", "data sets"), _listed(self.not_run)))
        if self.elsewhere:
            rows = tuple(
                dict.fromkeys(
                    (
                        method_of(row),
                        f"{column.dataset} · {column.split}",
                        "; ".join(dict.fromkeys(map(_protocol, figures))),
                    )
                    for row, column, figures in self.elsewhere
                )
            )
            head = ("method", "ours", "in print")
            made.append(Section("In print under another protocol only, so not compared", head, rows))
        return made

    def _compared(self) -> Section:
        rows = []
        for verdict in self.verdicts:
            near = verdict.nearest
            rows.append(
                (
                    verdict.row,
                    _place(near.column),
                    near.ours.score,
                    str(len(near.ours.values)),
                    *(", ".join(_cited(figure) for figure in verdict.beside if figure.by == by) or "–" for by in _BY),
                    f"{near.difference:+.2f}",
                    {True: "yes", False: "no", None: "one seed"}[near.inside],
                    verdict.text,
                )
            )
        notes = [
            *(self.summary or ["No record here has a published counterpart under its protocol."]),
            "Ours: mean over seeds ± half the 95 % interval. Published: mean ± standard deviation as printed, with the "
            "source (`graphcl show METHOD` has the details). The authors' figures judge, or all re-runs where the "
            "authors print none; difference, inside and within are those to the one that is met, or nearest. Inside: "
            "the 95 % interval of the difference contains 0 (Welch where they print a deviation and the number of "
            f"runs, else their mean is taken as exact). Within: at most {TOLERANCE:.0f} point, or their deviation (of "
            f"rankings: at most {100 * SHARE:.0f} % of their figure); in parentheses why a cell does not count.",
        ]
        head = ("method", "cell", "ours", "seeds", "authors", "re-runs", "difference", "inside", "within")
        return Section("Beside published numbers", head, tuple(rows), tuple(notes))

    def plain(self) -> dict[str, Any]:
        """As plain JSON values."""
        counted = {id(one) for verdict in self.verdicts if not verdict.barred for one in verdict.judges}
        return {
            "comparisons": [
                {
                    "row": one.row,
                    "dataset": one.column.dataset,
                    "split": one.column.split,
                    "protocol": one.column.protocol,
                    "probe": one.column.probe,
                    "mean": 100 * one.ours.mean,
                    "half_width": 100 * one.ours.half_width if len(one.ours.values) > 1 else None,
                    "seeds": len(one.ours.values),
                    "published": plain_figure(one.theirs),
                    "difference": one.difference,
                    "inside": one.inside,
                    "within": one.within,
                    "within_a_point": one.within_a_point,
                    "counted": id(one) in counted,
                }
                for one in self.comparisons
            ],
            "summary": self.summary,
            "misses": [
                {"row": one.row, "cell": _place(one.nearest.column), "why": one.miss.why if one.miss else None}
                for one in self.verdicts
                if not one.barred and not one.nearest.within
            ],
            "not_run": [plain_figure(figure) for figure in self.not_run],
            "elsewhere": [
                {
                    "row": row,
                    "dataset": column.dataset,
                    "split": column.split,
                    "published": [plain_figure(figure) for figure in figures],
                }
                for row, column, figures in self.elsewhere
            ],
        }


def _verdict(row: str, group: list[Comparison]) -> Verdict:
    same = [one for one in group if one.same_probe] or group
    same = [one for one in same if len(one.ours.values) >= SEEDS] or same
    same = [one for one in same if " (" not in one.column.probe] or same
    own = [one for one in same if one.theirs.by == "authors"] or same
    best: dict[PublishedFigure, Comparison] = {}
    for one in own:
        held = best.setdefault(one.theirs, one)
        if (one.theirs.nearness(one.column) or 0) < (held.theirs.nearness(held.column) or 0):
            best[one.theirs] = one
    return Verdict(row, tuple(best.values()), tuple(dict.fromkeys(one.theirs for one in group)))


def compare_with_published(
    report: Report, figures: Iterable[PublishedFigure] | None = None, methods: Iterable[str] | None = None
) -> Fidelity:
    """Set the cells of a report beside what is in print for them.

    Args:
        report: of our records; every row of a method is compared, whatever its settings.
        figures: what is in print; ``None`` takes `published_figures`.
        methods: whose figures count as not run where there is no record; ``None`` takes those that have some record.
    """
    known = list(published_figures() if figures is None else figures)
    comparisons, elsewhere = [], []
    seen: set[PublishedFigure] = set()
    wanted = {method_of(row) for row in report.rows} if methods is None else set(methods)
    for (row, column), cell in sorted(report.cells.items(), key=lambda item: (item[0][0], item[0][1].key)):
        if column.attack:
            continue
        if not cell.values:
            continue
        about = [figure for figure in known if (figure.method, figure.dataset) == (method_of(row), column.dataset)]
        fitting = [figure for figure in about if figure.fits(column)]
        # a figure of another metric was run, and is not looked at
        seen.update(figure for figure in about if figure.fits(replace(column, metric=figure.metric or column.metric)))
        comparisons += [Comparison(row, column, cell, figure) for figure in fitting]
        if about and not fitting:
            elsewhere.append((row, column, tuple(about)))
    absent = [f for f in known if f.method in wanted and f.comparable and f.protocol == "honest" and f not in seen]
    return Fidelity(tuple(comparisons), tuple(absent), tuple(elsewhere))


def _base(split: str) -> str:
    """A split without the number of times it is drawn."""
    return re.sub(r"x[1-9]\d?$", "", split)


def _where(verdict: Verdict) -> str:
    return f"{verdict.row} on {_place(verdict.nearest.column)}"


def _place(column: Column) -> str:
    legacy = " · LEGACY" if column.protocol == "legacy" else ""
    return f"{column.dataset} · {column.split} · {column.probe}{legacy}"


def _protocol(figure: PublishedFigure) -> str:
    caveats = f" ({figure.caveats})" if not figure.comparable or figure.protocol == "legacy" else ""
    return f"{figure.split or 'a split of its own'}{caveats}"


def _cited(figure: PublishedFigure) -> str:
    # what a ranking was chosen by is half of what it says
    note = f": {figure.note}" if figure.probe == "ranking" and figure.note else ""
    return f"{figure.score} ({figure.source.name}{note})"


def _listed(figures: Iterable[PublishedFigure]) -> tuple[tuple[str, str, str], ...]:
    """Data sets by method and split, each once."""
    grouped: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for figure in figures:
        grouped[figure.method, figure.split][figure.dataset] = None
    return tuple((*cell, ", ".join(datasets)) for cell, datasets in sorted(grouped.items()))
