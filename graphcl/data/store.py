"""Where raw files are: read-only mirrors first, then the cache, then a download into the cache.

* ``GRAPHCL_MIRROR``: folders (separated as in ``PATH``) that are looked into and never written.
* ``GRAPHCL_CACHE``: where downloads go; default the platform's user cache.

This module finds and fetches; whether a file is the right one is judged in `graphcl.data.loading`. A download
is written under another name and moved into place when it is whole, so an interrupted one leaves nothing that
could be taken for the file, and two processes that fetch the same file do not disturb each other.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Protocol

import platformdirs

from graphcl.data.spec import Files, Layout, RawFile
from graphcl.errors import DataError

__all__ = [
    "cache_folder",
    "describe_mismatch",
    "find_files",
    "locate",
    "mirrors",
    "obtain",
    "set_aside",
    "sha256",
]

SILENCE = 15.0
"""Seconds without an answer after which a download is given up."""


def cache_folder() -> Path:
    """The folder that downloads go into."""
    stated = os.environ.get("GRAPHCL_CACHE")
    return Path(stated).expanduser() if stated else Path(platformdirs.user_cache_dir("graphcl"))


def mirrors() -> list[Path]:
    """The folders of ``GRAPHCL_MIRROR``, in order.

    Raises:
        DataError: one of them does not exist.
    """
    stated = os.environ.get("GRAPHCL_MIRROR", "").split(os.pathsep)
    folders = [Path(part).expanduser() for part in stated if part]
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"GRAPHCL_MIRROR names '{folder}', which is no folder; correct or unset the variable")
    return folders


def sha256(path: Path) -> str:
    """Checksum of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _lookup(file: RawFile) -> Path | None:
    for folder in [*mirrors(), cache_folder()]:
        path = folder / file.path
        if path.is_file():
            return path
    return None


def find_files(files: Sequence[RawFile]) -> Files | None:
    """All of these files on this machine, or ``None`` when one is missing. Downloads nothing."""
    found = {}
    for file in files:
        path = _lookup(file)
        if path is None:
            return None
        found[file.name] = path
    return found


class _Described(Protocol):
    """What has layouts: a `DatasetSpec`, an `InteractionSpec`."""

    @property
    def name(self) -> str: ...

    @property
    def layouts(self) -> tuple[Layout, ...]: ...


def locate(spec: _Described) -> tuple[Layout, Files]:
    """The first layout of a data set that is on this machine, else the first that can be downloaded.

    Raises:
        DataError: neither; the message says which file to put where by hand.
    """
    for layout in spec.layouts:
        files = find_files(layout.files)
        if files is not None:
            return layout, files
    for layout in spec.layouts:
        if all(file.url for file in layout.files):
            return layout, obtain(layout.files, spec.name)
    missing = ", ".join(file.path for file in spec.layouts[0].files)
    raise DataError(f"{spec.name}: not on this machine and without an address; put {missing} below {cache_folder()}")


def obtain(files: Sequence[RawFile], name: str) -> Files:
    """These files, downloading what is missing into the cache.

    Args:
        files: what is needed.
        name: of the data set, for messages.

    Raises:
        DataError: no network, a download that failed or stopped early, or no address.
    """
    return {file.name: _lookup(file) or _download(file, name) for file in files}


def _download(file: RawFile, name: str) -> Path:
    target = cache_folder() / file.path
    elsewhere = f"put it at {target}, or point GRAPHCL_MIRROR at a folder that holds {file.path}"
    if file.url is None:
        raise DataError(f"{name}: {file.path} is in no mirror and has no address; {elsewhere}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=target.parent) as scratch:
            fetched = Path(scratch) / "file"
            _fetch(file.url, fetched)
            fetched.replace(target)
    except (OSError, HTTPException, ValueError) as error:
        raise DataError(
            f"{name}: cannot download ({type(error).__name__}: {error}); fetch {file.url} by hand and {elsewhere}"
        ) from None
    return target


def _fetch(url: str, target: Path) -> None:
    # not PyG's download_url, which waits for ever and does not check the server's certificate
    request = urllib.request.Request(url, headers={"User-Agent": "graphcl"})
    with urllib.request.urlopen(request, timeout=SILENCE) as answer, target.open("wb") as out:
        shutil.copyfileobj(answer, out, 1 << 20)
        stated = answer.headers.get("Content-Length")
    size = target.stat().st_size
    if stated is not None and size != int(stated):
        raise OSError(f"stopped after {size} of {stated} bytes")
    if size == 0:
        raise OSError("the server sent an empty file")


def describe_mismatch(path: Path, file: RawFile) -> str:
    """Path, expected and found checksum of a file that is not known to be the right one."""
    expected = f"expected {' or '.join(file.sha256)}" if file.sha256 else "none on record"
    return f"{path} is corrupt or another version: sha256 {expected}, found {sha256(path)}"


def set_aside(path: Path) -> str:
    """Rename a refused file in the cache, so that the next call fetches it anew; leave mirrors alone.

    Returns:
        What was done, or what to do, in words.
    """
    if not path.is_relative_to(cache_folder()) or any(path.is_relative_to(folder) for folder in mirrors()):
        return "mend it there"
    aside = path.with_name(f"{path.name}.refused")
    with contextlib.suppress(OSError):
        path.replace(aside)
        return f"moved to {aside.name}, the next call fetches it anew"
    return "delete it so that it is fetched anew"
