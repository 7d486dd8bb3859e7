"""Text files whose lines are fields: read piece by piece, or at once where every id is a whole number."""

import csv
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np

from graphcl.data.interaction_columns import assembled, counter, float_of, of_integers, of_tokens, require
from graphcl.data.interactions import Interactions
from graphcl.errors import DataError

__all__: list[str] = []  # shared by the readers: found through `graphcl.data.interaction_files`

_SEPARATORS = ("\t", ",", ";", "|", "::", " ")
_ROWS = 500
"""Rows of a text file that are held as Python objects at a time: fewer than wake the garbage collector."""
_BLOCK = 1 << 22
"""Bytes that are looked through at a time."""


def first_line(path: Path) -> str:
    """The first line with anything in it."""
    try:
        with path.open(encoding="utf-8-sig") as stream:
            line = next((line for line in stream if line.strip()), "")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: no UTF-8 text ({error}); convert it") from None
    if not line:
        raise DataError(f"{path}: is empty")
    return line.rstrip("\r\n")


def _blanks(separator: str) -> str | None:
    return None if separator == " " else separator


def _fields(line: str, separator: str) -> list[str]:
    if len(separator) == 1 and separator != " ":
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    return line.split(_blanks(separator))


def sniffed(line: str, wanted: Sequence[str], columns: Sequence[str] | None) -> str:
    """The separator with which the first line holds the columns, else the one that parts it into the most fields."""
    parted = {separator: _fields(line, separator) for separator in _SEPARATORS}
    for separator, fields in parted.items():
        if len(fields) == len(columns) if columns is not None else set(wanted) <= set(fields):
            return separator
    return max(parted, key=lambda separator: len(parted[separator]))


@dataclass(frozen=True)
class Table:
    """Lines of fields, read piece by piece: ids are numbered as they come in, and no line is kept."""

    path: Path
    separator: str
    titled: bool = True
    quoted: bool = True

    def header(self) -> list[str]:
        """The fields of the first line."""
        return _fields(first_line(self.path), self.separator)

    def _rows(self, stream: TextIO) -> Iterator[list[str]]:
        if len(self.separator) > 1 or self.separator == " ":
            return (line.rstrip("\r\n").split(_blanks(self.separator)) for line in stream)
        if self.quoted:
            return csv.reader(stream, delimiter=self.separator, skipinitialspace=True, strict=True)
        return csv.reader(stream, delimiter=self.separator, quoting=csv.QUOTE_NONE)

    def _open(self) -> TextIO:
        return self.path.open(encoding="utf-8-sig", newline="")

    def line(self, row: int) -> str:
        """The line of a row, in words; the file is read once more, which only a refusal has to wait for."""
        with self._open() as stream:
            rows = self._rows(stream)
            for number, fields in enumerate(rows, start=1):
                if _is_blank(fields):
                    continue
                row -= 1
                if row + self.titled < 0:
                    return f"line {getattr(rows, 'line_num', number)}"
        return "at the end"

    def read(
        self,
        names: Sequence[str],
        user: str,
        item: str,
        rating: str | None,
        time: str | None,
        least_rating: float | None,
    ) -> Interactions:
        """The rows as interactions; ``names`` are all columns, and the others say which of them are what."""
        source = str(self.path)
        require(source, (user, item, rating, time), names)
        plain = self._plain(names, (user, item), [name for name in (rating, time) if name is not None])
        if plain is not None:
            numbered = [of_integers(plain[name]) for name in (user, item)]
            values = [None if name is None else plain[name] for name in (rating, time)]
            return assembled(source, numbered[0], numbered[1], values[0], values[1], least_rating, self.line)
        ids = {name: counter() for name in (user, item)}
        codes: dict[str, list[np.ndarray]] = {name: [] for name in ids}
        floats: dict[str, list[np.ndarray]] = {name: [] for name in (rating, time) if name is not None}
        done = 0
        for rows in self._pieces(len(names)):
            columns = dict(zip(names, zip(*rows, strict=True), strict=True))
            for name, numbers in ids.items():
                codes[name].append(np.fromiter(map(numbers.__getitem__, columns[name]), np.int64, len(rows)))
                if "" in numbers:
                    raise DataError(f"{source}: {self.line(done + columns[name].index(''))}: '{name}' is missing")
            for name, pieces in floats.items():
                pieces.append(self._numbers(columns[name], name, done))
            done += len(rows)
        if not done:
            raise DataError(f"{source}: holds no rows")
        users, items = (of_tokens(np.concatenate(codes[name]), list(ids[name])) for name in (user, item))
        ratings, times = (None if name is None else np.concatenate(floats[name]) for name in (rating, time))
        return assembled(source, users, items, ratings, times, least_rating, self.line)

    def _plain(self, names: Sequence[str], ids: Sequence[str], floats: Sequence[str]) -> dict[str, np.ndarray] | None:
        """All rows at once where every id is a whole number, as in most files; ``None`` where one must look closer.

        Whatever is not as it should be is left to the careful way, which can say what it is and in which line.
        """
        if len(self.separator) > 1 or _is_odd(self.path):
            return None
        kinds = {**dict.fromkeys(floats, "f8"), **dict.fromkeys(ids, "i8")}
        try:
            with warnings.catch_warnings():
                # a decimal point in a whole number is but a warning, and so is a file without rows
                warnings.simplefilter("error")
                rows = np.loadtxt(
                    self.path,
                    # other columns keep one byte, so that the number of fields is checked in every line
                    dtype=[(str(place), kinds.get(name, "S1")) for place, name in enumerate(names)],
                    delimiter=_blanks(self.separator),
                    comments=None,
                    skiprows=int(self.titled),
                    encoding="ascii",
                    ndmin=1,
                )
        except (ValueError, Warning):
            return None
        # copies: a column inside of the rows does not lie where torch may read it, not even one of a single row
        return {name: rows[str(names.index(name))].copy() for name in kinds}

    def _pieces(self, width: int) -> Iterator[list[list[str]]]:
        """The rows below the header, some at a time, all of one width."""
        done, skipped = 0, not self.titled
        with self._open() as stream:
            rows = self._rows(stream)
            try:
                while piece := list(islice(rows, _ROWS)):
                    if set(map(len, piece)) != {width} or not skipped:
                        piece = [fields for fields in piece if not _is_blank(fields)]
                        if not skipped and piece:
                            piece, skipped = piece[1:], True
                        self._check_width(piece, width, done)
                    done += len(piece)
                    if piece:
                        yield piece
            except (csv.Error, UnicodeDecodeError) as error:
                line = getattr(rows, "line_num", None)
                where = "" if line is None else f" after line {line}"
                raise DataError(f"{self.path}: cannot be read{where} ({error})") from None

    def _check_width(self, rows: list[list[str]], width: int, done: int) -> None:
        for number, fields in enumerate(rows):
            if len(fields) != width:
                text = self.separator.join(fields)
                other = next((one for one in _SEPARATORS if len(_fields(text, one)) == width), None)
                hint = f"the line is parted by {other!r}" if other else "a line cut short, or a stray separator"
                raise DataError(
                    f"{self.path}: {self.line(done + number)}: {len(fields)} fields, expected {width} parted by "
                    f"{self.separator!r}; {hint}"
                )

    def _numbers(self, tokens: Sequence[str], name: str, done: int) -> np.ndarray:
        try:
            return np.fromiter(map(float, tokens), np.float64, len(tokens))
        except ValueError:
            for number, token in enumerate(tokens):
                try:
                    float(token)
                except ValueError:
                    float_of(token, name, str(self.path), self.line(done + number))
            raise


def _is_odd(path: Path) -> bool:
    """Whether a file may hold "+7", "007" or "-0", or letters beyond ASCII.

    NumPy's reader takes the first two for 7, and crashes on some letters where a number should stand.
    """
    # a zero leads where a digit follows, and neither a digit nor a point is before it
    kind = np.zeros(256, dtype=np.uint8)
    kind[ord("1") : ord("9") + 1], kind[ord("0")], kind[ord(".")], kind[ord("-")] = 1, 2, 4, 8
    content = np.memmap(path, dtype=np.uint8, mode="r")
    for begin in range(0, len(content), _BLOCK):
        # each block sees one byte of its neighbours, the first a line break
        block = content[max(0, begin - 1) : begin + _BLOCK + 1]
        kinds = kind[block if begin else np.concatenate([np.array([10], dtype=np.uint8), block])]
        before, here, behind = kinds[:-2], kinds[1:-1], kinds[2:]
        leads = (here == 2) & ((before == 8) | ((before == 0) & ((behind & 3) > 0)))
        if leads.any() or ((block == ord("+")) | (block > 127)).any():
            return True
    return False


def _is_blank(fields: list[str]) -> bool:
    return not fields or fields == [""]
