"""Columns of ids, ratings and times, of whatever kind they came, and interactions made of them."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from graphcl.data.interactions import Interactions
from graphcl.errors import DataError, RequestError

__all__: list[str] = []  # shared by the readers: found through `graphcl.data.interaction_files`

_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,18}")
_EXACT = 2.0**53
"""Up to here every whole number is a float."""
_SLACK = 1 << 16
"""Numbers below which a table with a place for each costs nothing."""

Place = Callable[[int], str]
"""From the number of a row to the words that name it in a message."""


@dataclass(frozen=True)
class Column:
    """Ids of all rows: numbers from 0 in their order, and the id of each number (``int64``, or objects)."""

    codes: np.ndarray
    names: np.ndarray


def row_place(number: int) -> str:
    """The words for a row of a frame."""
    return f"row {number} (from 0)"


def require(source: str, wanted: Iterable[str | None], columns: Sequence[str]) -> None:
    """Refuse columns that are not there."""
    for name in wanted:
        if name is not None and name not in columns:
            raise DataError(f"{source}: no column '{name}'; it has: {', '.join(columns)}")


def assembled(
    source: str,
    users: Column,
    items: Column,
    ratings: np.ndarray | None,
    times: np.ndarray | None,
    least_rating: float | None,
    place: Place,
) -> Interactions:
    """Interactions of numbered ids, with what the rules of `interaction_files` refuse or drop."""
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
        users, items = (Column(column.codes[kept], column.names) for column in (users, items))
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


def _compact(column: Column) -> tuple[np.ndarray, np.ndarray | None, int]:
    """Numbers, ids and their count without what no row holds any more; no ids where they are the numbers."""
    codes, names = column.codes, column.names
    held = np.bincount(codes, minlength=len(names)) > 0
    if not held.all():
        codes, names = (np.cumsum(held) - 1)[codes], names[held]
    plain = names.dtype != object and bool((names == np.arange(len(names))).all())
    return codes, None if plain else names, len(names)


def ids_of(values: np.ndarray, what: str, source: str) -> Column:
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
                f"{source}: {row_place(row)}: '{what}' is {values[row]}, no id; take the row out, or make the column "
                "whole numbers or strings"
            )
        values = values.astype(np.int64)
    elif kind in "OUST":
        values = _uniform(values.astype(object), what, source)
    elif kind not in "iu":
        raise DataError(f"{source}: column '{what}' is {values.dtype}; ids are whole numbers or strings")
    if values.dtype.kind in "iu":
        if not len(values) or int(values.max()) < 2**63:
            return of_integers(values.astype(np.int64))
        values = values.astype(str).astype(object)
    numbers = counter()
    codes = np.fromiter(map(numbers.__getitem__, values.tolist()), np.int64, len(values))
    return Column(codes, _objects(list(numbers)))


def _uniform(values: np.ndarray, what: str, source: str) -> np.ndarray:
    """Objects of one kind: int64 where they are whole numbers that fit, strings where they do not fit."""
    kinds = set(map(type, values.tolist()))
    unfit = [kind.__name__ for kind in kinds if kind.__hash__ is None]
    if unfit:
        raise DataError(f"{source}: column '{what}' holds {unfit[0]}; ids are whole numbers or strings")
    for row, value in enumerate(values.tolist()) if _may_miss(kinds) or "" in set(values.tolist()) else ():
        if value is None or value == "" or type(value).__name__ == "NAType" or value != value:
            raise DataError(f"{source}: {row_place(row)}: '{what}' is missing; take the row out")
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


def of_integers(values: np.ndarray) -> Column:
    """Whole numbers, numbered by their size."""
    if not len(values):
        return Column(values, values)
    low, high = int(values.min()), int(values.max())
    if high - low <= 4 * len(values) + _SLACK:
        present = np.zeros(high - low + 1, dtype=bool)
        present[values - low] = True
        return Column((np.cumsum(present) - 1)[values - low], np.flatnonzero(present) + low)
    names, codes = np.unique(values, return_inverse=True)
    return Column(codes, names)


def counter() -> defaultdict[Any, int]:
    """A mapping that gives each new key the next number."""
    numbers: defaultdict[Any, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    return numbers


def of_tokens(codes: np.ndarray, tokens: list[str]) -> Column:
    """Tokens of a text file are whole numbers if all of them are written as such and fit."""
    if all(map(_WHOLE.fullmatch, tokens)):
        try:
            numbers = np.array([int(token) for token in tokens], dtype=np.int64)
        except OverflowError:
            return Column(codes, _objects(tokens))
        order = np.argsort(numbers)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        return Column(rank[codes], numbers[order])
    return Column(codes, _objects(tokens))


def floats_of(values: np.ndarray, what: str, source: str, place: Place) -> np.ndarray:
    """Numbers, or seconds of what are times; NaN for a time that is not there."""
    if values.dtype.kind == "M":
        seconds = values.astype("datetime64[ns]").astype(np.int64) / 1e9
        return np.where(np.isnat(values), np.nan, seconds)
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError):
        return np.array([float_of(value, what, source, place(row)) for row, value in enumerate(values.tolist())])


def float_of(value: Any, what: str, source: str, where: str) -> float:
    """One number, or the seconds of a time; refused by the name of its row."""
    stamp = getattr(value, "timestamp", None)
    try:
        return stamp() if stamp is not None else float(value)
    except (TypeError, ValueError):
        missing = value is None or value == "" or type(value).__name__ == "NAType"
        said = "is missing" if missing else f"is '{value}', no number"
        raise DataError(f"{source}: {where}: '{what}' {said}; mend the row or take it out") from None
