r"""Precomputed polynomial bases: after that, training a filter needs no graph, only rows.

The terms :math:`T_0(S) X, \dots, T_K(S) X` of every node lie together, so that a batch of nodes is a batch of rows,
read from a file where they do not fit into memory. `FilterBank.mix` makes channels of them.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from graphcl.config import Size, digest, valid
from graphcl.errors import DataError, RequestError
from graphcl.ops.chebyshev import chebyshev_terms
from graphcl.spectral.operator import spectral_operator

__all__ = ["ChebyshevBasis"]

_FORMAT = 1


@dataclass(frozen=True, eq=False)
class ChebyshevBasis:
    r"""The terms of every node, in memory or in a file.

    .. math:: B_{vk} = \big(T_k(S)\, X\big)_v, \qquad S = D^{-1/2} A D^{-1/2}

    Args:
        terms: ``[N, K + 1, F]``; a read-only ``numpy.memmap`` when it lies in a file.
        self_loops: whether S is that of the graph with self-loops.

    Example:
        >>> from graphcl.spectral import HighPass, FilterBank
        >>> x, edges = torch.tensor([[1.0], [0.0]]), torch.tensor([[0, 1], [1, 0]])
        >>> basis = ChebyshevBasis.of(x, edges, order=3)
        >>> FilterBank([HighPass()]).mix(basis.rows(torch.tensor([1]))).tolist()
        [[[-1.0]]]
    """

    terms: np.ndarray
    self_loops: bool = False

    @property
    def order(self) -> int:
        """K."""
        return self.terms.shape[1] - 1

    def rows(self, nodes: Tensor | None = None) -> Tensor:
        """The terms of some nodes (``None``: of all), ``[n, K + 1, F]``, read from the file where there is one."""
        picked = self.terms if nodes is None else self.terms[nodes.cpu().numpy()]
        return torch.from_numpy(np.array(picked))

    def batches(self, size: int, generator: torch.Generator | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Nodes in random order, ``size`` at a time, each batch with its terms.

        Args:
            size: nodes in a batch, 1 or more.
            generator: the source of the order; ``None`` draws on torch's own.

        Yields:
            Node numbers ``int64 [n]`` and their terms ``[n, K + 1, F]``.
        """
        size = valid(type(self), "size", size, Size)
        for nodes in torch.randperm(self.terms.shape[0], generator=generator).split(size):
            yield nodes, self.rows(nodes)

    @classmethod
    def of(
        cls,
        x: Tensor,
        edge_index: Tensor,
        order: int = 10,
        edge_weight: Tensor | None = None,
        *,
        self_loops: bool = False,
    ) -> Self:
        """Compute the terms and keep them in memory: :math:`(K + 1) N F` numbers.

        Args:
            x: ``[N, F]``.
            edge_index: ``int64 [2, E]``, each edge in both directions.
            order: K, 1 or more.
            edge_weight: ``[E]``; 1 where ``None``.
            self_loops: take :math:`A + I`.

        Raises:
            DataError: no edges, or directed ones.
            RequestError: an order below 1, or edges that do not fit.
        """
        order = valid(cls, "order", order, Size)
        dtype = _plain(x)
        terms = np.empty((x.size(0), order + 1, x.size(1)), dtype=dtype)
        _fill(terms, x, edge_index, edge_weight, self_loops, x.size(1))
        return cls(terms, self_loops)

    @classmethod
    def write(
        cls,
        path: str | Path,
        x: Tensor,
        edge_index: Tensor,
        order: int = 10,
        edge_weight: Tensor | None = None,
        *,
        self_loops: bool = False,
        memory: int = 2**30,
    ) -> Self:
        r"""Compute the terms into a file, some columns of X at a time, and open it.

        Beside X and the file's pages, which the system takes back when it needs them, the computation holds the
        operator (80 bytes a node and an entry of ``edge_index`` while it is sorted) and six blocks of N rows (three
        terms, and what makes the next): ``memory`` bounds their sum.

        A file that was not finished is never taken for one: it is written beside its name and renamed at the end.

        Args:
            path: of the file, ``.npy``.
            x: ``[N, F]``; may be a memory-mapped tensor.
            edge_index: ``int64 [2, E]``, each edge in both directions.
            order: K, 1 or more.
            edge_weight: ``[E]``; 1 where ``None``.
            self_loops: take :math:`A + I`.
            memory: bytes.

        Raises:
            DataError: no edges, or directed ones.
            RequestError: an order below 1, edges that do not fit, or a memory that is too small for one column.
        """
        path, order = Path(path), valid(cls, "order", order, Size)
        dtype = _plain(x)
        fixed, column = 80 * (edge_index.size(1) + x.size(0)), 6 * dtype.itemsize * x.size(0)
        columns = (memory - fixed) // column
        if columns < 1:
            raise RequestError(
                f"ChebyshevBasis.write: memory = {memory} bytes is too small for {x.size(0)} nodes and "
                f"{edge_index.size(1)} edges; give at least {fixed + column}"
            )
        unfinished = path.with_name(path.name + ".part")
        shape = (x.size(0), order + 1, x.size(1))
        terms = np.lib.format.open_memmap(unfinished, mode="w+", dtype=dtype, shape=shape)
        try:
            _fill(terms, x, edge_index, edge_weight, self_loops, min(int(columns), x.size(1)))
            terms.flush()
            about = _described(terms, self_loops)
        except BaseException:
            del terms
            unfinished.unlink()
            raise
        del terms
        unfinished.replace(path)
        _facts(path).write_text(json.dumps(about) + "\n")
        return cls.open(path)

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a file that `write` has made; nothing is read until rows are asked for.

        Raises:
            DataError: no such file, or one that is no basis, is not whole, or has lost the facts that lie beside it.
        """
        path = Path(path)
        mend = "write it again with ChebyshevBasis.write"
        try:
            about = json.loads(_facts(path).read_text())
            terms = np.load(path, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError as error:
            raise DataError(f"{error.filename}: no such file; {mend}") from None
        except (ValueError, EOFError, OSError) as error:
            raise DataError(f"{path}: not a whole basis ({' '.join(str(error).split())}); {mend}") from None
        if not isinstance(about, dict) or about != _described(terms, bool(about.get("self_loops"))):
            raise DataError(f"{path}: not the basis that {_facts(path).name} describes; {mend}")
        return cls(terms, about["self_loops"])


def _facts(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _described(terms: np.ndarray, self_loops: bool) -> dict[str, Any]:
    about = {"format": _FORMAT, "self_loops": self_loops, "shape": list(terms.shape), "dtype": terms.dtype.name}
    return about | {"digest": digest(about)}


def _plain(x: Tensor) -> np.dtype:
    plain = x.layout == torch.strided and x.dtype in (torch.float32, torch.float64)
    if not plain or x.dim() != 2 or x.numel() == 0:
        raise RequestError(f"x is {x.dtype} {list(x.shape)}; a basis needs a dense float32 or float64 [N, F]")
    return np.dtype(str(x.dtype).removeprefix("torch."))


@torch.no_grad()
def _fill(
    out: np.ndarray,
    x: Tensor,
    edge_index: Tensor,
    edge_weight: Tensor | None,
    self_loops: bool,
    columns: int,
) -> None:
    pattern, values = spectral_operator(edge_index, x.size(0), edge_weight, x.dtype, self_loops=self_loops)
    for first in range(0, x.size(1), columns):
        block = x[:, first : first + columns].to(values.device).contiguous()
        for k, term in enumerate(chebyshev_terms(pattern, values.to(x.dtype), block, out.shape[1] - 1)):
            out[:, k, first : first + columns] = term.cpu().numpy()
