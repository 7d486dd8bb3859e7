"""The cache of what a model made of a text: one SQLite file for each model and its settings, one row for each text.

A row is found by what it was made of (a hash), never by its place, so that the order of nodes changes nothing. Each is
stored with a checksum: what was damaged on disk is found when it is read, dropped, and made anew. A batch is written in
one transaction, so whoever is killed loses the batch in work and nothing else; those who make rows of one model take
turns, and each finds what the other has made.
"""

import contextlib
import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from graphcl.config import digest
from graphcl.data.store import cache_folder
from graphcl.errors import DataError, UnknownNameError

__all__ = ["CacheState", "RowCache", "cache_states", "prune_cache", "row_key", "verify_cache"]

T = TypeVar("T")

_SUFFIX = ".sqlite"
_ASIDE = ".damaged-"
_CHECK = 16
_AT_ONCE = 500
"""Keys of one query: SQLite allows 999 in its older versions."""
_TABLES = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS rows (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, value REAL NOT NULL);
"""


def row_key(*parts: str) -> bytes:
    """What a row is found by: a hash of all that it was made of, 32 bytes.

    Example:
        >>> row_key("a", "b") == row_key("a", "b"), row_key("a", "b") == row_key("ab")
        (True, False)
    """
    sha = hashlib.sha256()
    for part in parts:
        content = part.encode("utf-8", "surrogatepass")
        sha.update(len(content).to_bytes(8, "little") + content)
    return sha.digest()


def _checked(key: bytes, value: bytes) -> bytes:
    return hashlib.blake2b(key + value, digest_size=_CHECK).digest()


def _sound(key: bytes, stored: bytes) -> bytes | None:
    value, check = stored[:-_CHECK], stored[-_CHECK:]
    return value if _checked(key, value) == check else None


def _folder() -> Path:
    return cache_folder() / "features"


@dataclass(frozen=True)
class CacheState:
    """What lies in the cache of one model.

    Args:
        name: of its file without the ending, as `prune_cache` takes it.
        identity: the model and its settings; empty where the file cannot be read.
        rows: how many are stored.
        megabytes: size on disk.
        asked: rows that were ever asked for.
        found: of these, found here.
        tokens: that an endpoint has counted for these rows.
        used: when it was last asked, seconds since 1970.
        damaged: whether the file cannot be read.
    """

    name: str
    identity: Mapping[str, Any]
    rows: int = 0
    megabytes: float = 0.0
    asked: int = 0
    found: int = 0
    tokens: int = 0
    used: float = 0.0
    damaged: bool = False

    @property
    def hit_rate(self) -> float:
        """Share of the rows asked for that were there, 0 where none was asked for."""
        return self.found / self.asked if self.asked else 0.0


class RowCache:
    """The rows of one model.

    Args:
        identity: all that a row hangs on beside its key, as plain values: the model, its revision, its settings.

    Example:
        >>> import os, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     os.environ["GRAPHCL_CACHE"] = folder
        ...     cache = RowCache({"model": "count letters"})
        ...     cache.write({row_key("tea"): b"3"})
        ...     found = cache.read([row_key("tea"), row_key("coffee")])
        ...     del os.environ["GRAPHCL_CACHE"]
        >>> list(found.values())
        [b'3']
    """

    def __init__(self, identity: Mapping[str, Any]) -> None:
        self.identity = dict(identity)
        label = str(identity.get("source", "rows")).lower()
        self.path = _folder() / f"{label}-{digest(self.identity)}{_SUFFIX}"

    @contextmanager
    def making(self) -> Iterator[None]:
        """Only one process at a time makes rows of one model; the others wait, and find them made.

        Raises:
            DataError: nothing can be written there.
        """
        with _turn(self.path):
            yield

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(self.path, timeout=60)) as connection:
                if connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0] < _TABLES.count("TABLE"):
                    connection.executescript(_TABLES)
                    about = [(name, json.dumps(value, sort_keys=True)) for name, value in self.identity.items()]
                    connection.executemany("INSERT OR IGNORE INTO about VALUES (?, ?)", about)
                    connection.commit()
                yield connection
        except (OSError, sqlite3.OperationalError) as error:
            raise _unusable(self.path, error) from None

    def _healed(self, work: Callable[[], T]) -> T:
        """Do it; where the file is no sound database, put that aside and do it with a new one."""
        try:
            return work()
        except sqlite3.DatabaseError:
            with self.making():
                try:
                    # somebody else may have put it aside meanwhile
                    return work()
                except sqlite3.DatabaseError:
                    _put_aside(self.path)
                    return work()

    def read(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """The rows that are there and sound, by key; damaged ones are as good as missing."""
        return self._healed(lambda: self._read(keys))

    def _read(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        with self._open() as connection:
            for start in range(0, len(keys), _AT_ONCE):
                some = keys[start : start + _AT_ONCE]
                places = ",".join("?" * len(some))
                for key, stored in connection.execute(f"SELECT key, value FROM rows WHERE key IN ({places})", some):
                    value = _sound(key, stored)
                    if value is not None:
                        found[key] = value
        return found

    def write(self, rows: Mapping[bytes, bytes]) -> None:
        """Store rows in one transaction, in place of what was there."""
        self._healed(lambda: self._write(rows))

    def _write(self, rows: Mapping[bytes, bytes]) -> None:
        with self._open() as connection, connection:
            stored = [(key, value + _checked(key, value)) for key, value in rows.items()]
            connection.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?)", stored)

    def count(self, tokens: int) -> None:
        """Add to the tokens that an endpoint has counted."""
        self._healed(lambda: self._add(tokens=tokens))

    def note(self, asked: int, found: int) -> None:
        """Count what was asked for and what of it was there."""
        self._healed(lambda: self._add(asked=asked, found=found))

    def _add(self, **more: int) -> None:
        with self._open() as connection, connection:
            self._count(connection, **more)
            connection.execute("INSERT OR REPLACE INTO counts VALUES ('used', ?)", (time.time(),))

    @staticmethod
    def _count(connection: sqlite3.Connection, **more: int) -> None:
        for name, value in more.items():
            connection.execute(
                "INSERT INTO counts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
                (name, value),
            )

    def spent(self) -> int:
        """Tokens that an endpoint has counted for what was asked of it in all runs."""

        def counted() -> int:
            with self._open() as connection:
                found = connection.execute("SELECT value FROM counts WHERE name = 'tokens'").fetchone()
            return int(found[0]) if found else 0

        return self._healed(counted)


def _unusable(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: {error}; free the disk or point GRAPHCL_CACHE at another folder")


@contextmanager
def _turn(path: Path) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # one object for each path: who has the turn may take it again
        lock = FileLock(f"{path}.lock", is_singleton=True)
        lock.acquire()
    except OSError as error:
        raise _unusable(path, error) from None
    try:
        yield
    finally:
        lock.release()


def _put_aside(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.replace(path.with_suffix(f"{_ASIDE}{time.time_ns()}"))
    Path(f"{path}-journal").unlink(missing_ok=True)


def _state(path: Path) -> CacheState:
    name, size = path.name.removesuffix(_SUFFIX), path.stat().st_size / 1e6
    if _ASIDE in name:
        return CacheState(name, {}, megabytes=size, damaged=True)
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=60)
        ) as connection:
            identity = {key: json.loads(value) for key, value in connection.execute("SELECT name, value FROM about")}
            rows = connection.execute("SELECT COUNT(*) FROM rows").fetchone()[0]
            counts = dict(connection.execute("SELECT name, value FROM counts"))
    except sqlite3.OperationalError as error:
        raise _unusable(path, error) from None
    except (sqlite3.DatabaseError, ValueError):
        return CacheState(name, {}, megabytes=size, damaged=True)
    asked, met, tokens = (int(counts.get(what, 0)) for what in ("asked", "found", "tokens"))
    return CacheState(name, identity, rows, size, asked, met, tokens, counts.get("used", 0.0))


def _verified(path: Path) -> tuple[int, int]:
    if _ASIDE in path.name:
        return 0, -1
    with _turn(path):
        try:
            with contextlib.closing(sqlite3.connect(path, timeout=60)) as connection, connection:
                sound, damaged = 0, []
                for key, stored in connection.execute("SELECT key, value FROM rows"):
                    if _sound(key, stored) is None:
                        damaged.append((key,))
                    else:
                        sound += 1
                connection.executemany("DELETE FROM rows WHERE key = ?", damaged)
                return sound, len(damaged)
        except sqlite3.OperationalError as error:
            raise _unusable(path, error) from None
        except sqlite3.DatabaseError:
            _put_aside(path)
            return 0, -1


def _files() -> dict[str, Path]:
    """The caches, and what was put aside."""
    kinds = (f"*{_SUFFIX}", f"*{_ASIDE}*[0-9]")
    found = [path for kind in kinds for path in sorted(_folder().glob(kind))] if _folder().is_dir() else []
    return {path.name.removesuffix(_SUFFIX): path for path in found}


def _file(name: str) -> Path:
    files = _files()
    if name not in files:
        raise UnknownNameError("cache", name, files)
    return files[name]


def cache_states() -> list[CacheState]:
    """What lies in each cache below ``GRAPHCL_CACHE``, by name."""
    return [_state(path) for path in _files().values()]


def verify_cache(name: str) -> tuple[int, int]:
    """Check every row of a cache and drop the damaged ones.

    Returns:
        How many are sound, and how many were dropped; 0 and -1 where the file is no database any more and was put
        aside, so that all of it is made anew.

    Raises:
        UnknownNameError: no cache of that name.
    """
    return _verified(_file(name))


def prune_cache(name: str) -> float:
    """Delete a cache; returns the megabytes that are free again.

    Raises:
        UnknownNameError: no cache of that name.
    """
    path = _file(name)
    with _turn(path):
        size = path.stat().st_size / 1e6
        path.unlink()
    return size
