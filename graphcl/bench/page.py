"""A whole report: the table of the records and everything that is to be said about it."""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from rich.console import Console

from graphcl.bench.bias import bias_section, legacy_bias
from graphcl.bench.fidelity import Fidelity, compare_with_published
from graphcl.bench.ranks import LEVELS, rank, rank_section
from graphcl.bench.report import Report, summarise
from graphcl.bench.robustness import robustness_sections
from graphcl.bench.run import Record
from graphcl.bench.section import Section

__all__ = ["Page"]


@dataclass(frozen=True)
class Page:
    """A report with its sections: beaten by a control, ranks, curves under attack, costs, bias, published numbers.

    Args:
        report: the table.
        fidelity: the comparison with published numbers, where it was asked for.
    """

    report: Report
    fidelity: Fidelity | None = None

    @classmethod
    def of(cls, records: Iterable[Record], published: bool = False) -> Self:
        """Of records, beside published numbers if wanted.

        Raises:
            RequestError: there are no records.
        """
        report = summarise(records)
        return cls(report, compare_with_published(report) if published else None)

    @property
    def sections(self) -> list[Section]:
        """Those that have something to say."""
        made = [
            self.report.beaten_by_controls(),
            *(rank_section(self.report, level) for level in LEVELS),
            *robustness_sections(self.report),
            self.report.costs(),
            bias_section(self.report, legacy_bias(self.report)),
            *(self.fidelity.sections if self.fidelity is not None else []),
        ]
        return [section for section in made if section is not None]

    def print(self, console: Console) -> None:
        """Onto a terminal."""
        console.print(self.report.table())
        for note in self.report.footnotes:
            console.print(note, markup=False, highlight=False)
        for section in self.sections:
            console.print("", section.table() if section.rows else section.title)
            for note in section.notes:
                console.print(note, markup=False, highlight=False)

    def markdown(self) -> str:
        """As Markdown."""
        return "\n".join([self.report.markdown(), *(section.markdown() for section in self.sections)])

    def html(self) -> str:
        """As a web page."""
        console = Console(record=True, width=max(200, 60 + 30 * len(self.report.columns)), file=io.StringIO())
        self.print(console)
        return console.export_html()

    def plain(self) -> dict[str, Any]:
        """As plain JSON values."""
        ranks = {level: rank(self.report, level=level) for level in LEVELS}
        return {
            "cells": self.report.plain(),
            "missing": {self.report.place(column): rows for column, rows in self.report.missing.items()},
            "ranks": {level: found.plain() for level, found in ranks.items() if found is not None},
            "bias": [bias.plain() for bias in legacy_bias(self.report)],
            "published": self.fidelity.plain() if self.fidelity is not None else None,
        }
