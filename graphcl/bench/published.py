"""What papers print, as data: one TOML file per source in ``papers/``, and our records beside it.

A figure is comparable with a record of ours under the same split, the same kind of probe and the same way of selecting;
whatever else there is in print is named, never compared. Where the authors of a method print a figure for a cell, that
one is the reference; where they print none, every re-run by others is, and a record has to meet one of them.
"""

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Annotated, Any, Literal

import annotated_types as at
import numpy as np
from scipy import stats

from graphcl.bench.report import Cell, Column, Report, method_of
from graphcl.bench.section import Section
from graphcl.config import Config, NonNegative, Size, decode
from graphcl.data.loading import find_dataset, split_names
from graphcl.data.splits import is_random
from graphcl.errors import RequestError, UnknownNameError

__all__ = [
    "Comparison",
    "Fidelity",
    "PublishedFigure",
    "Source",
    "compare_with_published",
    "published_figures",
    "published_section",
]

TOLERANCE = 1.0
"""Points by which a mean may differ from a published one that has no larger standard deviation."""

_BY = ("authors", "others")
_PROBES = {"linear": {"logistic", "early-stopped"}, "svm": {"svm"}, "svm-rbf": {"svm-rbf"}}
"""Our probes that do what a kind of probe in print does."""

Percent = Annotated[float, at.Interval(ge=0.0, le=100.0)]
Name = Annotated[str, at.Predicate(re.compile(r"[a-z0-9]+(-[a-z0-9]+)*").fullmatch)]


@dataclass(frozen=True, kw_only=True)
class Source(Config):
    """Where figures were read.

    Args:
        name: of its file.
        title: of the paper or page.
        link: its address, as far as there is a stable one.
        read: whether they were read in the paper, in its repository, or somewhere that quotes it.
        own: methods that are its authors' own; all others were run again by them, or quoted.
    """

    name: str
    title: str
    read: Literal["paper", "repository", "second-hand"]
    link: str = ""
    own: tuple[Name, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Printed(Config):
    """One printed table.

    ``figures`` maps method and data set to a mean in %, or to mean and standard deviation. ``runs`` is the number of
    runs of the rows that the source measured itself. ``quoted`` rows are those of the methods' own authors, taken over;
    with ``rerun`` not even the rows of ``Source.own`` were measured by the authors.
    """

    table: str
    probe: Literal["linear", "svm", "svm-rbf"]
    figures: Mapping[Name, Mapping[Name, Percent | tuple[Percent, NonNegative]]]
    split: str = ""
    protocol: Literal["honest", "legacy"] = "honest"
    runs: Size | None = None
    quoted: tuple[Name, ...] = ()
    rerun: bool = False
    comparable: bool = True
    note: str = ""


@dataclass(frozen=True)
class PublishedFigure:
    """One published score.

    Args:
        method: catalogue name (the method need not be there yet).
        dataset: catalogue name.
        split: name of the split; ``""`` where it is not known, and then it is not comparable.
        mean: in %.
        std: standard deviation over runs in points, as far as printed.
        runs: number of runs, as far as printed where it was measured.
        protocol: ``legacy`` where the score was selected on test.
        probe: kind of probe: ``linear``, ``svm``, ``svm-rbf``; ``own`` for a supervised model.
        by: who measured it: the ``authors`` of the method, or ``others``.
        read: ``paper``, ``repository`` or ``second-hand``.
        source: where it stands.
        table: where in it.
        comparable: whether a record of ours may be set beside it at all.
        note: what one must know of it.
    """

    method: str
    dataset: str
    split: str
    mean: float
    std: float | None
    runs: int | None
    protocol: str
    probe: str
    by: Literal["authors", "others"]
    read: str
    source: Source
    table: str
    comparable: bool
    note: str

    @property
    def score(self) -> str:
        """The score as it is printed."""
        return f"{self.mean:.2f}" if self.std is None else f"{self.mean:.2f} ± {self.std:.2f}"

    @property
    def origin(self) -> str:
        """Who measured it and where it stands."""
        second = ", second-hand" if self.read == "second-hand" else ""
        return f"{self.by}: {self.source.title}, {self.table}{second}"

    @property
    def caveats(self) -> str:
        """What keeps it from being compared, and what one must know of it."""
        legacy = "selected on test" if self.protocol == "legacy" else ""
        barred = "" if self.comparable else "not comparable"
        return "; ".join(part for part in (barred, legacy, self.note) if part)

    def fits(self, column: Column) -> bool:
        """Whether a column holds what this figure measures: data set, split, metric and way of selecting."""
        return (
            self.comparable
            and (self.dataset, self.protocol) == (column.dataset, column.protocol)
            and column.metric == find_dataset(self.dataset).metric
            and re.fullmatch(re.escape(self.split) + r"(x[1-9]\d?)?", column.split) is not None
        )

    def same_probe(self, column: Column) -> bool:
        """Whether the probe of a column is of the kind that this figure was measured with."""
        return self.probe == "own" or column.probe.partition(" ")[0] in _PROBES[self.probe]


@cache
def published_figures() -> tuple[PublishedFigure, ...]:
    """All published figures that come with graphcl; the authors' before those of others.

    Example:
        >>> [figure.score for figure in published_figures()
        ...  if (figure.method, figure.dataset, figure.split) == ("bgrl", "amazon-photo", "random-20-80-cv")]
        ['93.17 ± 0.30']
    """
    folder = resources.files("graphcl.bench") / "papers"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda file: file.name)
    found = [figure for file in files for figure in read_figures(file.read_text(encoding="utf-8"), file.name)]
    return tuple(
        sorted(found, key=lambda f: (f.method, f.dataset, f.split, f.by, f.std is None, f.source.title, f.table))
    )


def read_figures(text: str, origin: str) -> Iterator[PublishedFigure]:
    """The figures of one file.

    Args:
        text: TOML: the fields of a `Source`, and ``[[tables]]``.
        origin: name of the file, for messages.

    Raises:
        UnknownNameError: a key, data set or split that does not exist.
        RequestError: a value of the wrong type or out of range.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RequestError(f"{origin} is no TOML file: {error}") from None
    tables = [decode(_Printed, table) for table in values.pop("tables", [])]
    source = decode(Source, {"name": origin.removesuffix(".toml"), **values})
    for printed in tables:
        if printed.comparable and not printed.split:
            raise RequestError(f"{origin}, {printed.table}: without a split nothing can be compared; name it")
        for method, scores in printed.figures.items():
            for dataset, score in scores.items():
                _check_split(dataset, printed.split, origin)
                mean, std = score if isinstance(score, tuple) else (score, None)
                own = method in printed.quoted or (method in source.own and not printed.rerun)
                yield PublishedFigure(
                    method=method,
                    dataset=dataset,
                    split=printed.split,
                    mean=mean,
                    std=std,
                    runs=None if method in printed.quoted else printed.runs,
                    protocol=printed.protocol,
                    probe="own" if method.startswith("supervised-") else printed.probe,
                    by="authors" if own else "others",
                    read="second-hand" if method in printed.quoted else source.read,
                    source=source,
                    table=printed.table,
                    comparable=printed.comparable,
                    note=printed.note,
                )


def _check_split(dataset: str, split: str, origin: str) -> None:
    spec = find_dataset(dataset)
    if split and split not in spec.splits and not is_random(split):
        raise UnknownNameError(f"split of {dataset} in {origin}", split, split_names(spec))


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
    def counted(self) -> bool:
        """Whether it counts: measured with a probe of the same kind."""
        return self.theirs.same_probe(self.column)

    @property
    def within(self) -> bool:
        """Whether the difference is at most one point, or at most their standard deviation where that is larger."""
        # half of the last printed digit is not a difference
        return abs(self.difference) <= max(TOLERANCE, self.theirs.std or 0.0) + 1e-9

    @property
    def inside(self) -> bool | None:
        """Whether the 95 % interval of the difference of the two means contains 0; ``None`` with one seed.

        Where they print a deviation and the number of runs it is Welch's interval, else their mean is taken as exact.
        """
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
    def judged(self) -> dict[tuple[str, Column], list[Comparison]]:
        """Each cell with the figures that judge it: the authors', or all re-runs where the authors print none.

        Figures of another probe judge only where there is no other, and then nothing is counted.
        """
        grouped: dict[tuple[str, Column], list[Comparison]] = defaultdict(list)
        for one in self.comparisons:
            grouped[one.row, one.column].append(one)
        judges = {}
        for cell, group in grouped.items():
            same = [one for one in group if one.counted] or group
            judges[cell] = [one for one in same if one.theirs.by == "authors"] or same
        return judges

    @property
    def summary(self) -> list[str]:
        """How many cells are within the tolerance, and which are not."""
        counted = {cell: group for cell, group in self.judged.items() if group[0].counted}
        lines = []
        for by, whom in (("authors", "the authors' figures"), ("others", "re-runs by others, authors printing none")):
            held = [any(one.within for one in group) for group in counted.values() if group[0].theirs.by == by]
            if held:
                lines.append(f"{sum(held)} of {len(held)} cells within {TOLERANCE:.0f} point or the std of {whom}.")
        missed = [
            f"{row} on {_place(column)} ({_nearest(group).difference:+.2f})"
            for (row, column), group in counted.items()
            if not any(one.within for one in group)
        ]
        if missed:
            lines.append(f"Not within: {'; '.join(missed)}.")
        few = [
            f"{row} on {_place(column)} ({len(group[0].ours.values)})"
            for (row, column), group in counted.items()
            if len(group[0].ours.values) < 5
        ]
        if few:
            lines.append(f"Fewer than five seeds: {'; '.join(few)}.")
        return lines

    @property
    def sections(self) -> list[Section]:
        """The comparison, what is in print but was not run, and what is in print under other protocols only."""
        made = [self._compared()]
        if self.not_run:
            made.append(Section("Published, and not run here", ("method", "split", "data sets"), _listed(self.not_run)))
        if self.elsewhere:
            rows = dict.fromkeys(
                (
                    method_of(row),
                    f"{column.dataset} · {column.split}",
                    "; ".join(dict.fromkeys(map(_protocol, figures))),
                )
                for row, column, figures in self.elsewhere
            )
            head = ("method", "ours", "in print")
            made.append(Section("In print under another protocol only, so not compared", head, tuple(rows)))
        return made

    def _compared(self) -> Section:
        rows = []
        for (row, column), group in self.judged.items():
            near = _nearest(group)
            every = [one.theirs for one in self.comparisons if (one.row, one.column) == (row, column)]
            rows.append(
                (
                    row,
                    _place(column),
                    near.ours.score,
                    str(len(near.ours.values)),
                    *(", ".join(_cited(figure) for figure in every if figure.by == by) or "–" for by in _BY),
                    f"{near.difference:+.2f}",
                    {True: "yes", False: "no", None: "one seed"}[near.inside],
                    ("yes" if near.within else "no") if near.counted else "other probe",
                )
            )
        notes = [
            *(self.summary or ["No record here has a published counterpart under its protocol."]),
            "Ours: mean over seeds ± half the 95 % interval. Published: mean ± standard deviation as printed, with the "
            "source (`graphcl show METHOD` has the details). The authors' figures judge, or all re-runs where the "
            "authors print none; difference, inside and within are those to the one that is met, or nearest. Inside: "
            "the 95 % interval of the difference contains 0 (Welch where they print a deviation and the number of "
            f"runs, else their mean is taken as exact). Within: at most {TOLERANCE:.0f} point, or their deviation.",
        ]
        head = ("method", "cell", "ours", "seeds", "authors", "re-runs", "difference", "inside", "within")
        return Section("Beside published numbers", head, tuple(rows), tuple(notes))

    def plain(self) -> dict[str, Any]:
        """As plain JSON values."""
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
                    "counted": one.counted,
                }
                for one in self.comparisons
            ],
            "summary": self.summary,
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


def published_section(method: str) -> Section | None:
    """What is in print for a method; ``None`` where nothing is on file."""
    rows = tuple(
        (
            figure.dataset,
            figure.split or "not known",
            figure.score,
            str(figure.runs or "–"),
            figure.origin,
            figure.caveats,
        )
        for figure in published_figures()
        if figure.method == method
    )
    if not rows:
        return None
    head = ("data set", "split", "published", "runs", "measured by", "to be known")
    return Section("Published numbers", head, rows, ("Mean ± standard deviation in %, as printed.",))


def plain_figure(figure: PublishedFigure) -> dict[str, Any]:
    """A figure as plain JSON values."""
    values = {**vars(figure), "source": figure.source.title, "link": figure.source.link}
    return {name: values[name] for name in sorted(values)}


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
        if not cell.values:
            continue
        about = [figure for figure in known if (figure.method, figure.dataset) == (method_of(row), column.dataset)]
        fitting = [figure for figure in about if figure.fits(column)]
        seen.update(fitting)
        comparisons += [Comparison(row, column, cell, figure) for figure in fitting]
        if about and not fitting:
            elsewhere.append((row, column, tuple(about)))
    absent = [f for f in known if f.method in wanted and f.comparable and f.protocol == "honest" and f not in seen]
    return Fidelity(tuple(comparisons), tuple(absent), tuple(elsewhere))


def _place(column: Column) -> str:
    legacy = " · LEGACY" if column.protocol == "legacy" else ""
    return f"{column.dataset} · {column.split} · {column.probe}{legacy}"


def _protocol(figure: PublishedFigure) -> str:
    caveats = f" ({figure.caveats})" if not figure.comparable or figure.protocol == "legacy" else ""
    return f"{figure.split or 'a split of its own'}{caveats}"


def _nearest(group: list[Comparison]) -> Comparison:
    """The figure that a cell meets, else the one it is nearest to."""
    return min(group, key=lambda one: (not one.within, abs(one.difference)))


def _cited(figure: PublishedFigure) -> str:
    return f"{figure.score} ({figure.source.name})"


def _listed(figures: Iterable[PublishedFigure]) -> tuple[tuple[str, str, str], ...]:
    """Data sets by method and split, each once."""
    grouped: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for figure in figures:
        grouped[figure.method, figure.split][figure.dataset] = None
    return tuple((*cell, ", ".join(datasets)) for cell, datasets in sorted(grouped.items()))
