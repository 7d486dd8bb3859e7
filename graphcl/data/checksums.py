"""The checksums of all raw files that have been read for this project, kept as ``sha256sum`` prints them.

``checksums.txt`` beside this module is plain data: ``sha256sum -c`` run in a mirror checks the mirror with
it. A path that stands there twice has two accepted writings of one content.
"""

from functools import cache
from importlib.resources import files

from graphcl.data.spec import RawFile

__all__ = ["raw_file"]


@cache
def _recorded() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for line in files("graphcl.data").joinpath("checksums.txt").read_text(encoding="ascii").splitlines():
        checksum, _, path = line.partition("  ")
        found[path] = (*found.get(path, ()), checksum)
    return found


def raw_file(path: str, url: str | None = None) -> RawFile:
    """A `RawFile` with the checksums recorded for its path (none where no copy has been read).

    Example:
        >>> len(raw_file("Planetoid/Cora/raw/ind.cora.x").sha256)
        1
    """
    return RawFile(path, _recorded().get(path, ()), url)
