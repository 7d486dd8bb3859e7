"""Vectors of users and items as files that a server reads, and search among them.

| file of `export_vectors` | holds |
|---|---|
| ``users.npy``, ``items.npy`` | ``float32 [U, D]`` and ``[I, D]``; a score is the product of two rows |
| ``user_ids.json``, ``item_ids.json`` | what the source calls row number k; absent where it says k itself |
| ``about.json`` | the sizes, the fingerprint of the interactions, and what the caller adds; written last |

Nothing is pickled. Which items a user has seen is not in the files: whoever serves knows newer ones. `search_unseen`
leaves them out of what an index finds.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from graphcl._version import __version__
from graphcl.data.interactions import Interactions
from graphcl.errors import DataError, MissingExtraError, RequestError, RunFailedError
from graphcl.evaluate.rank_scores import TopK
from graphcl.evaluate.ranking import Embedded, Scorer
from graphcl.ops.pairs import contains
from graphcl.seeding import imported

__all__ = [
    "ExportedVectors",
    "VectorIndex",
    "export_vectors",
    "load_vectors",
    "search_unseen",
    "to_faiss",
    "to_parquet",
]

_FORMAT = "graphcl vectors 1"
_SIDES = ("users", "items")


class VectorIndex(Protocol):
    """What searches the items; an index of Faiss by inner product is one."""

    @property
    def ntotal(self) -> int:
        """I."""

    def search(self, x: np.ndarray, k: int, /) -> tuple[np.ndarray, np.ndarray]:
        """The k items with the largest products.

        Args:
            x: queries, ``float32 [B, D]``.
            k: how many.

        Returns:
            Scores and numbers of items, best first, ``[B, k]``; -1 where there are no more.
        """


@dataclass(frozen=True, eq=False)
class ExportedVectors:
    """What lies in a folder of `export_vectors`.

    Args:
        users: ``float32 [U, D]``.
        items: ``float32 [I, D]``.
        user_ids: what the source calls user number k, ``[U]``; ``None`` where it says k itself.
        item_ids: the same of items, ``[I]``.
        about: the content of ``about.json``.
    """

    users: np.ndarray
    items: np.ndarray
    user_ids: np.ndarray | None = None
    item_ids: np.ndarray | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    def scorer(self) -> Embedded:
        """The same as a scorer, on shared memory."""
        return Embedded(torch.from_numpy(self.users), torch.from_numpy(self.items))


def export_vectors(
    scorer: Scorer, interactions: Interactions, folder: Path | str, about: Mapping[str, Any] | None = None
) -> Path:
    """Write the vectors of users and items, and what the rows are called; what is there already is replaced.

    Args:
        scorer: a fitted recommender with vectors (`graphcl.evaluate.Embedded`).
        interactions: what it was fitted to, for the ids.
        folder: is made where it is not there.
        about: anything that JSON holds, such as the settings and the seed; lies under ``note`` in ``about.json``.

    Returns:
        The folder.

    Raises:
        RequestError: a scorer without vectors, sizes that differ, or a note that JSON does not hold.
        DataError: ids that are neither whole numbers nor strings.
        RunFailedError: a vector holds NaN or infinity.

    Example:
        >>> import tempfile
        >>> seen = Interactions(users=[0], items=[1], num_users=1, num_items=2, item_ids=np.array(["tea", "milk"]))
        >>> both = Embedded(torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 5.0], [3.0, 1.0]]))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = load_vectors(export_vectors(both, seen, folder))
        >>> found.item_ids.tolist(), found.scorer().score(torch.tensor([0])).tolist()
        (['tea', 'milk'], [[2.0, 3.0]])
    """
    arrays, ids = _vectors(scorer, interactions), _ids(interactions)
    content = {
        "format": _FORMAT,
        "graphcl": __version__,
        "users": len(arrays["users"]),
        "items": len(arrays["items"]),
        "dim": arrays["items"].shape[1],
        "measure": "inner product",
        "interactions": interactions.fingerprint,
        "note": dict(about or {}),
    }
    try:
        written = json.dumps(content, indent=2, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RequestError(f"about: {error}; give what JSON holds") from None
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # it says that the folder is complete: it goes first and comes last
    (folder / "about.json").unlink(missing_ok=True)
    for side in _SIDES:
        np.save(folder / f"{side}.npy", arrays[side], allow_pickle=False)
        named = folder / f"{side[:-1]}_ids.json"
        if ids[side] is None:
            named.unlink(missing_ok=True)
        else:
            named.write_text(json.dumps(ids[side], ensure_ascii=False), encoding="utf-8")
    (folder / "about.json").write_text(written + "\n", encoding="utf-8")
    return folder


def load_vectors(folder: Path | str) -> ExportedVectors:
    """Read what `export_vectors` wrote; no code in the files is run.

    Args:
        folder: where they lie.

    Raises:
        RequestError: no such export, or one that was cut off.
        DataError: files that do not fit together.
    """
    folder = Path(folder)
    if not (folder / "about.json").is_file():
        raise RequestError(f"{folder} holds no about.json: it is no export of vectors, or one that was cut off")
    try:
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        if about["format"] != _FORMAT:
            raise DataError(f"{folder} is of format '{about['format']}', not '{_FORMAT}'; export it anew")
        arrays = {side: np.load(folder / f"{side}.npy", allow_pickle=False) for side in _SIDES}
        ids = {side: _read_ids(folder / f"{side[:-1]}_ids.json") for side in _SIDES}
        for side in _SIDES:
            shape = (about[side], about["dim"])
            named = ids[side]
            if arrays[side].shape != shape or arrays[side].dtype != np.float32:
                raise DataError(f"{folder}: {side} are {arrays[side].dtype} {arrays[side].shape}, not float32 {shape}")
            if named is not None and len(named) != len(arrays[side]):
                raise DataError(f"{folder}: {len(named)} ids for {len(arrays[side])} {side}; one each")
    except DataError:
        raise
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise DataError(f"{folder} cannot be read ({type(error).__name__}: {error}); export it anew") from None
    return ExportedVectors(arrays["users"], arrays["items"], ids["users"], ids["items"], about)


def to_parquet(scorer: Scorer, interactions: Interactions, folder: Path | str) -> tuple[Path, Path]:
    """Write ``users.parquet`` and ``items.parquet``, columns ``id`` and ``vector``, a list of D float32.

    Args:
        scorer: as in `export_vectors`.
        interactions: as in `export_vectors`.
        folder: is made where it is not there.

    Returns:
        The two files.

    Raises:
        MissingExtraError: pyarrow is not installed.
        RequestError: as `export_vectors`.
        DataError: as `export_vectors`.
        RunFailedError: as `export_vectors`.
    """
    if find_spec("pyarrow") is None:
        raise MissingExtraError("pyarrow", "recsys")
    arrow, parquet = imported("pyarrow"), imported("pyarrow.parquet")
    arrays, ids = _vectors(scorer, interactions), _ids(interactions)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for side in _SIDES:
        named = ids[side]
        vectors = arrow.FixedSizeListArray.from_arrays(arrow.array(arrays[side].ravel()), arrays[side].shape[1])
        rows = arrow.array(list(range(len(vectors))) if named is None else named)
        parquet.write_table(arrow.table({"id": rows, "vector": vectors}), folder / f"{side}.parquet")
    return folder / "users.parquet", folder / "items.parquet"


def to_faiss(scorer: Scorer, path: Path | str) -> Any:
    """Write an exact Faiss index of the items by inner product; row k is item number k.

    Args:
        scorer: as in `export_vectors`.
        path: the file; ``faiss.read_index`` reads it.

    Returns:
        The ``faiss.IndexFlatIP``.

    Raises:
        MissingExtraError: faiss is not installed.
        RequestError: a scorer without vectors.
        RunFailedError: a vector holds NaN or infinity.
    """
    if find_spec("faiss") is None:
        raise MissingExtraError("faiss-cpu", "recsys")
    faiss = imported("faiss")
    items = _vectors(scorer)["items"]
    index = faiss.IndexFlatIP(items.shape[1])
    index.add(items)
    faiss.write_index(index, str(path))
    return index


def search_unseen(
    index: VectorIndex, queries: np.ndarray, users: Tensor, k: int, seen: Interactions | None = None, batch: int = 1024
) -> TopK:
    r"""The first k items of each user in an index among those that the user has not seen.

    Of the first :math:`k + n_u` items at most :math:`n_u` can be seen ones, with :math:`n_u` the number of items that
    user u has seen: so many are asked for and the seen ones dropped. With an exact index the lists are those of
    `graphcl.evaluate.top_k`; the order of equal scores is the index's own.

    Args:
        index: of the items.
        queries: the vectors of all users, ``float32 [U, D]``.
        users: whose lists are wanted, ``int64 [B]``, each once.
        k: length of the lists; what exceeds the unseen items is filled with -1.
        seen: pairs that are not listed.
        batch: users at a time; those who have seen about as many are searched together.

    Raises:
        RequestError: a number out of range, or sizes that differ.

    Example:
        >>> class Exact:
        ...     ntotal = 3
        ...     def search(self, x, k):
        ...         scores = x @ np.array([[1.0, 3.0, 2.0]])
        ...         order = np.argsort(-scores)[:, :k]
        ...         return np.take_along_axis(scores, order, 1), order
        >>> seen = Interactions(users=[0], items=[1], num_users=1, num_items=3)
        >>> search_unseen(Exact(), np.ones((1, 1)), torch.tensor([0]), 1, seen).items
        tensor([[2]])
    """
    size = int(index.ntotal)
    users = users.detach().cpu()
    if k < 1 or batch < 1:
        raise RequestError(f"k = {k}, batch = {batch}: both should be 1 or more")
    if users.numel() and not (int(users.min()) >= 0 and int(users.max()) < len(queries)):
        raise RequestError(f"users {int(users.min())} to {int(users.max())} of {len(queries)}; numbers start at 0")
    if seen is not None and (seen.num_users, seen.num_items) != (len(queries), size):
        raise RequestError(f"{seen} is seen, and the index has {size:,} items for {len(queries):,} users")
    items, scores = torch.full((len(users), k), -1), torch.full((len(users), k), -torch.inf)
    had = torch.zeros_like(users) if seen is None else seen.user_degrees[users]
    # pairs are sorted by user and item: their codes ascend
    codes = None if seen is None else seen.users * size + seen.items
    for rows in had.argsort(stable=True).split(batch):
        width = min(size, k + int(had[rows].max())) if len(rows) else 0
        if not width:
            continue
        found_scores, found_items = index.search(np.ascontiguousarray(queries[users[rows].numpy()]), width)
        found, values = torch.from_numpy(np.array(found_items)).long(), torch.from_numpy(np.array(found_scores))
        dropped = found < 0
        if codes is not None:
            dropped |= contains(codes, users[rows, None] * size + found)
        # a stable sort by whether an item is dropped keeps the order of the others
        order = dropped.int().sort(dim=1, stable=True).indices[:, :k]
        gone = dropped.gather(1, order)
        items[rows, : order.size(1)] = found.gather(1, order).masked_fill(gone, -1)
        scores[rows, : order.size(1)] = values.gather(1, order).float().masked_fill(gone, -torch.inf)
    return TopK(users, items, scores)


def _vectors(scorer: Scorer, interactions: Interactions | None = None) -> dict[str, np.ndarray]:
    if not isinstance(scorer, Embedded):
        raise RequestError(
            f"{type(scorer).__name__} scores without vectors, so there are none to export; take the scorer of a "
            "recommender that learns some, such as xsimgcl"
        )
    if interactions is not None and (scorer.num_users, scorer.num_items) != (
        interactions.num_users,
        interactions.num_items,
    ):
        raise RequestError(f"{interactions} were not what {scorer.num_users:,} x {scorer.num_items:,} was fitted to")
    arrays = {
        side: np.ascontiguousarray(vectors.detach().cpu().float().numpy())
        for side, vectors in zip(_SIDES, (scorer.users, scorer.items), strict=True)
    }
    for side, values in arrays.items():
        if not np.isfinite(values).all():
            raise RunFailedError(f"the vectors of {side} hold NaN or infinity; lower the learning rate")
    return arrays


def _ids(interactions: Interactions) -> dict[str, list[Any] | None]:
    named: dict[str, list[Any] | None] = {}
    for side, ids in zip(_SIDES, (interactions.user_ids, interactions.item_ids), strict=True):
        named[side] = None if ids is None else ids.tolist()
        for one in named[side] or ():
            if not isinstance(one, int | str) or isinstance(one, bool):
                raise DataError(f"id {one!r} of {side} is {type(one).__name__}; make ids whole numbers or strings")
    return named


def _read_ids(path: Path) -> np.ndarray | None:
    if not path.exists():
        return None
    ids = json.loads(path.read_text(encoding="utf-8"))
    # whole numbers beside strings stay what they are
    return np.array(ids, dtype=None if len({type(one) for one in ids}) == 1 else object)
