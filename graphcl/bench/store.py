"""Where results are kept: one JSON line per run, appended, never changed.

``<folder>/<method>/<dataset>.jsonl``. A line is written in one piece and forced to disk before the run counts as done,
so a process killed at any moment loses at most the run it was computing. A last line that was cut off in the middle of
writing belongs to a run that never counted; it is removed before the next one is appended.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from graphcl.bench.run import Record
from graphcl.errors import DataError, RequestError

__all__ = ["Store"]

_FINISHED = {"ok", "failed"}


class Store:
    """The results below one folder.

    Args:
        folder: made on the first write.

    Example:
        >>> import tempfile
        >>> store = Store(Path(tempfile.mkdtemp()))
        >>> store.append({"run_id": "a", "run": {"method": "raw", "dataset": "karate"}, "status": "ok"})
        >>> store.finished()
        {'a'}
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the folder: two benches never write into one at a time. Fails before any work if it cannot be written.

        Raises:
            RequestError: the folder cannot be written, or another process holds it.
        """
        lock = FileLock(self.folder / ".lock")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout:
            raise RequestError(
                f"another process is writing to {self.folder}; wait for it or choose another --out"
            ) from None
        except OSError as error:
            raise RequestError(f"cannot write to {self.folder} ({error.strerror}); choose another --out") from None
        try:
            yield
        finally:
            lock.release()

    def path(self, record: Record) -> Path:
        """The file that a record belongs into."""
        return self.folder / record["run"]["method"] / f"{record['run']['dataset']}.jsonl"

    def append(self, record: Record) -> None:
        """Write one record durably.

        Raises:
            RequestError: the disk is full or not writable; everything written before is safe.
        """
        line = json.dumps(record, sort_keys=True, allow_nan=False).encode() + b"\n"
        path = self.path(record)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab+") as stream:
                end = _repair(stream.fileno())
                try:
                    _write_all(stream.fileno(), line)
                    os.fsync(stream.fileno())
                except OSError:
                    os.ftruncate(stream.fileno(), end)
                    raise
        except OSError as error:
            raise RequestError(
                f"cannot write {path} ({error.strerror}); all earlier results are safe: make room and start the same "
                "command again, it resumes"
            ) from None

    def read(self) -> list[Record]:
        """All records, in the order of file names and lines.

        Raises:
            DataError: a line is no record; it is named, nothing is skipped silently.
        """
        if not self.folder.is_dir():
            raise RequestError(f"{self.folder} is no folder of results; give the --out of a `graphcl bench run`")
        records: list[Record] = []
        for path in sorted(self.folder.glob("*/*.jsonl")):
            content = path.read_bytes()
            lines = content.split(b"\n")
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    record = json.loads(line)
                    record["run_id"], record["run"]["method"], record["status"]
                except (ValueError, KeyError, TypeError):
                    if number == len(lines):
                        continue  # cut off while being written: that run never counted
                    raise DataError(f"{path}:{number} is no record; restore the line or delete it") from None
                records.append(record)
        return records

    def finished(self) -> set[str]:
        """Ids of the runs that need not be run again."""
        if not self.folder.is_dir():
            return set()
        return {record["run_id"] for record in self.read() if record["status"] in _FINISHED}


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _repair(descriptor: int) -> int:
    """Cut off an incomplete last line (or complete it with its line break); returns the end of the file."""
    end = os.lseek(descriptor, 0, os.SEEK_END)
    if end == 0 or os.pread(descriptor, 1, end - 1) == b"\n":
        return end
    content = os.pread(descriptor, end, 0)
    start = content.rfind(b"\n") + 1
    try:
        json.loads(content[start:])
    except ValueError:
        os.ftruncate(descriptor, start)
        return start
    _write_all(descriptor, b"\n")
    return end + 1
