"""What selection on test is worth: legacy records less honest ones, seed by seed."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from graphcl.bench.report import Column, Report, half_width
from graphcl.bench.section import Section

__all__ = ["Bias", "bias_section", "legacy_bias"]


@dataclass(frozen=True)
class Bias:
    """Legacy score less honest score of one row in one column.

    Args:
        row: label of the row.
        column: the honest column.
        differences: by seed, in points, over the seeds that both have.
    """

    row: str
    column: Column
    differences: dict[int, float]

    @property
    def mean(self) -> float:
        """The bias in points."""
        return float(np.mean(list(self.differences.values())))

    @property
    def half_width(self) -> float:
        """Half its 95 % interval; NaN with one seed."""
        return half_width(list(self.differences.values()))

    def plain(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "row": self.row,
            "dataset": self.column.dataset,
            "split": self.column.split,
            "probe": self.column.probe,
            "bias": self.mean,
            "half_width": self.half_width if len(self.differences) > 1 else None,
            "seeds": sorted(self.differences),
        }


def legacy_bias(report: Report) -> tuple[Bias, ...]:
    """The bias of every row that has honest and legacy scores of one seed, in one column of the same data.

    Example:
        >>> from graphcl.bench.report import Cell
        >>> honest = Column("cora", "public", "acc", "honest", "f")
        >>> legacy = Column("cora", "public", "acc", "legacy", "f")
        >>> cells = {("grace", honest): Cell({0: 0.81, 1: 0.82}), ("grace", legacy): Cell({0: 0.82, 1: 0.84})}
        >>> (bias,) = legacy_bias(Report((honest, legacy), {"grace": "method"}, cells))
        >>> round(bias.mean, 6)
        1.5
    """
    found = []
    for (row, column), cell in report.cells.items():
        honest = report.cells.get((row, replace(column, protocol="honest")))
        if column.protocol != "legacy" or honest is None:
            continue
        shared = sorted(set(cell.values) & set(honest.values))
        if shared:
            differences = {seed: 100 * (cell.values[seed] - honest.values[seed]) for seed in shared}
            found.append(Bias(row, replace(column, protocol="honest"), differences))
    return tuple(sorted(found, key=lambda bias: (bias.row, bias.column.key)))


def bias_section(report: Report, biases: Iterable[Bias]) -> Section | None:
    """As a table; ``None`` where nothing was run both ways."""
    rows = []
    for bias in biases:
        half = f" ± {bias.half_width:.2f}" if len(bias.differences) > 1 else ""
        rows.append((bias.row, report.place(bias.column), f"{bias.mean:+.2f}{half}", str(len(bias.differences))))
    if not rows:
        return None
    notes = ("Legacy less honest score in points: what choosing the epoch on test is worth. Paired by seed, ± half the "
             "95 % interval.",)  # fmt: skip
    return Section("Bias of selection on test", ("method", "cell", "bias", "seeds"), tuple(rows), notes)
