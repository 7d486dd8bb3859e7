"""What papers print, as data: one TOML file per source in ``papers/``."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Annotated, Any, Literal, TypeAlias

import annotated_types as at

from graphcl.bench.ranking import is_ranking
from graphcl.bench.report import Column
from graphcl.bench.section import Section
from graphcl.config import Config, NonNegative, Size, decode
from graphcl.data.interaction_loading import find_interactions
from graphcl.data.loading import find_dataset, split_names
from graphcl.data.splits import is_random
from graphcl.errors import RequestError, UnknownNameError

__all__ = [
    "PublishedFigure",
    "Source",
    "plain_figure",
    "published_figures",
    "published_section",
    "read_figures",
]

ProbeKind: TypeAlias = Literal["linear", "early-stopped", "svm", "svm-rbf", "ranking"]

_PROBES = {
    "linear": ("logistic", "early-stopped"),
    "early-stopped": ("early-stopped", "logistic"),
    "svm": ("svm",),
    "svm-rbf": ("svm-rbf",),
    "ranking": ("full-ranking",),
}
"""Our probes that do what a kind of probe in print does, the one that does it best first."""

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

    ``figures`` maps method and data set to a mean in %, or to mean and standard deviation. ``metric`` is named where it
    is not the data set's, and always of rankings. ``runs`` is the number of
    runs of the rows that the source measured itself. ``quoted`` rows are those of the methods' own authors, taken over;
    with ``rerun`` not even the rows of ``Source.own`` were measured by the authors.
    """

    table: str
    probe: ProbeKind
    figures: Mapping[Name, Mapping[Name, Percent | tuple[Percent, NonNegative]]]
    metric: str = ""
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
        probe: kind of probe: ``linear``, ``early-stopped`` (a linear layer trained by Adam), ``svm``, ``svm-rbf``;
            ``ranking`` of all items; ``own`` for a supervised model.
        by: who measured it: the ``authors`` of the method, or ``others``.
        read: ``paper``, ``repository`` or ``second-hand``.
        source: where it stands.
        table: where in it.
        comparable: whether a record of ours may be set beside it at all.
        note: what one must know of it.
        metric: what was measured, such as ``ndcg@20``; ``""`` for the metric of the data set.
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
    metric: str = ""

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
            and column.metric == (self.metric or find_dataset(self.dataset).metric)
            and re.fullmatch(re.escape(self.split) + r"(x[1-9]\d?)?", column.split) is not None
        )

    def nearness(self, column: Column) -> int | None:
        """How well the probe of a column is that of this figure, 0 being best; ``None`` where it is another kind."""
        if self.probe == "own":
            return 0
        name = column.probe.partition(" ")[0]
        return _PROBES[self.probe].index(name) if name in _PROBES[self.probe] else None


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
        ranked = printed.probe == "ranking"
        if ranked != bool(re.fullmatch(r"[a-z]+@[1-9]\d*", printed.metric)):
            raise RequestError(
                f"{origin}, {printed.table}: metric = '{printed.metric}' with probe = '{printed.probe}'; rankings have "
                "a metric such as ndcg@20, and nothing else has"
            )
        for method, scores in printed.figures.items():
            for dataset, score in scores.items():
                _check_split(dataset, printed.split, origin)
                if is_ranking(dataset) != ranked:
                    raise RequestError(
                        f"{origin}, {printed.table}: probe = '{printed.probe}' on {dataset}; interactions are ranked, "
                        "and graphs are probed"
                    )
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
                    metric=printed.metric,
                )


def _check_split(dataset: str, split: str, origin: str) -> None:
    what = f"split of {dataset} in {origin}"
    if is_ranking(dataset):
        if split and split not in find_interactions(dataset).splits:
            raise UnknownNameError(what, split, find_interactions(dataset).splits)
        return
    spec = find_dataset(dataset)
    if split and split not in spec.splits and not is_random(split):
        raise UnknownNameError(what, split, split_names(spec))


def published_section(method: str) -> Section | None:
    """What is in print for a method; ``None`` where nothing is on file."""
    rows = tuple(
        (
            figure.dataset,
            " · ".join([figure.split or "not known", *filter(None, [figure.metric])]),
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
