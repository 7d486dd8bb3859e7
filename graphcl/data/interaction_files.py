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

from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graphcl.data.interaction_columns import assembled, floats_of, ids_of, require, row_place
from graphcl.data.interaction_table import Table, first_line, sniffed
from graphcl.data.interactions import Interactions
from graphcl.errors import DataError, MissingExtraError, RequestError
from graphcl.seeding import imported

__all__ = ["from_adjacency_text", "from_csv", "from_frame", "from_inter", "from_lenskit", "from_parquet", "to_inter"]

_LARGEST = 2**31 - 1
_MANY = 1 << 16
"""Rows that are written at a time."""


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
    first = first_line(path)
    found = separator or sniffed(first, wanted, columns)
    table = Table(path, found, titled=columns is None)
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
    table = Table(path, "\t", quoted=False)
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
        floats_of(frame[column].to_numpy(), column, "LensKit", row_place) if column in frame.columns else None
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


def _existing(path: Path | str) -> Path:
    path = Path(path)
    if not path.is_file():
        raise RequestError(f"{path}: no such file")
    return path


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
    require(source, (user, item, rating, time), columns)
    ids = [ids_of(column(name), name, source) for name in (user, item)]
    ratings, times = (
        None if name is None else floats_of(column(name), name, source, row_place) for name in (rating, time)
    )
    return assembled(source, ids[0], ids[1], ratings, times, least_rating, row_place)


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
