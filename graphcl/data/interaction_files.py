"""Interactions from tables, text files and LensKit, and back to RecBole's format.

| reader | takes |
|---|---|
| `from_frame` | a pandas or polars data frame |
| `from_csv` | text with a separator: a header line, or columns named by the caller |
| `from_parquet` | a Parquet file (extra `recsys`) |
| `from_inter` | RecBole's atomic file, tabs and a header `user_id:token item_id:token rating:float timestamp:float` |
| `from_adjacency_text` | LightGCN's `train.txt` and `test.txt`, one `user item item ...` a line |
| `from_lenskit` | a `lenskit.data.Dataset` |

| rule | what is done |
|---|---|
| ids that are whole numbers | numbered by their size; where they are 0, 1, 2, … without a gap, they are the numbers |
| any other id, or one beyond 64 bits | a name, as all of its column: kept, and numbered in the order of the first row |
| "007" or "+7" in a text file | a name, as "7" is another one; so all ids of that column are names |
| the same pair more than once | the earliest stays: by time where there are times, else the first row |
| a negative rating | refused with its row or line, unless `least_rating` drops it |
| a missing id, rating or time, or one that is not finite | refused with its row or line |
| lines with another number of fields | refused with the line: a second separator, or a line cut short |
| a user (item) all of whose rows `least_rating` drops | is not numbered |
| a user without items, an item only in test, a gap in the numbers (`from_adjacency_text`) | is numbered |
"""

import csv
import re
import warnings
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch

from graphcl.data.interactions import Interactions
from graphcl.errors import DataError, MissingExtraError, RequestError
from graphcl.seeding import imported

__all__ = ["from_adjacency_text", "from_csv", "from_frame", "from_inter", "from_lenskit", "from_parquet", "to_inter"]

_SEPARATORS = ("\t", ",", ";", "|", "::", " ")
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,18}")
_LARGEST = 2**31 - 1
_EXACT = 2.0**53
"""Up to here every whole number is a float."""
_ROWS = 500
"""Rows of a text file that are held as Python objects at a time: fewer than wake the garbage collector."""
_MANY = 1 << 16
"""Rows that are written at a time."""
_SLACK = 1 << 16
"""Numbers below which a table with a place for each costs nothing."""
_BLOCK = 1 << 22
"""Bytes that are looked through at a time."""

_Place = Callable[[int], str]
"""From the number of a row to the words that name it in a message."""


@dataclass(frozen=True)
class _Column:
    """Ids of all rows: numbers from 0 in their order, and the id of each number (``int64``, or objects)."""

    codes: np.ndarray
    names: np.ndarray


def from_frame(
    frame: Any,
    user: str = "user_id",
    item: str = "item_id",
    rating: str | None = None,
    time: str | None = None,
    least_rating: float | None = None,
) -> Interactions:
    """Interactions from a data frame: pandas, polars, or whatever has ``columns`` and ``frame[name].to_numpy()``.

    Args:
        frame: one row a pair.
        user: the column of users; whole numbers, or names.
        item: the column of items.
        rating: the column of ratings, 0 or more; ``None`` for none.
        time: the column of times, numbers or dates (then seconds since 1970); ``None`` for none.
        least_rating: drop rows below it: what counts as liking.

    Raises:
        DataError: no such column, no rows, or a value that the rules above refuse.
        RequestError: ``least_rating`` without ``rating``, or negative.

    Example:
        >>> from types import SimpleNamespace
        >>> class Frame(dict):  # as pandas and polars have it
        ...     columns = property(list)
        ...     __getitem__ = lambda self, name: SimpleNamespace(to_numpy=lambda: np.array(self.get(name)))
        >>> seen = from_frame(Frame(user_id=["eve", "bob", "eve"], item_id=[9, 5, 5]))
        >>> seen.user_ids.tolist(), seen.item_ids.tolist(), seen.users.tolist(), seen.items.tolist()
        (['eve', 'bob'], [5, 9], [0, 0, 1], [0, 1, 0])
    """
    names = [str(name) for name in frame.columns]

    def column(name: str) -> np.ndarray:
        values = frame[name]
        if not hasattr(values, "to_numpy"):
            raise DataError(f"the frame: column '{name}' has no to_numpy(); give a pandas or polars data frame")
        return np.asarray(values.to_numpy())

    return _from_columns("the frame", names, column, user, item, rating, time, least_rating)


def from_parquet(
    path: Path | str,
    user: str = "user_id",
    item: str = "item_id",
    rating: str | None = None,
    time: str | None = None,
    least_rating: float | None = None,
) -> Interactions:
    """Interactions from a Parquet file; only the columns asked for are read.

    Args:
        path: the file.
        user: see `from_frame`, as all others.
        item: the column of items.
        rating: the column of ratings.
        time: the column of times.
        least_rating: drop rows below it.

    Raises:
        MissingExtraError: pyarrow is not installed.
        DataError: no Parquet file, or what `from_frame` refuses.
        RequestError: no such file.
    """
    path = _existing(path)
    try:
        parquet = imported("pyarrow.parquet")
    except ImportError:
        raise MissingExtraError("pyarrow", "recsys") from None
    try:
        with parquet.ParquetFile(path) as file:
            names = list(file.schema_arrow.names)
            table = file.read(columns=[name for name in names if name in (user, item, rating, time)])
    except (ValueError, OSError) as error:  # pyarrow's own errors descend from these
        raise DataError(f"{path}: no readable Parquet file ({type(error).__name__}: {error})") from None
    return _from_columns(
        str(path), names, lambda name: np.asarray(table[name].to_numpy()), user, item, rating, time, least_rating
    )


def from_csv(
    path: Path | str,
    user: str = "user_id",
    item: str = "item_id",
    rating: str | None = None,
    time: str | None = None,
    least_rating: float | None = None,
    *,
    separator: str | None = None,
    columns: Sequence[str] | None = None,
) -> Interactions:
    r"""Interactions from a text file with one row a line, UTF-8, fields quoted where need be.

    Args:
        path: the file.
        user: the column of users.
        item: the column of items.
        rating: the column of ratings, 0 or more; ``None`` for none.
        time: the column of times, numbers; ``None`` for none.
        least_rating: drop rows below it: what counts as liking.
        separator: between fields, of any length (``"::"``), ``" "`` meaning any run of blanks; ``None`` finds it in
            the first line: tab, comma, semicolon, bar, ``::`` or blank.
        columns: the names of the columns, for a file without a header line.

    Raises:
        DataError: no such column, no rows, no UTF-8, or a line that the rules above refuse.
        RequestError: no such file, ``least_rating`` without ``rating`` or negative, or an empty separator.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "ratings.dat")
        ...     _ = path.write_text("1::31::4.5::0\n1::29::1.0::5\n")
        ...     liked = from_csv(path, "u", "i", "stars", least_rating=4, columns=["u", "i", "stars", "time"])
        >>> liked.item_ids, liked.ratings
        (array([31]), tensor([4.5000]))
    """
    path = _existing(path)
    wanted = [name for name in (user, item, rating, time) if name is not None]
    if separator == "":
        raise RequestError("from_csv: the separator is empty; name it, or leave it out to have it found")
    first = _first_line(path)
    found = separator or _sniffed(first, wanted, columns)
    table = _Table(path, found, titled=columns is None)
    return table.read(table.header() if columns is None else list(columns), user, item, rating, time, least_rating)


def from_inter(
    path: Path | str,
    user: str = "user_id",
    item: str = "item_id",
    rating: str | None = "rating",
    time: str | None = "timestamp",
    least_rating: float | None = None,
) -> Interactions:
    r"""Interactions from RecBole's atomic file: tabs, no quoting, and a header of ``name:type``.

    Args:
        path: the ``.inter`` file.
        user: the field of users.
        item: the field of items.
        rating: the field of ratings; it may be absent.
        time: the field of times; it may be absent.
        least_rating: drop rows below it: what counts as liking.

    Raises:
        DataError: a header without types, or what `from_csv` refuses.
        RequestError: as in `from_csv`.

    Reference:
        https://recbole.io/docs/user_guide/data/atomic_files.html

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "tiny.inter")
        ...     _ = path.write_text("user_id:token\titem_id:token\nann\t10\nbob\t10\n")
        ...     from_inter(path).user_ids.tolist()
        ['ann', 'bob']
    """
    path = _existing(path)
    table = _Table(path, "\t", quoted=False)
    fields = [field.partition(":") for field in table.header()]
    untyped = [name for name, colon, _ in fields if not colon]
    if untyped:
        raise DataError(f"{path}: header field '{untyped[0]}' has no type; write it like user_id:token")
    names = [name for name, _, _ in fields]
    for name, _, kind in fields:
        if name in (user, item) and kind != "token":
            raise DataError(f"{path}: field {name} is of type {kind}; users and items are tokens, one a row")
    return table.read(
        names, user, item, rating if rating in names else None, time if time in names else None, least_rating
    )


def to_inter(interactions: Interactions, path: Path | str) -> None:
    """Write RecBole's atomic file: each pair by its ids, with rating and time where there are some.

    Users and items without a pair, and what is said about items, have no place in that format.

    Args:
        interactions: what is written.
        path: the ``.inter`` file; an old one is overwritten.

    Raises:
        DataError: an id with a tab or a line break in it, or an empty one.

    Example:
        >>> import tempfile
        >>> seen = Interactions(users=[0, 1], items=[1, 0], num_users=2, num_items=2, ratings=[3.5, 4])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     to_inter(seen, Path(folder, "tiny.inter"))
        ...     from_inter(Path(folder, "tiny.inter")).ratings
        tensor([3.5000, 4.0000])
    """
    users = _spelt(interactions.user_ids, interactions.num_users)
    items = _spelt(interactions.item_ids, interactions.num_items)
    numbers = {"rating:float": interactions.ratings, "timestamp:float": interactions.times}
    held = {name: values.numpy() for name, values in numbers.items() if values is not None}
    with Path(path).open("w", encoding="utf-8", newline="") as stream:
        stream.write("\t".join(["user_id:token", "item_id:token", *held]) + "\n")
        for begin in range(0, len(interactions), _MANY):
            rows = slice(begin, begin + _MANY)
            columns = [
                [users[number] for number in interactions.users[rows].tolist()],
                [items[number] for number in interactions.items[rows].tolist()],
                *(_digits(values[rows]) for values in held.values()),
            ]
            stream.writelines("\t".join(row) + "\n" for row in zip(*columns, strict=True))


def _digits(values: np.ndarray) -> list[str]:
    """The shortest digits that come back to the same number of that precision; most numbers stand there often."""
    distinct, number = np.unique(values, return_inverse=True)
    words = [str(value).removesuffix(".0") for value in distinct]
    return [words[one] for one in number.tolist()]


def from_adjacency_text(train_path: Path | str, test_path: Path | str) -> tuple[Interactions, Interactions]:
    r"""LightGCN's two files: a line is a user and the items of that user, in whole numbers from 0.

    The numbering covers both files and every number below the largest, whether or not it occurs: users without items
    stay, and so do items that are only in test.

    Args:
        train_path: ``train.txt``.
        test_path: ``test.txt``.

    Returns:
        The training and the test part.

    Raises:
        DataError: a token that is no whole number from 0 to 2³¹ - 1 (with its line), or no pair in a file.
        RequestError: no such file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     files = Path(folder, "train.txt"), Path(folder, "test.txt")
        ...     _ = files[0].write_text("0 2 0\n1\n"), files[1].write_text("1 3\n")
        ...     from_adjacency_text(*files)
        (Interactions(2 of 2 users with 4 items), Interactions(1 of 2 users with 4 items))
    """
    read = [_adjacency(_existing(path)) for path in (train_path, test_path)]
    num_users = 1 + max(largest for _, _, largest in read)
    num_items = 1 + max(int(items.max()) for _, items, _ in read)
    train, test = (
        Interactions(
            users=torch.from_numpy(users), items=torch.from_numpy(items), num_users=num_users, num_items=num_items
        )
        for users, items, _ in read
    )
    return train, test


def from_lenskit(dataset: Any, name: str | None = None) -> Interactions:
    """Interactions from LensKit: its numbering, its ids, and ratings and times where it has some.

    Args:
        dataset: a ``lenskit.data.Dataset``.
        name: which of its interactions; ``None`` for its default.

    Raises:
        DataError: what `from_frame` refuses.
    """
    frame = dataset.interactions(name).pandas()
    ratings, times = (
        _floats(frame[column].to_numpy(), column, "LensKit", _row) if column in frame.columns else None
        for column in ("rating", "timestamp")
    )
    return Interactions(
        users=torch.from_numpy(frame["user_num"].to_numpy().astype(np.int64)),
        items=torch.from_numpy(frame["item_num"].to_numpy().astype(np.int64)),
        num_users=dataset.user_count,
        num_items=dataset.item_count,
        user_ids=np.asarray(dataset.users.ids()),
        item_ids=np.asarray(dataset.items.ids()),
        times=None if times is None else torch.from_numpy(times),
        ratings=None if ratings is None else torch.from_numpy(ratings),
    )


def _row(number: int) -> str:
    return f"row {number} (from 0)"


def _existing(path: Path | str) -> Path:
    path = Path(path)
    if not path.is_file():
        raise RequestError(f"{path}: no such file")
    return path


def _require(source: str, wanted: Iterable[str | None], columns: Sequence[str]) -> None:
    for name in wanted:
        if name is not None and name not in columns:
            raise DataError(f"{source}: no column '{name}'; it has: {', '.join(columns)}")


def _from_columns(
    source: str,
    columns: Sequence[str],
    column: Callable[[str], np.ndarray],
    user: str,
    item: str,
    rating: str | None,
    time: str | None,
    least_rating: float | None,
) -> Interactions:
    _require(source, (user, item, rating, time), columns)
    ids = [_ids(column(name), name, source) for name in (user, item)]
    ratings, times = (None if name is None else _floats(column(name), name, source, _row) for name in (rating, time))
    return _assembled(source, ids[0], ids[1], ratings, times, least_rating, _row)


def _assembled(
    source: str,
    users: _Column,
    items: _Column,
    ratings: np.ndarray | None,
    times: np.ndarray | None,
    least_rating: float | None,
    place: _Place,
) -> Interactions:
    if not len(users.codes):
        raise DataError(f"{source}: holds no rows")
    for what, values in (("rating", ratings), ("time", times)):
        if values is not None and not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values)))
            raise DataError(f"{source}: {place(row)}: the {what} is {values[row]}; mend the row or take it out")
    if least_rating is not None:
        if ratings is None or least_rating < 0:
            why = "input should be 0 or more" if ratings is not None else "say which column holds the rating"
            raise RequestError(f"least_rating = {least_rating}: {why}")
        kept = ratings >= least_rating
        if not kept.any():
            raise DataError(f"{source}: no rating reaches {least_rating:g}; the highest is {ratings.max():g}")
        users, items = (_Column(column.codes[kept], column.names) for column in (users, items))
        ratings, times = ratings[kept], None if times is None else times[kept]
    elif ratings is not None and (ratings < 0).any():
        row = int(np.argmax(ratings < 0))
        raise DataError(
            f"{source}: {place(row)}: the rating {ratings[row]:g} is negative; least_rating=0 drops such rows"
        )
    user_numbers, user_ids, num_users = _compact(users)
    item_numbers, item_ids, num_items = _compact(items)
    return Interactions(
        users=torch.from_numpy(user_numbers),
        items=torch.from_numpy(item_numbers),
        num_users=num_users,
        num_items=num_items,
        user_ids=user_ids,
        item_ids=item_ids,
        times=None if times is None else torch.from_numpy(times),
        ratings=None if ratings is None else torch.from_numpy(ratings),
    )


def _compact(column: _Column) -> tuple[np.ndarray, np.ndarray | None, int]:
    """Numbers, ids and their count without what no row holds any more; no ids where they are the numbers."""
    codes, names = column.codes, column.names
    held = np.bincount(codes, minlength=len(names)) > 0
    if not held.all():
        codes, names = (np.cumsum(held) - 1)[codes], names[held]
    plain = names.dtype != object and bool((names == np.arange(len(names))).all())
    return codes, None if plain else names, len(names)


def _ids(values: np.ndarray, what: str, source: str) -> _Column:
    """Whole numbers by size, anything else in the order of its first row."""
    if values.ndim != 1:
        raise DataError(f"{source}: column '{what}' is {list(values.shape)}; there must be one of that name")
    kind = values.dtype.kind
    if kind == "f":
        missing = ~np.isfinite(values)
        wrong = missing | (values != np.floor(values)) | (np.abs(values) > _EXACT)
        if wrong.any():
            row = int(np.argmax(missing if missing.any() else wrong))
            raise DataError(
                f"{source}: {_row(row)}: '{what}' is {values[row]}, no id; take the row out, or make the column whole "
                "numbers or strings"
            )
        values = values.astype(np.int64)
    elif kind in "OUST":
        values = _uniform(values.astype(object), what, source)
    elif kind not in "iu":
        raise DataError(f"{source}: column '{what}' is {values.dtype}; ids are whole numbers or strings")
    if values.dtype.kind in "iu":
        if not len(values) or int(values.max()) < 2**63:
            return _of_integers(values.astype(np.int64))
        values = values.astype(str).astype(object)
    numbers = _counter()
    codes = np.fromiter(map(numbers.__getitem__, values.tolist()), np.int64, len(values))
    return _Column(codes, _objects(list(numbers)))


def _uniform(values: np.ndarray, what: str, source: str) -> np.ndarray:
    """Objects of one kind: int64 where they are whole numbers that fit, strings where they do not fit."""
    kinds = set(map(type, values.tolist()))
    unfit = [kind.__name__ for kind in kinds if kind.__hash__ is None]
    if unfit:
        raise DataError(f"{source}: column '{what}' holds {unfit[0]}; ids are whole numbers or strings")
    for row, value in enumerate(values.tolist()) if _may_miss(kinds) or "" in set(values.tolist()) else ():
        if value is None or value == "" or type(value).__name__ == "NAType" or value != value:
            raise DataError(f"{source}: {_row(row)}: '{what}' is missing; take the row out")
    if all(issubclass(kind, int | np.integer) and kind is not bool for kind in kinds):
        try:
            return np.array(values.tolist(), dtype=np.int64)
        except OverflowError:
            return np.array([str(value) for value in values.tolist()], dtype=object)
    if len(kinds) > 1:
        listed = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise DataError(f"{source}: column '{what}' mixes {listed}; make its ids of one kind")
    return values


def _may_miss(kinds: set[type]) -> bool:
    return any(issubclass(kind, float | type(None)) or kind.__name__ == "NAType" for kind in kinds)


def _objects(names: Sequence[Any]) -> np.ndarray:
    """Objects as they are: NumPy's own strings would all take the length of the longest."""
    made = np.empty(len(names), dtype=object)
    made[:] = names
    return made


def _of_integers(values: np.ndarray) -> _Column:
    if not len(values):
        return _Column(values, values)
    low, high = int(values.min()), int(values.max())
    if high - low <= 4 * len(values) + _SLACK:
        present = np.zeros(high - low + 1, dtype=bool)
        present[values - low] = True
        return _Column((np.cumsum(present) - 1)[values - low], np.flatnonzero(present) + low)
    names, codes = np.unique(values, return_inverse=True)
    return _Column(codes, names)


def _counter() -> defaultdict[Any, int]:
    """A mapping that gives each new key the next number."""
    numbers: defaultdict[Any, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    return numbers


def _of_tokens(codes: np.ndarray, tokens: list[str]) -> _Column:
    """Tokens of a text file are whole numbers if all of them are written as such and fit."""
    if all(map(_WHOLE.fullmatch, tokens)):
        try:
            numbers = np.array([int(token) for token in tokens], dtype=np.int64)
        except OverflowError:
            return _Column(codes, _objects(tokens))
        order = np.argsort(numbers)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        return _Column(rank[codes], numbers[order])
    return _Column(codes, _objects(tokens))


def _floats(values: np.ndarray, what: str, source: str, place: _Place) -> np.ndarray:
    if values.dtype.kind == "M":
        seconds = values.astype("datetime64[ns]").astype(np.int64) / 1e9
        return np.where(np.isnat(values), np.nan, seconds)
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError):
        return np.array([_float(value, what, source, place(row)) for row, value in enumerate(values.tolist())])


def _float(value: Any, what: str, source: str, where: str) -> float:
    stamp = getattr(value, "timestamp", None)
    try:
        return stamp() if stamp is not None else float(value)
    except (TypeError, ValueError):
        missing = value is None or value == "" or type(value).__name__ == "NAType"
        said = "is missing" if missing else f"is '{value}', no number"
        raise DataError(f"{source}: {where}: '{what}' {said}; mend the row or take it out") from None


def _first_line(path: Path) -> str:
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


def _sniffed(line: str, wanted: Sequence[str], columns: Sequence[str] | None) -> str:
    """The separator with which the first line holds the columns, else the one that parts it into the most fields."""
    parted = {separator: _fields(line, separator) for separator in _SEPARATORS}
    for separator, fields in parted.items():
        if len(fields) == len(columns) if columns is not None else set(wanted) <= set(fields):
            return separator
    return max(parted, key=lambda separator: len(parted[separator]))


@dataclass(frozen=True)
class _Table:
    """Lines of fields, read piece by piece: ids are numbered as they come in, and no line is kept."""

    path: Path
    separator: str
    titled: bool = True
    quoted: bool = True

    def header(self) -> list[str]:
        return _fields(_first_line(self.path), self.separator)

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
        source = str(self.path)
        _require(source, (user, item, rating, time), names)
        plain = self._plain(names, (user, item), [name for name in (rating, time) if name is not None])
        if plain is not None:
            numbered = [_of_integers(plain[name]) for name in (user, item)]
            values = [None if name is None else plain[name] for name in (rating, time)]
            return _assembled(source, numbered[0], numbered[1], values[0], values[1], least_rating, self.line)
        ids = {name: _counter() for name in (user, item)}
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
        users, items = (_of_tokens(np.concatenate(codes[name]), list(ids[name])) for name in (user, item))
        ratings, times = (None if name is None else np.concatenate(floats[name]) for name in (rating, time))
        return _assembled(source, users, items, ratings, times, least_rating, self.line)

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
                    _float(token, name, str(self.path), self.line(done + number))
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


def _spelt(ids: np.ndarray | None, count: int) -> list[str]:
    words = [str(one) for one in (range(count) if ids is None else ids.tolist())]
    for word in words:
        if not word or any(mark in word for mark in "\t\r\n"):
            raise DataError(f"to_inter: the id {word!r} is empty or holds a tab or a line break; rename it")
    return words


def _adjacency(path: Path) -> tuple[np.ndarray, np.ndarray, int]:
    """Users and items of all pairs, and the largest user, with or without items."""
    heads, counts, flat = array("q"), array("q"), array("q")
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            tokens = line.split()
            if not tokens:
                continue
            # bytes hold no other digits than 0 to 9: neither a sign, nor a point, nor an underscore passes
            if not b"".join(tokens).isdigit():
                wrong = next(token for token in tokens if not token.isdigit()).decode(errors="replace")
                raise DataError(
                    f"{path}: line {number}: '{wrong}' is no whole number from 0; expected user item item …"
                )
            values = list(map(int, tokens))
            if max(values) > _LARGEST:
                raise DataError(
                    f"{path}: line {number}: {max(values)} is beyond {_LARGEST}; numbers are places here, from 0: "
                    "number the ids first, or use from_csv"
                )
            heads.append(values[0])
            counts.append(len(values) - 1)
            flat.extend(values[1:])
    if not flat:
        raise DataError(f"{path}: holds no pair; expected lines of user item item …")
    users = np.repeat(np.frombuffer(heads, np.int64), np.frombuffer(counts, np.int64))
    return users, np.frombuffer(flat, np.int64).copy(), max(heads)
