"""Numbers out of files: tables in text, read in one go, and arrays in npz archives; nothing in them runs."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from graphcl.errors import DataError

__all__ = ["read_arrays", "read_table"]

_SEPARATORS = bytes.maketrans(b",\t", b"  ")


def read_table(source: Path | bytes, name: str, *, header: int = 0, dtype: Any = np.int64) -> np.ndarray:
    r"""Read lines that hold the same number of numbers, separated by commas, tabs or blanks.

    Args:
        source: a file, or its content.
        name: how to call it in messages.
        header: lines to skip at the top.
        dtype: of the outcome; with an integer type a decimal point is an error.

    Returns:
        ``[lines, columns]``.

    Raises:
        DataError: anything but numbers in it, or lines of different length.

    Example:
        >>> read_table(b"id id\n1, 2\n3, 4\n", "edges", header=1).tolist()
        [[1, 2], [3, 4]]
    """
    text = (source.read_bytes() if isinstance(source, Path) else source).rstrip()
    for _ in range(header):
        text = text.partition(b"\n")[2]
    if not text:
        raise DataError(f"{name}: holds no rows")
    lines = text.count(b"\n") + 1
    columns = len(text.partition(b"\n")[0].translate(_SEPARATORS).split())
    with warnings.catch_warnings():
        # NumPy warns where text is no number and returns what came before; the size below tells
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            values = np.fromstring(text.translate(_SEPARATORS), dtype=dtype, sep=" ")
        except ValueError as error:
            raise DataError(f"{name}: {error}") from None
    if columns == 0 or values.size != lines * columns:
        raise DataError(
            f"{name}: {values.size} numbers read, expected {lines} lines of {columns}; truncated or no text of numbers"
        )
    return values.reshape(lines, columns)


def read_arrays(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Some arrays of an npz archive by name; nothing else in it is opened, and pickled objects are refused.

    Raises:
        DataError: no archive, truncated, an array is missing or is one of Python objects.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in names}
    except KeyError as error:
        raise DataError(f"{path}: {str(error).strip(chr(34))}") from None
    except Exception as error:  # a damaged archive fails in many ways inside zipfile, zlib and NumPy
        raise DataError(f"{path}: no readable npz archive ({type(error).__name__}: {error})") from None
