"""Features that somebody else has made: arrays in files, whose rows are matched to the nodes by their ids."""

import hashlib
import importlib.util
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.errors import DataError, MissingExtraError, RequestError
from graphcl.features.source import FeatureSource, FeatureWatch

__all__ = ["FeatureFile", "read_features"]

_ENDINGS = (".npy", ".npz", ".safetensors", ".parquet")


@dataclass(frozen=True, kw_only=True)
class FeatureFile(FeatureSource):
    """Features out of a ``.npy``, ``.npz``, ``.safetensors`` or ``.parquet`` file; nothing in it is ever run.

    Args:
        path: the file.
        key: name of the array; needed where an archive holds several that could be meant. Of a Parquet table: the
            column of lists; empty takes all columns of numbers.
        ids: name of the array (or column) that says which node each row is of, as ``data.node_ids`` names them, or
            0..N-1 where the graph names none. Empty: the rows must stand in the order of the nodes.
        sha256: of the file; runs and suites note it, so that another content is another run. Empty takes what is there.

    Raises:
        DataError: the file is damaged, holds Python objects, or its rows do not fit the nodes.
        MissingExtraError: the library that reads it is not installed.
        RequestError: no such file, an unknown ending, or an array that is not named where it has to be.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/made.npz", emb=np.array([[3.0], [1.0]]), node=np.array([1, 0]))
        ...     FeatureFile(path=f"{folder}/made.npz", key="emb", ids="node")(Data(num_nodes=2)).tolist()
        [[1.0], [3.0]]
    """

    path: str = ""
    key: str = ""
    ids: str = ""
    sha256: str = ""

    def rows(self, data: Data, watch: FeatureWatch | None = None) -> Tensor:
        """The rows in the order of the nodes."""
        self.found()
        x, ids = read_features(Path(self.path).expanduser(), self.key, self.ids)
        count = int(data.num_nodes or 0)
        if len(x) != count:
            raise DataError(f"{self.path}: {len(x)} rows for {count} nodes; it was made for another graph")
        if ids is None:
            return torch.from_numpy(x)
        known = list(data.get("node_ids", range(count)))
        place = {str(name): number for number, name in enumerate(ids)}
        strange = [name for name in known if str(name) not in place]
        if strange or len(place) != count:
            what = f"no row of node {strange[0]!r}" if strange else "several rows of one node"
            raise DataError(f"{self.path}: {what} by '{self.ids}'; it was made for another graph")
        return torch.from_numpy(x[[place[str(name)] for name in known]])

    def describe(self) -> dict[str, Any]:
        """With the checksum of the file: its path says nothing about what is in it."""
        return {**super().describe(), "sha256": self.found()}

    def found(self) -> str:
        """The checksum of the file, if it is the one that is wanted."""
        path = Path(self.path).expanduser()
        _check_path(path)
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if self.sha256 and found != self.sha256:
            raise DataError(f"{path}: sha256 {found}, and {self.sha256} was asked for; the file has changed")
        return found

    def pinned(self) -> Self:
        """The same, of what the file holds now."""
        return self.replace(sha256=self.found())


def _check_path(path: Path) -> None:
    if path.suffix not in _ENDINGS:
        raise RequestError(f"features: '{path}' should end in one of {', '.join(_ENDINGS)}")
    if not path.is_file():
        raise RequestError(f"features: there is no file '{path}'")


def read_features(path: Path, key: str = "", ids: str = "") -> tuple[np.ndarray, Sequence[Any] | None]:
    """A matrix out of a file, and the ids of its rows where they are asked for.

    Args:
        path: a file that ends as `FeatureFile` says.
        key: name of the matrix; empty where there is only one.
        ids: name of the ids, or empty.

    Returns:
        ``float32 [N, F]`` and N ids, or ``None``.

    Raises:
        As `FeatureFile`.
    """
    _check_path(path)
    reader = {".npy": _npy, ".npz": _npz, ".safetensors": _safetensors, ".parquet": _parquet}[path.suffix]
    try:
        x, names = reader(path, key, ids)
    except (DataError, RequestError, MissingExtraError):
        raise
    except Exception as error:  # damaged files fail in many ways inside the libraries that read them
        raise DataError(f"{path}: not readable ({type(error).__name__}: {error})") from None
    if x.ndim != 2 or x.dtype.kind not in "fiub":
        raise DataError(f"{path}: {x.dtype} of shape {list(x.shape)}; features are numbers [N, F]")
    if names is not None and len(names) != len(x):
        raise DataError(f"{path}: {len(names)} ids in '{ids}' for {len(x)} rows")
    x = np.ascontiguousarray(x, dtype=np.float32)
    broken = ~np.isfinite(x).all(1)
    if broken.any():
        raise DataError(f"{path}: row {int(broken.argmax())} is not finite")
    return x, names


def _npy(path: Path, key: str, ids: str) -> tuple[np.ndarray, None]:
    if key or ids:
        raise RequestError(f"{path}: a .npy file holds one array without a name; leave key and ids out")
    x = np.load(path, allow_pickle=False)
    if not isinstance(x, np.ndarray):
        raise DataError(f"{path}: an archive of several arrays; call it .npz")
    return x, None


def _chosen(path: Path, key: str, ids: str, known: Sequence[str]) -> str:
    for wanted in filter(None, (key, ids)):
        if wanted not in known:
            raise RequestError(f"{path}: no array '{wanted}'; it holds {', '.join(known)}")
    rest = [name for name in known if name != ids]
    if not key and len(rest) != 1:
        raise RequestError(f"{path}: holds {', '.join(known)}; say which with key=")
    return key or rest[0]


def _npz(path: Path, key: str, ids: str) -> tuple[np.ndarray, Sequence[Any] | None]:
    with zipfile.ZipFile(path) as archive:
        known = [name.removesuffix(".npy") for name in archive.namelist()]
    chosen = _chosen(path, key, ids, known)
    with np.load(path, allow_pickle=False) as archive:
        return archive[chosen], archive[ids].tolist() if ids else None


def _safetensors(path: Path, key: str, ids: str) -> tuple[np.ndarray, Sequence[Any] | None]:
    if importlib.util.find_spec("safetensors") is None:
        raise MissingExtraError("safetensors", "text")
    from safetensors import safe_open

    with safe_open(path, "pt") as stored:
        chosen = _chosen(path, key, ids, sorted(stored.keys()))
        x = stored.get_tensor(chosen)
        names = stored.get_tensor(ids).tolist() if ids else None
    # NumPy knows no bfloat16
    return (x.float() if x.is_floating_point() else x).numpy(), names


def _parquet(path: Path, key: str, ids: str) -> tuple[np.ndarray, Sequence[Any] | None]:
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError("pyarrow", "text")
    import pyarrow.parquet as pq

    known = pq.read_schema(path).names
    for wanted in filter(None, (key, ids)):
        if wanted not in known:
            raise RequestError(f"{path}: no column '{wanted}'; it holds {', '.join(known)}")
    table = pq.read_table(path)
    names = table[ids].to_pylist() if ids else None
    if key:
        return np.array(table[key].to_pylist()), names
    # what pandas writes beside the columns is no feature
    numbers = [field.name for field in table.schema if _is_number(field.type) and not field.name.startswith("__")]
    columns = [table[name].to_numpy() for name in numbers if name != ids]
    if not columns:
        raise RequestError(f"{path}: no column of numbers; it holds {', '.join(known)}")
    return np.column_stack(columns), names


def _is_number(kind: Any) -> bool:
    import pyarrow

    return bool(pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind) or pyarrow.types.is_boolean(kind))
