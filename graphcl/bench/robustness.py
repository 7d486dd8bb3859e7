"""How scores fall under attack: a curve for each row, its mean, its drop, and the worst over several attacks.

A drop alone can be bought with a low score on the clean graph (raw features do not drop at all), so it never stands
without the mean score under attack.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from graphcl.bench.report import Column, Report, half_width
from graphcl.bench.section import Section
from graphcl.catalogue import entries
from graphcl.evaluate.robustness import area_under_curve

__all__ = ["Curve", "Family", "curves", "robustness_sections"]


@dataclass(frozen=True)
class Family:
    """The columns of one attack on one graph, by its strength; the clean graph has strength 0.

    Args:
        place: data set, split and attack, as a title says it.
        evasion: whether the attack comes after training.
        columns: by strength, ascending.
    """

    place: str
    evasion: bool
    columns: Mapping[float, Column]


@dataclass(frozen=True)
class Curve:
    """What one row scores in a family, by the seeds that it has at every strength.

    Args:
        row: its label.
        scores: by strength, then by seed, in [0, 1].
    """

    row: str
    scores: Mapping[float, Mapping[int, float]]

    @property
    def seeds(self) -> list[int]:
        """Those that are there at every strength."""
        return sorted(set.intersection(*(set(by_seed) for by_seed in self.scores.values())))

    def at(self, strength: float) -> list[float]:
        """The scores by seed."""
        return [self.scores[strength][seed] for seed in self.seeds]

    @property
    def attacked(self) -> list[float]:
        """The mean over the strengths above 0, by seed."""
        return [float(np.mean([self.scores[s][seed] for s in self.scores if s > 0])) for seed in self.seeds]

    @property
    def drop(self) -> list[float]:
        """Clean less attacked, by seed."""
        return [clean - hurt for clean, hurt in zip(self.at(0.0), self.attacked, strict=True)]

    @property
    def area(self) -> list[float]:
        """The area under the curve over the range of strengths, by seed."""
        return [area_under_curve({s: by_seed[seed] for s, by_seed in self.scores.items()}) for seed in self.seeds]


def _families(report: Report) -> list[Family]:
    found: dict[tuple[Any, ...], dict[float, Column]] = defaultdict(dict)
    evasion: dict[tuple[Any, ...], bool] = {}
    for column in report.columns:
        if not any(report.scored(row, column) for row in report.rows):
            continue  # of failed runs alone
        spec = entries("datasets").get(column.dataset)
        here = column.dataset, column.split, column.metric, column.probe, column.protocol
        if column.attack:
            key = (*here, column.attack)
            found[key][column.strength] = column
            clean = replace(column, attack="", strength=0.0, unit="")
            if clean in report.columns:
                found[key][0.0] = clean
            evasion[key] = column.attack.endswith("evasion")
        elif spec is not None and spec.poison is not None:
            key = (spec.poison.clean, *here[1:], spec.poison.attack)
            found[key][spec.poison.share] = column
            evasion[key] = False
    whole = {
        key: dict(sorted(columns.items())) for key, columns in found.items() if 0.0 in columns and len(columns) > 1
    }
    return [
        Family(f"{key[0]} · {key[1]} · {key[2]}{_other(key[3])} · {key[5]}", evasion[key], columns)
        for key, columns in sorted(whole.items())
    ]


def _other(probe: str) -> str:
    return "" if probe == "logistic" else f" · probe {probe}"


def curves(report: Report, family: Family) -> list[Curve]:
    """The rows that have a score at every strength of a family, highest mean under attack first."""
    made = []
    for row in report.rows:
        if all(report.scored(row, column) for column in family.columns.values()):
            curve = Curve(row, {s: report.cells[row, column].values for s, column in family.columns.items()})
            if curve.seeds:
                made.append(curve)
    return sorted(made, key=lambda curve: -float(np.mean(curve.attacked)))


def _text(values: list[float], sign: str = "") -> str:
    spread = f" ± {100 * half_width(values):.1f}" if len(values) > 1 else " (1 seed)"
    return f"{100 * float(np.mean(values)):{sign}.1f}{spread}"


def robustness_sections(report: Report) -> list[Section]:
    """A table for each attack, and one of the worst case where several were made at one strength."""
    families = _families(report)
    made = []
    for family in families:
        rows = []
        for curve in curves(report, family):
            kind = report.rows[curve.row]
            name = curve.row if kind == "method" else f"{curve.row} ({kind})"
            points = (_text(curve.at(strength)) for strength in family.columns)
            rows.append((name, *points, _text(curve.attacked), _text(curve.drop, "+"), _text(curve.area)))
        if rows:
            strengths = [f"{strength:g}" if strength else "clean" for strength in family.columns]
            head = ("method", *strengths, "mean under attack", "drop", "area")
            made.append(Section(f"Under attack: {family.place}", head, tuple(rows), _NOTES))
    return made + _worst(report, [family for family in families if family.evasion])


_NOTES = (
    "Scores in %, mean over seeds ± half the 95 % interval; columns by the strength of the attack. Mean under attack: "
    "over the strengths above 0. Drop: clean less that. Area: under the curve, over the range of strengths.",
)


def _worst(report: Report, families: list[Family]) -> list[Section]:
    """Of the attacks of one strength that were made on one graph, for each seed the one that hurt most."""
    grouped: dict[tuple[Any, ...], list[Column]] = defaultdict(list)
    for family in families:
        for strength, column in family.columns.items():
            if strength:
                grouped[column.dataset, column.split, column.metric, column.probe, column.unit, strength].append(column)
    rows = []
    for (dataset, split, metric, probe, unit, strength), columns in sorted(grouped.items()):
        if len(columns) < 2:
            continue
        for row in report.rows:
            met = [column for column in columns if report.scored(row, column)]
            cells = [report.cells[row, column].values for column in met]
            shared = sorted(set.intersection(*map(set, cells))) if len(cells) > 1 else []
            if shared:
                least = [min(cell[seed] for cell in cells) for seed in shared]
                which = met[int(np.argmin([np.mean([cell[seed] for seed in shared]) for cell in cells]))]
                place = f"{dataset} · {split} · {metric}{_other(probe)} · {unit} {strength:g}"
                lacking = f" ({len(columns) - len(met)} attack without a score)" if len(met) < len(columns) else ""
                rows.append((place, row, _text(least), which.attack.removesuffix(", evasion") + lacking))
    if not rows:
        return []
    notes = ("For each seed the lowest of the scores under these attacks; the last column is lowest on average.",)
    return [Section("Worst case over attacks", ("cell", "method", "score", "attack"), tuple(rows), notes)]
