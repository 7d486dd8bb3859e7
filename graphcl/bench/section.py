"""One part of a report: a table of words with its notes, for the terminal and for Markdown alike."""

from dataclasses import dataclass

from rich.markup import escape
from rich.table import Table

__all__ = ["Section"]


@dataclass(frozen=True)
class Section:
    """A table with a title and notes.

    Args:
        title: what it is about.
        head: titles of the columns.
        rows: one string per column; a title without rows is a list of notes.
        notes: sentences below the table.

    Example:
        >>> print(Section("Ranks", ("rank", "method"), (("1.5", "grace"),), ("lower is better.",)).markdown())
        ### Ranks
        <BLANKLINE>
        | rank | method |
        |---:|---|
        | 1.5 | grace |
        <BLANKLINE>
        lower is better.
        <BLANKLINE>
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    @property
    def _numeric(self) -> list[bool]:
        """Which columns hold numbers alone, and so stand on the right."""
        return [
            bool(self.rows) and all(row[place] == "–" or row[place].lstrip("+-")[:1].isdigit() for row in self.rows)
            for place in range(len(self.head))
        ]

    def table(self) -> Table:
        """For the terminal or an HTML export."""
        table = Table(title=self.title, title_justify="left", title_style="bold")
        for name, right in zip(self.head, self._numeric, strict=True):
            table.add_column(name, justify="right" if right else "left")
        for row in self.rows:
            table.add_row(*map(escape, row))
        return table

    def markdown(self) -> str:
        """As Markdown below a heading of the third level."""
        lines = [f"### {self.title}", ""]
        if self.rows:
            lines += [
                f"| {' | '.join(self.head)} |",
                f"|{'|'.join('---:' if right else '---' for right in self._numeric)}|",
                *(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in self.rows),
                "",
            ]
        for note in self.notes:
            lines += [note, ""]
        return "\n".join(lines)
