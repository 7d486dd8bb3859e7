"""What an augmenter is: a frozen set of hyper-parameters that turns a graph into a random view of it.

Two kinds stand in one catalogue. An `Augmenter` is fixed: it *is* its hyper-parameters and is called itself. A
`LearnedAugmenter` (`graphcl.augment.learned`) is the recipe of one with weights: its `build` gives the ``nn.Module``
that is called the same way.
"""

import copy
from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary
from torch_geometric.data import Data, HeteroData
from torch_geometric.data.storage import BaseStorage
from torch_geometric.transforms import BaseTransform

from graphcl.config import Config
from graphcl.errors import DataError, RequestError
from graphcl.hashing import is_undirected

__all__ = ["Augmentation", "Augmenter"]

_CURES = {
    "x": "set it to a float tensor [N, F]",
    "edge_index": "set it to int64 [2, E]; a graph without edges has torch.empty(2, 0, dtype=torch.long)",
    "edge_attr": "set it to a tensor [E, ...]",
}


class Augmentation(Config):
    """Root of all augmenters, fixed and learned: what the catalogue lists."""


class Augmenter(Augmentation, BaseTransform):
    """A random view of a graph; works inside ``T.Compose``, a ``DataLoader`` and a ``Batch``.

    The input is never changed: subclasses receive a shallow copy and *replace* its tensors. With a ``generator`` the
    global random state is left alone; without one torch's default generator is used, so that worker seeding of a
    ``DataLoader`` works as people expect.

    Subclasses are frozen dataclasses and write `forward`.
    """

    needs: ClassVar[tuple[str, ...]] = ("edge_index",)
    """What the graph must have."""
    keeps_symmetry: ClassVar[bool] = True
    """Whether the view of an undirected graph is undirected."""
    keeps_nodes: ClassVar[bool] = True
    """Whether the view has the nodes of the graph, in their order, so that node i of two views is one node."""
    takes_sparse_features: ClassVar[bool] = False
    """Whether ``x`` may be a CSR tensor."""
    takes_categories: ClassVar[bool] = False
    """Whether ``x`` is of whole numbers, ``int64 [N, C]``, rather than of floats."""
    takes_directed: ClassVar[bool] = True
    """Whether the graph may be directed."""
    takes_hetero: ClassVar[bool] = False
    """Whether it takes a ``HeteroData``: each type of edges (of nodes) is treated alike."""
    differentiable: ClassVar[tuple[str, ...]] = ("x", "edge_weight")
    """Of which attributes gradients pass from the view to the graph."""
    draws_alike_on_sparse: ClassVar[bool] = True
    """Whether sparse features give the view of the dense ones from one seed."""

    def __call__(self, data: Data | HeteroData, generator: torch.Generator | None = None) -> Any:
        """A view of ``data``.

        Args:
            data: a graph or a batch of graphs.
            generator: the source of randomness.

        Raises:
            DataError: ``data`` is no graph this augmenter takes, lacks what it needs, or has edges or weights that
                nothing can be computed on; the message names the class, the field and the cure.
        """
        if generator is not None and not isinstance(generator, torch.Generator):
            raise RequestError(
                f"{type(self).__name__}: generator is a {type(generator).__name__}; "
                "give a torch.Generator, such as torch.Generator().manual_seed(0)"
            )
        check_input(self, data)
        try:
            return self.forward(copy.copy(data), generator)
        except DataError as error:
            if not str(error).startswith("data"):
                raise
            raise DataError(f"{type(self).__name__}: {error}") from None

    @abstractmethod
    def forward(self, data: Any, generator: torch.Generator | None = None) -> Any:
        """Replace tensors of ``data``, which is already a shallow copy."""

    def at(self, progress: float) -> "Augmenter":
        """The augmenter to use when this share of the training is done; itself, unless something in it is scheduled.

        Args:
            progress: in [0, 1].
        """
        return self


# tensors of edges whose range was looked at: a training loop passes the same ones again and again. What is written into
# one counts its version up; only the check is saved, no result hangs on it.
_IN_RANGE: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def _seen_in_range(edges: Tensor, sizes: list[int]) -> bool:
    if edges.is_inference():
        return False
    return _IN_RANGE.get(edges) == (edges._version, *sizes)


def check_input(part: Any, data: Any) -> None:
    """Refuse a graph that a part would silently compute nonsense on.

    Args:
        part: an augmenter; its ``needs``, ``takes_hetero`` and ``takes_sparse_features`` say what is asked.
        data: the graph.

    Raises:
        DataError: naming the class, the field and the cure.
    """
    name = type(part).__name__
    if isinstance(data, HeteroData) and not part.takes_hetero:
        raise DataError(
            f"{name} takes one kind of nodes and edges, got a HeteroData; "
            "convert it with data.to_homogeneous(), or take one of `graphcl.augment` whose takes_hetero is True"
        )
    if not isinstance(data, (Data, HeteroData)):
        raise DataError(f"{name} takes a torch_geometric.data.Data, got {type(data).__name__}")
    stores = data.stores
    if "edge_index" in part.needs and any("adj_t" in store and "edge_index" not in store for store in stores):
        raise DataError(f"{name}: the edges are in data.adj_t; put it before T.ToSparseTensor()")
    if "edge_index" in part.needs and any("adj_t" in store for store in stores):
        raise DataError(
            f"{name}: data.adj_t holds the edges too, and would stay as it is; take it off (del data.adj_t)"
        )
    for field in part.needs:
        if not any(store.get(field) is not None for store in stores):
            cure = _CURES.get(field, "set it first")
            if field == "x" and part.takes_categories:
                cure = "set it to categories, int64 [N, C]"
            raise DataError(f"{name}: data.{field} is missing; {cure}")
    for store in data.node_stores:
        _check_features(name, part, store)
    # what has no business with edges does not look at them
    for store in data.edge_stores if "edge_index" in part.needs else ():
        if store.get("edge_index") is not None:
            _check_edges(name, data, store)
            if not part.takes_directed and not is_undirected(store["edge_index"]):
                raise DataError(f"{name}: data.edge_index is directed; add the other directions with T.ToUndirected()")


def _check_features(name: str, part: Any, store: BaseStorage) -> None:
    x = store.get("x")
    if x is not None and "x" in part.needs:
        if not isinstance(x, Tensor) or x.dim() != 2:
            shape = list(x.shape) if isinstance(x, Tensor) else type(x).__name__
            raise DataError(f"{name}: data.x is {shape}; make it a matrix [N, F]")
        if x.size(0) != int(store.num_nodes or 0):
            raise DataError(f"{name}: data.x has {x.size(0)} rows for {store.num_nodes} nodes; mend one of the two")
    layouts = (torch.strided, torch.sparse_csr) if part.takes_sparse_features else (torch.strided,)
    if isinstance(x, Tensor) and x.layout not in layouts:
        raise DataError(f"{name}: data.x is sparse ({x.layout}); make it dense with data.x.to_dense()")


def _check_edges(name: str, data: Data | HeteroData, store: BaseStorage) -> None:
    where = "data" if store._key is None else f"data[{store._key!r}]"
    edges = store["edge_index"]
    if not isinstance(edges, Tensor) or edges.dim() != 2 or edges.size(0) != 2 or edges.dtype != torch.long:
        found = f"{edges.dtype} {list(edges.shape)}" if isinstance(edges, Tensor) else type(edges).__name__
        raise DataError(f"{name}: {where}.edge_index is {found}; make it int64 [2, E]")
    if store._key is None:
        sizes = [int(data.num_nodes or 0)] * 2
    else:
        sizes = [int(data[kind].num_nodes or 0) for kind in (store._key[0], store._key[2])]
    if edges.numel() and not _seen_in_range(edges, sizes):
        # one pass where both ends are of one kind
        bounds = [edges.aminmax()] * 2 if store._key is None else [row.aminmax() for row in edges]
        for (low, high), n in zip(bounds, sizes, strict=True):
            if int(low) < 0 or int(high) >= n:
                wrong = int(low) if int(low) < 0 else int(high)
                raise DataError(
                    f"{name}: {where}.edge_index names node {wrong} but there are only {n} nodes (0..{n - 1}); "
                    "mend the ids, or set data.num_nodes"
                )
        if not edges.is_inference():
            _IN_RANGE[edges] = (edges._version, *sizes)
    weight = store.get("edge_weight")
    if weight is None:
        return
    if not isinstance(weight, Tensor) or weight.shape != edges.shape[1:]:
        shape = list(weight.shape) if isinstance(weight, Tensor) else type(weight).__name__
        raise DataError(
            f"{name}: {where}.edge_weight has shape {shape}, expected [{edges.size(1)}]; "
            "give one weight to each column of edge_index"
        )
    # a NaN or an infinity always shows in the sum; a finite tensor whose sum overflows is looked at again
    if not bool(weight.detach().sum().isfinite()) and not bool(weight.detach().isfinite().all()):
        bad = int((~weight.detach().isfinite()).nonzero()[0, 0])
        raise DataError(
            f"{name}: {where}.edge_weight holds NaN or infinite values, the first at edge {bad}; "
            "clean them, for example with torch.nan_to_num"
        )


def refuse_negative(name: str, weight: Tensor | None) -> None:
    """Refuse weights that no degree, centrality or walk is made of.

    Raises:
        DataError: some are negative.
    """
    if weight is not None and weight.numel() and float(weight.detach().min()) < 0:
        bad = int((weight.detach() < 0).nonzero()[0, 0])
        raise DataError(f"{name}: data.edge_weight is negative, first at edge {bad}; clamp it to 0, or drop it")
