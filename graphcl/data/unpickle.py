"""Reading the pickles of published raw formats without running what they contain.

A pickle is a program. This reader knows three kinds of object: plain containers, NumPy arrays and SciPy CSR
matrices; anything else in the stream is refused before it is built, and nothing of the stream is ever called.
"""

import pickle
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from graphcl.errors import DataError

__all__ = ["read_pickle"]


class _Csr:
    """Receives the attributes of a pickled CSR matrix; never a live SciPy object."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.state = state

    def matrix(self) -> sp.csr_matrix:
        shape = self.state.get("_shape", self.state.get("shape"))
        parts = tuple(np.asarray(self.state[name]) for name in ("data", "indices", "indptr"))
        return sp.csr_matrix(parts, shape=shape)


def _rebuild(cls: Any, base: Any, state: Any) -> Any:
    # protocol-2 pickles of Python 2 rebuild new-style objects through copy_reg._reconstructor
    if cls is not _Csr or base is not object or state is not None:
        raise DataError("a pickle asks to rebuild an object of an unexpected class")
    return _Csr()


def _to_bytes(text: Any, encoding: Any) -> bytes:
    # how Python 3 writes byte strings into protocol-2 pickles
    if not isinstance(text, str) or encoding != "latin1":
        raise DataError("a pickle encodes text in an unexpected way")
    return text.encode("latin1")


_ARRAY = np.ndarray.__reduce__(np.empty(0))[0]
_ALLOWED: dict[tuple[str, str], Any] = {
    ("copy_reg", "_reconstructor"): _rebuild,
    ("copyreg", "_reconstructor"): _rebuild,
    ("_codecs", "encode"): _to_bytes,
    ("__builtin__", "object"): object,
    ("builtins", "object"): object,
    ("__builtin__", "list"): list,
    ("builtins", "list"): list,
    ("collections", "defaultdict"): defaultdict,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _ARRAY,
    ("numpy._core.multiarray", "_reconstruct"): _ARRAY,
    ("scipy.sparse.csr", "csr_matrix"): _Csr,
    ("scipy.sparse._csr", "csr_matrix"): _Csr,
}


class _Restricted(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise DataError(
                f"the pickle names {module}.{name}, which no graph file needs; refused, nothing was run"
            ) from None


def read_pickle(path: Path) -> Any:
    """Read a raw file that is a pickle of containers, arrays and CSR matrices.

    Raises:
        DataError: the file is no pickle, is truncated, or names anything beyond these kinds.
    """
    try:
        with path.open("rb") as stream:
            value = _Restricted(stream, encoding="latin1").load()
        return value.matrix() if isinstance(value, _Csr) else value
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except Exception as error:  # a damaged stream can fail anywhere inside the unpickler
        raise DataError(f"{path}: not a readable pickle ({type(error).__name__}: {error})") from None
