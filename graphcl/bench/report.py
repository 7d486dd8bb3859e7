"""From records to a table: means with 95 % intervals, what is inside the noise, controls always in sight."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from rich.table import Table

from graphcl.bench.attack import Attack
from graphcl.bench.run import HOW_COME_BY, Record
from graphcl.bench.section import Section
from graphcl.bench.store import Store
from graphcl.catalogue import entries
from graphcl.config import decode, digest, encode
from graphcl.errors import RequestError
from graphcl.methods.recipe import preset_for

__all__ = ["PROBELESS", "Cell", "Column", "Report", "by_metric", "records_below", "summarise"]

RowKind = Literal["method", "supervised", "control"]

PROBELESS = {"majority", "none"}
"""Probes that read no embedding: such rows belong into the column of every probe."""


USUAL_PROBES = {"logistic", "full-ranking"}
"""Those that a column's head need not name."""


@dataclass(frozen=True)
class Column:
    """What may be compared: one data set, split, metric and protocol, and one content of the data."""

    dataset: str
    split: str
    metric: str
    protocol: str
    fingerprint: str
    probe: str = "logistic"
    attack: str = ""
    strength: float = 0.0
    unit: str = ""

    @property
    def key(self) -> tuple[str | float, ...]:
        """The order of columns."""
        place = self.protocol, self.dataset, self.split, self.probe, self.metric, self.fingerprint
        return (*place, self.attack, self.strength)

    @property
    def title(self) -> str:
        """The column's head."""
        flag = "\nLEGACY (selected on test)" if self.protocol == "legacy" else ""
        other = f"\nprobe {self.probe}" if self.probe not in USUAL_PROBES else ""
        attacked = f"\n{self.attack} {self.strength:g}" if self.attack else ""
        return f"{self.dataset}\n{self.split}\n{self.metric}{other}{attacked}{flag}"


@dataclass(frozen=True)
class Cell:
    """One method in one column.

    Args:
        values: score by seed, in [0, 1].
        failures: messages of the runs that failed.
        seconds: whole duration by seed, as far as recorded.
        peak_mb: peak memory by seed, as far as recorded.
    """

    values: dict[int, float]
    failures: tuple[str, ...] = ()
    seconds: dict[int, float] = field(default_factory=dict)
    peak_mb: dict[int, float] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return float(np.mean(list(self.values.values())))

    @property
    def half_width(self) -> float:
        """Half the 95 % interval of the mean (Student's t); NaN with fewer than two seeds."""
        return half_width(list(self.values.values()))

    @property
    def score(self) -> str:
        """Mean and interval as they are printed, in percent."""
        if not self.values:
            return f"failed ({len(self.failures)})"
        spread = f" ± {100 * self.half_width:.2f}" if len(self.values) > 1 else " (1 seed)"
        return f"{100 * self.mean:.2f}{spread}"


def half_width(values: list[float]) -> float:
    """Half the 95 % interval of a mean (Student's t); NaN with fewer than two values.

    Example:
        >>> round(half_width([0.8, 0.9, 1.0]), 4)
        0.2484
    """
    from scipy import stats

    if len(values) < 2:
        return float("nan")
    return float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))


def _inside_noise(cell: Cell, best: Cell) -> bool:
    """Whether the 95 % interval of the difference to the best, paired by seed, contains zero."""
    shared = sorted(set(cell.values) & set(best.values))
    if len(shared) < 2:
        return False
    difference = [best.values[seed] - cell.values[seed] for seed in shared]
    return abs(float(np.mean(difference))) <= half_width(difference)


def _recipes() -> dict[str, Any]:
    """All that a row can be of."""
    return {**entries("methods"), **entries("recommenders")}


def _applies(row: str, column: Column) -> bool:
    """Whether a row could have a score in a column: nodes are not embedded by what embeds graphs."""
    recipe = _recipes().get(method_of(row))
    spec = {**entries("datasets"), **entries("interactions")}.get(column.dataset)
    if recipe is None or spec is None:
        return True
    if column.protocol == "legacy" and (recipe.control or recipe.supervised):
        return False  # no epoch to select
    # what learns from labels, and what ignores the embedding, has no probe to choose
    usual = column.probe in USUAL_PROBES or not (recipe.supervised or recipe.probe == "majority")
    return recipe.takes(spec) and usual


@dataclass(frozen=True)
class Report:
    """A summary of records.

    Args:
        columns: in order.
        rows: label to what it is: a ``method``, a ``supervised`` reference or a ``control``.
        cells: by (row, column).
        machines: what the records were computed on.
    """

    columns: tuple[Column, ...]
    rows: dict[str, RowKind]
    cells: dict[tuple[str, Column], Cell]
    machines: tuple[str, ...] = ()

    def of_probe(self, probe: str) -> Self:
        """The columns of one probe, and the rows that have a score there or are missing it."""
        columns = tuple(column for column in self.columns if column.probe == probe)
        cells = {key: cell for key, cell in self.cells.items() if key[1] in columns}
        here = {row for row, _ in cells}
        return replace(self, columns=columns, rows={r: kind for r, kind in self.rows.items() if r in here}, cells=cells)

    def best(self, column: Column) -> str | None:
        """The row with the highest mean in a column, of those that learn without labels."""
        return self._highest(column, "method", "control")

    def _highest(self, column: Column, *kinds: RowKind) -> str | None:
        scored = [row for row, kind in self.rows.items() if kind in kinds and self.scored(row, column)]
        return max(scored, key=lambda row: self.cells[row, column].mean) if scored else None

    def scored(self, row: str, column: Column) -> bool:
        """Whether a cell holds a score."""
        return bool(self.cells.get((row, column), Cell({})).values)

    def text(self, row: str, column: Column) -> str:
        """One cell as it is printed: percent, interval, and its mark."""
        cell = self.cells.get((row, column))
        if cell is None:
            return "not run" if _applies(row, column) else "–"
        if not cell.values:
            return cell.score
        lost = f" [{len(cell.failures)} failed]" if cell.failures else ""
        top = self.best(column)
        mark = ""
        if row == top:
            mark = " *"
        elif top is not None and self.rows[row] != "supervised" and _inside_noise(cell, self.cells[top, column]):
            mark = " ≈"
        return f"{cell.score}{mark}{lost}"

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
        if "supervised" in self.rows.values():
            notes.append("Supervised rows are trained on the labels of the training part; they take no mark.")
        missing = sum(map(len, self.missing.values()))
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
        for kind in ("method", "supervised", "control"):
            for row in (row for row, of in self.rows.items() if of == kind):
                style = None if kind == "method" else "dim"
                table.add_row(row, *(self.text(row, column) for column in self.columns), style=style)
            if kind == "method":
                table.add_section()
        return table

    def markdown(self) -> str:
        """As a Markdown table with its notes."""
        titles = [self.place(column) for column in self.columns]
        lines = ["| method | " + " | ".join(titles) + " |", "|---|" + "---:|" * len(titles)]
        for kind in ("method", "supervised", "control"):
            for row in (row for row, of in self.rows.items() if of == kind):
                name = row if kind == "method" else f"*{row}* ({kind})"
                lines.append(f"| {name} | " + " | ".join(self.text(row, column) for column in self.columns) + " |")
        return "\n".join([*lines, "", *(f"{note}  " for note in self.footnotes), ""])

    @property
    def missing(self) -> dict[Column, list[str]]:
        """Rows without any record, by column."""
        absent = {
            column: [row for row in self.rows if (row, column) not in self.cells and _applies(row, column)]
            for column in self.columns
        }
        return {column: rows for column, rows in absent.items() if rows}

    def beaten_by_controls(self) -> Section | None:
        """Every cell whose mean is below that of a control; ``None`` where there is none."""
        rows = []
        for column in self.columns:
            control = self._highest(column, "control")
            if control is None:
                continue
            best = self.cells[control, column]
            for row, kind in self.rows.items():
                if kind == "control" or not self.scored(row, column):
                    continue
                cell = self.cells[row, column]
                if cell.mean < best.mean:
                    lost = f"{100 * (cell.mean - best.mean):+.2f}"
                    noise = "yes" if _inside_noise(cell, best) else "no"
                    rows.append((row, self.place(column), lost, noise, control))
        if not rows:
            return None
        notes = ("Difference of the means in points, to the best control; inside the noise as ≈ above.",)
        head = ("method", "cell", "difference", "inside the noise", "control")
        return Section("Beaten by a control", head, tuple(rows), notes)

    def costs(self) -> Section | None:
        """Median seconds and peak memory of a run; ``None`` where no record has them."""
        columns = [
            column for column in self.columns if any(cell.seconds for (_, c), cell in self.cells.items() if c == column)
        ]
        rows = []
        for row in self.rows:
            cells = [self.cells.get((row, column), Cell({})) for column in columns]
            if any(cell.seconds for cell in cells):
                rows.append((row, *(_cost(cell) for cell in cells)))
        if not rows:
            return None
        notes = (
            f"Median over seeds of a whole run: load, train, embed, probe, attack. On: {'; '.join(self.machines)}.",
        )
        return Section("Seconds and peak MB", ("method", *map(self.place, columns)), tuple(rows), notes)

    def rows_of(self, method: str) -> Section | None:
        """All cells of one method, settings included; ``None`` where it has no record."""
        rows = [
            (
                row,
                self.place(column),
                self.cells[row, column].score,
                str(len(self.cells[row, column].values)),
            )
            for row in self.rows
            for column in self.columns
            if method_of(row) == method and (row, column) in self.cells
        ]
        if not rows:
            return None
        notes = ("Mean in % ± half the 95 % interval over seeds.",)
        return Section("Our records", ("method", "cell", "ours", "seeds"), tuple(rows), notes)

    def plain(self) -> list[dict[str, Any]]:
        """The cells as plain JSON values, scores in [0, 1]."""
        made = []
        for (row, column), cell in sorted(self.cells.items(), key=lambda item: (item[0][0], item[0][1].key)):
            scored = bool(cell.values)
            made.append(
                {
                    "row": row,
                    "method": method_of(row),
                    "kind": self.rows[row],
                    **vars(column),
                    "mean": cell.mean if scored else None,
                    "half_width": cell.half_width if len(cell.values) > 1 else None,
                    "values": {str(seed): value for seed, value in cell.values.items()},
                    "failures": list(cell.failures),
                    "seconds": float(np.median(list(cell.seconds.values()))) if cell.seconds else None,
                    "peak_mb": float(np.median(list(cell.peak_mb.values()))) if cell.peak_mb else None,
                }
            )
        return made

    def place(self, column: Column) -> str:
        """A column's head in one line."""
        return self.title(column).replace("\n", " · ")


def _cost(cell: Cell) -> str:
    if not cell.seconds:
        return "–"
    memory = f" · {np.median(list(cell.peak_mb.values())):.0f}" if cell.peak_mb else ""
    return f"{np.median(list(cell.seconds.values())):.1f}{memory}"


def summarise(records: Iterable[Record]) -> Report:
    """Group records into rows and columns; of several records of one row, column and seed the last one counts.

    Raises:
        RequestError: there are no records.
    """
    ordered = sorted(records, key=lambda record: str(record.get("time", "")))
    if not ordered:
        raise RequestError("no records there yet; `graphcl bench run` makes some")
    recipes = _recipes()
    rows: dict[str, RowKind] = {}
    outcomes: dict[tuple[str, Column, int], Record] = {}
    columns = _columns(ordered)
    for record in ordered:
        run = record["run"]
        row = _row(run, recipes)
        rows[row] = recipes[run["method"]].kind() if run["method"] in recipes else "method"
        fitting = [column for column in columns if _belongs(record, column)]
        if record["status"] != "ok" and not fitting:
            fitting = [Column(run["dataset"], run["split"], "acc", run["protocol"], "?", _probe(run), *_attack(run))]
        for column in fitting:
            if _replaces(record, outcomes.get((row, column, run["seed"]))):
                outcomes[row, column, run["seed"]] = record
    cells = _cells(outcomes)
    # controls belong into every table: those without a record, whatever the settings, show as "not run"
    recorded = {method_of(row) for row in rows}
    order = sorted({column for _, column in cells}, key=lambda column: column.key)
    for name, recipe in recipes.items():
        if (
            recipe.control
            and recipe.standing
            and name not in recorded
            and any(_applies(name, column) for column in order)
        ):
            rows[name] = "control"
    return Report(tuple(order), dict(sorted(rows.items())), cells, _machines(ordered))


def records_below(folder: Path) -> list[Record]:
    """The records of a folder of results, or of every such folder below it.

    Raises:
        RequestError: there is no such folder.
        DataError: a line is no record.
    """
    if not folder.is_dir():
        raise RequestError(f"{folder} is no folder of results; give the --out of a `graphcl bench run`")
    below = {path.parent.parent for path in folder.rglob("*/*/*.jsonl")} or {folder}
    return [record for store in sorted(below) for record in Store(store).read()]


def by_metric(records: Iterable[Record], metric: str) -> list[Record]:
    """Records as if this were the metric of their data sets; selection was by the metric that it was by.

    Args:
        records: of any runs; those that did not measure it are left out, and what failed is told only of runs that have
            no score at all.
        metric: ``acc``, ``f1``, ``auc``.

    Raises:
        RequestError: no record measured it.
    """
    records = list(records)
    done = [record for record in records if record["status"] == "ok"]
    measured = [{**record, "metric": metric} for record in done if f"{metric}/test" in record["metrics"]]
    if not measured:
        known = sorted({name.removesuffix("/test") for record in done for name in record["metrics"] if "/test" in name})
        raise RequestError(f"no record has the metric '{metric}'; there are {', '.join(known) or 'no scores at all'}")
    scored = {record["run_id"] for record in done}
    return measured + [record for record in records if record["status"] != "ok" and record["run_id"] not in scored]


def method_of(row: str) -> str:
    """The method of a row, whose label may name settings behind it.

    Example:
        >>> method_of("grace (plan.epochs=3)")
        'grace'
    """
    return row.partition(" (")[0]


def _replaces(record: Record, earlier: Record | None) -> bool:
    """Whether a record counts in place of an earlier one of the same row, column and seed.

    What was computed later counts, by whatever version of the code; an ``error`` computed nothing, and a failed run
    does not undo the same run's success.
    """
    if earlier is None or record["status"] == "ok" or earlier["status"] == "error":
        return True
    return bool(record["status"] == "failed" and record["run_id"] != earlier["run_id"])


def _cells(outcomes: dict[tuple[str, Column, int], Record]) -> dict[tuple[str, Column], Cell]:
    grouped: dict[tuple[str, Column], dict[int, Record]] = defaultdict(dict)
    for (row, column, seed), record in outcomes.items():
        grouped[row, column][seed] = record
    cells = {}
    for key, by_seed in grouped.items():
        done = {seed: record for seed, record in sorted(by_seed.items()) if record["status"] == "ok"}
        cells[key] = Cell(
            {seed: record["metrics"][f"{record['metric']}/test"] for seed, record in done.items()},
            tuple(record["error"] for record in by_seed.values() if record["status"] != "ok"),
            {seed: _seconds(record) for seed, record in done.items() if "seconds" in record},
            {seed: memory for seed, record in done.items() if (memory := _memory(record)) is not None},
        )
    return cells


def _seconds(record: Record) -> float:
    """The whole run, without what was said of its embedding on the side, which some records count."""
    return float(record["seconds"]["total"] - record["seconds"].get("describe", 0.0))


def _memory(record: Record) -> float | None:
    """Peak memory in MB, of the device that was trained on."""
    return record.get("peak_cuda_mb", record.get("peak_mb"))


def _machines(records: Iterable[Record]) -> tuple[str, ...]:
    """What the records were computed on."""
    found = set()
    for record in records:
        if "env" in record:
            env = record["env"]
            threads = f"{env['threads']} thread{'s' if env['threads'] != 1 else ''}"
            device = env["device"] if env["device"] != "cpu" else env.get("processor", "cpu")
            found.add(f"{device}, {env['platform']}, {threads}")
    return tuple(sorted(found))


def _columns(records: Iterable[Record]) -> set[Column]:
    """The columns that scores open; rows without a probe of their own open one only where nothing else does."""
    done = [record for record in records if record["status"] == "ok"]
    probed = {_column(record) for record in done if record["run"]["probe"]["name"] not in PROBELESS}
    places = {replace(column, probe="") for column in probed}
    for record in done:
        column = _column(record)
        if replace(column, probe="") not in places:
            probed.add(column)
    return probed


def _column(record: Record) -> Column:
    run = record["run"]
    return Column(
        run["dataset"],
        run["split"],
        record["metric"],
        run["protocol"],
        record["dataset"]["fingerprint"],
        _probe(run),
        *_attack(run),
    )


def _attack(run: Mapping[str, Any]) -> tuple[str, float, str]:
    """What is done to the graph, how much of it, and in which unit."""
    return _described_attack(json.dumps(run["attack"], sort_keys=True)) if run.get("attack") else ("", 0.0, "")


@cache
def _described_attack(text: str) -> tuple[str, float, str]:
    values = json.loads(text)
    try:
        attack = decode(Attack, values)
        return attack.family, attack.strength, attack.unit
    except RequestError:
        # of a distribution that is not installed here, or of another version: by its settings as they are
        return f"{values.get('name', '?')} {digest(values)[:6]}, {values.get('when', '?')}", 1.0, "?"


def _belongs(record: Record, column: Column) -> bool:
    """Whether a record counts in a column; some rows have no probe, and a failed run no content to differ in."""
    run = record["run"]
    same = (run["dataset"], run["split"], run["protocol"]) == (column.dataset, column.split, column.protocol)
    same = same and _attack(run) == (column.attack, column.strength, column.unit)
    content = record["status"] != "ok" or record["dataset"]["fingerprint"] == column.fingerprint
    return same and content and (run["probe"]["name"] in PROBELESS or _probe(run) == column.probe)


def _probe(run: dict[str, Any]) -> str:
    """The probe, with whatever differs from its settings for the data set."""
    settings = dict(run["probe"])
    name = settings.pop("name")
    probes = entries("probes")
    if name not in probes:
        return name
    usual = encode(probes[name].preset(preset_for(probes[name], run["dataset"])))
    changed = [f"{key}={value}" for key, value in settings.items() if usual.get(key, value) != value]
    return f"{name} ({', '.join(sorted(changed))})" if changed else name


def _row(run: dict[str, Any], recipes: dict[str, Any]) -> str:
    """The method, the features it was given, and the preset it took, or else whatever differs from its settings."""
    name, given = run["method"], _given(run.get("features"))
    if name not in recipes:
        return f"{name} ({given})" if given else name
    recipe, settings = recipes[name], _flat(run["settings"])
    changed = _changed(settings, recipe, preset_for(recipe, run["dataset"]))
    taken = next((preset for preset in recipe.presets if changed and not _changed(settings, recipe, preset)), None)
    told = [*([given] if given else []), *(changed if taken is None else [f"preset {taken}"])]
    return f"{name} ({', '.join(told)})" if told else name


def _given(features: dict[str, Any] | None) -> str:
    """The sources of features, each with the settings that are not its defaults."""
    if features is None:
        return ""
    sources = entries("features")
    names = []
    for part in features["sources"]:
        usual = encode(sources[part["name"]]()) if part["name"] in sources else {}
        own = [
            f"{key}={value}"
            for key, value in _flat(part).items()
            if key != "name" and not _is_how(key) and _flat(usual).get(key) != value
        ]
        names.append(f"{part['name']}[{' '.join(own)}]" if own else part["name"])
    more = [f"{key}={features[key]}" for key in ("spread", "principal") if features.get(key) not in (None, "raw")]
    return " ".join(["features=" + "+".join(names), *more])


def _changed(settings: dict[str, Any], recipe: Any, preset: str) -> list[str]:
    """The settings that differ from a preset's; those that one of the two does not know are no difference."""
    usual = _flat(encode(recipe.preset(preset)))
    differ = {key: value for key, value in settings.items() if usual.get(key, value) != value}
    return sorted(f"{key}={value}" for key, value in differ.items() if not (recipe.reads_text and _is_how(key)))


def _is_how(key: str) -> bool:
    """Whether a setting of features says how they are come by: such runs have one id, and one row."""
    return not key.startswith("plan.") and key.rpartition(".")[2] in HOW_COME_BY


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in values.items():
        out.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value})
    return out
