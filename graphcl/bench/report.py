"""From records to a table: means with 95 % intervals, what is inside the noise, controls always in sight."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table
from scipy import stats

from graphcl.bench.run import Record
from graphcl.catalogue import entries
from graphcl.config import encode
from graphcl.errors import RequestError

__all__ = ["Cell", "Column", "Report", "summarise"]


@dataclass(frozen=True)
class Column:
    """What may be compared: one data set, split, metric and protocol, and one content of the data."""

    dataset: str
    split: str
    metric: str
    protocol: str
    fingerprint: str
    probe: str = "logistic"

    @property
    def title(self) -> str:
        """The column's head."""
        flag = "\nLEGACY (selected on test)" if self.protocol == "legacy" else ""
        other = f"\nprobe {self.probe}" if self.probe != "logistic" else ""
        return f"{self.dataset}\n{self.split}\n{self.metric}{other}{flag}"


@dataclass(frozen=True)
class Cell:
    """One method in one column.

    Args:
        values: score by seed, in [0, 1].
        failures: messages of the runs that failed.
    """

    values: dict[int, float]
    failures: tuple[str, ...] = ()

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return float(np.mean(list(self.values.values())))

    @property
    def half_width(self) -> float:
        """Half the 95 % interval of the mean (Student's t); NaN with fewer than two seeds."""
        return _half_width(list(self.values.values()))


def _half_width(values: list[float]) -> float:
    if len(values) < 2:
        return float("nan")
    return float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))


def _inside_noise(cell: Cell, best: Cell) -> bool:
    """Whether the 95 % interval of the difference to the best, paired by seed, contains zero."""
    shared = sorted(set(cell.values) & set(best.values))
    if len(shared) < 2:
        return False
    difference = [best.values[seed] - cell.values[seed] for seed in shared]
    return float(np.mean(difference)) <= _half_width(difference)


@dataclass(frozen=True)
class Report:
    """A summary of records.

    Args:
        columns: in order.
        rows: label to whether it is a control.
        cells: by (row, column).
    """

    columns: tuple[Column, ...]
    rows: dict[str, bool]
    cells: dict[tuple[str, Column], Cell]

    def best(self, column: Column) -> str | None:
        """The row with the highest mean in a column."""
        scored = [row for row in self.rows if self.cells.get((row, column), Cell({})).values]
        return max(scored, key=lambda row: self.cells[row, column].mean) if scored else None

    def text(self, row: str, column: Column) -> str:
        """One cell as it is printed: percent, interval, and its mark."""
        cell = self.cells.get((row, column))
        if cell is None:
            return "not run"
        if not cell.values:
            return f"failed ({len(cell.failures)})"
        half = cell.half_width
        spread = f" ± {100 * half:.2f}" if np.isfinite(half) else " (1 seed)"
        lost = f" [{len(cell.failures)} failed]" if cell.failures else ""
        top = self.best(column)
        mark = ""
        if row == top:
            mark = " *"
        elif top is not None and _inside_noise(cell, self.cells[top, column]):
            mark = " ≈"
        return f"{100 * cell.mean:.2f}{spread}{mark}{lost}"

    def title(self, column: Column) -> str:
        """A column's head; data sets of one name but different content are told apart by their fingerprint."""
        twins = [other for other in self.columns if other.title == column.title]
        return f"{column.title}\n{column.fingerprint[:8]}" if len(twins) > 1 else column.title

    @property
    def footnotes(self) -> list[str]:
        """What the marks mean, and what is missing."""
        seeds = sorted({len(cell.values) for cell in self.cells.values() if cell.values})
        notes = [
            f"Test score in %, mean over seeds ({', '.join(map(str, seeds)) or '0'}) ± half the 95 % interval "
            "(Student's t). On a fixed split the interval covers initialisation and training only.",
            "* highest mean; ≈ inside its noise: the 95 % interval of the difference, paired by seed, contains 0.",
        ]
        missing = sum((row, column) not in self.cells for row in self.rows for column in self.columns)
        if missing:
            notes.append(f"{missing} cells were not run.")
        failed = [message for cell in self.cells.values() for message in cell.failures]
        notes += [f"failed: {message}" for message in sorted(set(failed))]
        if any(column.protocol == "legacy" for column in self.columns):
            notes.append("LEGACY columns select on the test set. They exist to show that bias, not to be quoted.")
        return notes

    def table(self) -> Table:
        """For the terminal or an HTML export."""
        table = Table(title=None, show_lines=False)
        table.add_column("method")
        for column in self.columns:
            table.add_column(self.title(column), justify="right")
        for control in (False, True):
            for row in (row for row, is_control in self.rows.items() if is_control == control):
                style = "dim" if control else None
                table.add_row(row, *(self.text(row, column) for column in self.columns), style=style)
            if not control:
                table.add_section()
        return table

    def markdown(self) -> str:
        """As a Markdown table with its notes."""
        titles = [self.title(column).replace("\n", " · ") for column in self.columns]
        lines = ["| method | " + " | ".join(titles) + " |", "|---|" + "---:|" * len(titles)]
        for control in (False, True):
            for row in (row for row, is_control in self.rows.items() if is_control == control):
                name = f"*{row}* (control)" if control else row
                lines.append(f"| {name} | " + " | ".join(self.text(row, column) for column in self.columns) + " |")
        return "\n".join([*lines, "", *(f"{note}  " for note in self.footnotes), ""])


def summarise(records: Iterable[Record]) -> Report:
    """Group records into rows and columns; a run that was repeated after an error counts by its last record.

    Raises:
        RequestError: there are no records.
    """
    latest = _latest(records)
    if not latest:
        raise RequestError("no records there yet; `graphcl bench run` makes some")
    recipes = entries("methods")
    values: dict[tuple[str, Column], dict[int, float]] = defaultdict(dict)
    failures: dict[tuple[str, Column], list[str]] = defaultdict(list)
    controls: dict[str, bool] = {}
    done = [record for record in latest if record["status"] == "ok"]
    columns = {_column(record) for record in done if record["run"]["probe"]["name"] != "majority"} or {
        _column(record) for record in done
    }
    for record in latest:
        run = record["run"]
        row = _row(run, recipes)
        controls[row] = run["method"] in recipes and recipes[run["method"]].control
        fitting = [column for column in columns if _belongs(record, column)]
        if record["status"] != "ok" and not fitting:
            fitting = [Column(run["dataset"], run["split"], "acc", run["protocol"], "?", _probe(run))]
        for column in fitting:
            if record["status"] == "ok":
                values[row, column][run["seed"]] = record["metrics"][f"{record['metric']}/test"]
            else:
                failures[row, column].append(record["error"])
    cells = {key: Cell(values.get(key, {}), tuple(failures.get(key, ()))) for key in {**values, **failures}}
    # controls belong into every table: those without a record, whatever the settings, show as "not run"
    recorded = {record["run"]["method"] for record in latest}
    for name, recipe in recipes.items():
        if recipe.control and name not in recorded:
            controls.setdefault(name, True)
    order = sorted(
        {column for _, column in cells}, key=lambda c: (c.protocol, c.dataset, c.split, c.probe, c.fingerprint)
    )
    return Report(tuple(order), dict(sorted(controls.items())), cells)


def _latest(records: Iterable[Record]) -> list[Record]:
    """The last record of each run on each content of its data; failures only where nothing came of the run."""
    done: dict[tuple[str, str], Record] = {}
    lost: dict[str, Record] = {}
    for record in records:
        if record["status"] == "ok":
            done[record["run_id"], record["dataset"]["fingerprint"]] = record
        else:
            lost[record["run_id"]] = record
    succeeded = {run_id for run_id, _ in done}
    return [*done.values(), *(record for run_id, record in lost.items() if run_id not in succeeded)]


def _column(record: Record) -> Column:
    run = record["run"]
    return Column(
        run["dataset"], run["split"], record["metric"], run["protocol"], record["dataset"]["fingerprint"], _probe(run)
    )


def _belongs(record: Record, column: Column) -> bool:
    """Whether a record counts in a column; the majority has no probe and a failed run no content to differ in."""
    run = record["run"]
    same = (run["dataset"], run["split"], run["protocol"]) == (column.dataset, column.split, column.protocol)
    content = record["status"] != "ok" or record["dataset"]["fingerprint"] == column.fingerprint
    return same and content and (run["method"] == "majority" or _probe(run) == column.probe)


def _probe(run: dict[str, Any]) -> str:
    """The probe, with whatever differs from its settings for the data set."""
    settings = dict(run["probe"])
    name = settings.pop("name")
    probes = entries("probes")
    if name not in probes:
        return name
    usual = encode(probes[name].preset(run["dataset"]))
    changed = [f"{key}={value}" for key, value in settings.items() if usual.get(key, value) != value]
    return f"{name} ({', '.join(sorted(changed))})" if changed else name


def _row(run: dict[str, Any], recipes: dict[str, Any]) -> str:
    """The method, with whatever differs from its official settings for the data set."""
    name = run["method"]
    if name not in recipes:
        return name
    usual = encode(recipes[name].preset(run["dataset"]))
    changed = [
        f"{key}={value}" for key, value in _flat(run["settings"]).items() if _flat(usual).get(key, value) != value
    ]
    return f"{name} ({', '.join(sorted(changed))})" if changed else name


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in values.items():
        out.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value})
    return out
