r"""ogbg-molhiv of the Open Graph Benchmark (Hu et al., 2020): molecules, and whether they inhibit the HIV virus.

Read without the ``ogb`` package, from any of three forms of the same molecules:

* the published archive ``hiv.zip``;
* the folder ``ogbg_molhiv`` that OGB unpacks it into. Point ``GRAPHCL_MIRROR`` at OGB's root (its default is
  ``dataset``) and what it has fetched before is found;
* ``geometric_data_processed.pt``, which OGB saves beside them.

The first two are tables of whole numbers in gzipped text, in which there is nothing to run. The third is a
pickle, and OGB opens it with a bare ``torch.load``, which would run whatever a file asks for, and which fails
from PyTorch 2.6 on. `ogb_safe_load` contains that call; `from_ogb` goes through OGB's own classes inside of it,
which is what the extra ``ogb`` is for.

Features of an atom are OGB's nine categories, each as one-hot of OGB's full vocabulary (`ATOM_CATEGORIES`): 174
columns. A linear layer on them is OGB's ``AtomEncoder`` (a sum of nine embeddings is the one-hot row times the
stacked tables), every encoder and float augmenter takes them, and their number does not depend on which
categories occur. They are 730 MB for the whole set; `atom_categories` gives the whole numbers back, for
`AtomMask`. Kinds of bond are left out, as edge labels are for the TU sets.
"""

import contextlib
import gzip
import os
import pickle
import re
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.data.data import DataEdgeAttr, DataTensorAttr
from torch_geometric.data.storage import GlobalStorage

from graphcl.data.arrays import read_table
from graphcl.data.checksums import raw_file
from graphcl.data.spec import Counts, DatasetSpec, Files, FixedSplit, Graphs, Layout
from graphcl.data.splits import Split, Triple
from graphcl.errors import DataError, MissingExtraError

__all__ = ["ATOM_CATEGORIES", "OGBG_MOLHIV", "atom_categories", "from_ogb", "ogb_safe_load"]

ATOM_CATEGORIES: Mapping[str, int] = {
    "atomic number": 119,
    "chirality": 5,
    "degree": 12,
    "formal charge": 12,
    "hydrogens": 10,
    "radical electrons": 6,
    "hybridisation": 6,
    "aromatic": 2,
    "in a ring": 2,
}
"""The columns that describe an atom, and how many categories OGB knows of each (the last of most: any other)."""

_SIZES = np.array([*ATOM_CATEGORIES.values()])
_STARTS = np.cumsum(_SIZES) - _SIZES
_WIDTH = int(_SIZES.sum())
_URL = "https://snap.stanford.edu/ogb/data/graphproppred/csv_mol_download/hiv.zip"
_RAW = ("edge", "node-feat", "num-node-list", "num-edge-list", "graph-label")
_SPLIT = ("train", "valid", "test")
_Part = Callable[[str], np.ndarray]


# ------------------------------------------------------------------------------------------------------------
# tables


def _table(content: bytes, name: str) -> np.ndarray:
    try:
        text = gzip.decompress(content)
    except Exception as error:  # damage shows as OSError, EOFError, zlib.error or struct.error
        raise DataError(f"{name}: not a whole gzip file ({type(error).__name__}: {error})") from None
    # as real numbers first: a writer may have put 1.0 for 1
    values = read_table(text, name, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        whole = values.astype(np.int64)
    if np.any(whole != values):
        raise DataError(f"{name}: holds {values[whole != values][0]}, expected whole numbers")
    return whole


def _unpacked(files: Files) -> _Part:
    def part(name: str) -> np.ndarray:
        path = files[f"{name}.csv.gz"]
        return _table(path.read_bytes(), str(path))

    return part


def _archived(files: Files) -> _Part:
    path = files["hiv.zip"]

    def part(name: str) -> np.ndarray:
        member = f"hiv/{'split/scaffold' if name in _SPLIT else 'raw'}/{name}.csv.gz"
        try:
            with zipfile.ZipFile(path) as archive:
                content = archive.read(member)
        except Exception as error:  # a damaged archive fails in many ways inside zipfile and zlib
            raise DataError(f"{path}: cannot read {member} ({type(error).__name__}: {error})") from None
        return _table(content, f"{path}: {member}")

    return part


def _column(part: _Part, name: str) -> np.ndarray:
    table = part(name)
    if table.shape[1] != 1:
        raise DataError(f"{name}.csv.gz has {table.shape[1]} columns, expected one")
    return table[:, 0]


def _from_tables(part: _Part) -> list[Data]:
    # one row a bond, numbered within its molecule; both directions are made here
    nodes, bonds, y = (_column(part, name) for name in ("num-node-list", "num-edge-list", "graph-label"))
    edge, codes = part("edge"), part("node-feat")
    if edge.shape[1] != 2:
        raise DataError(f"edge.csv.gz has {edge.shape[1]} columns, expected source and target")
    owner = _owners(bonds, len(edge), nodes.size)
    return _molecules(nodes, np.tile(owner, 2), np.concatenate([edge, edge[:, ::-1]]), codes, y)


def _official(files: Files, graphs: Graphs) -> tuple[Triple, ...]:
    part = _archived(files) if "hiv.zip" in files else _unpacked(files)
    return (_triple([_column(part, name) for name in _SPLIT], len(graphs)),)


def _triple(parts: list[np.ndarray], graphs: int) -> Triple:
    joined = np.concatenate(parts)
    if joined.min() < 0 or joined.max() >= graphs:
        wrong = joined.min() if joined.min() < 0 else joined.max()
        raise DataError(f"the split names molecule {wrong} of {graphs}")
    if joined.size != graphs:
        raise DataError(f"the split names {joined.size} of {graphs} molecules; train, valid and test hold them all")
    return Triple(*(torch.from_numpy(index) for index in parts))


# ------------------------------------------------------------------------------------------------------------
# molecules


def _owners(edges: np.ndarray, rows: int, molecules: int) -> np.ndarray:
    """Number of the molecule that each of the rows belongs to, from the number of rows of each molecule."""
    if edges.size != molecules or edges.min() < 0 or edges.sum() != rows:
        raise DataError(
            f"{edges.size} numbers of bonds that make {edges.sum()} stand for {molecules} molecules with {rows} rows"
        )
    return np.repeat(np.arange(molecules), edges)


def _molecules(nodes: np.ndarray, owner: np.ndarray, ends: np.ndarray, codes: np.ndarray, y: np.ndarray) -> list[Data]:
    """Cut tables over all molecules into graphs, edges sorted.

    Args:
        nodes: atoms of each molecule.
        owner: molecule of each directed edge.
        ends: source and target of each directed edge, numbered within the molecule.
        codes: categories of each atom.
        y: label of each molecule.
    """
    total = int(nodes.sum())
    if nodes.size != y.size or nodes.min() < 1 or total != len(codes):
        raise DataError(
            f"{nodes.size} numbers of atoms from {nodes.min()} up that make {total} stand for {y.size} labels and "
            f"{len(codes)} rows of atoms"
        )
    if y.min() < 0:
        raise DataError(f"labels go down to {y.min()}, expected class numbers from 0")
    if codes.shape[1] != _SIZES.size or codes.min() < 0 or np.any(codes.max(0) >= _SIZES):
        raise DataError(f"the atoms are not in OGB's vocabulary, {_SIZES.size} categories below {_SIZES.tolist()}")
    first = np.cumsum(nodes) - nodes
    if ends.size and (ends.min() < 0 or np.any(ends.max(1) >= nodes[owner])):
        raise DataError("a bond names an atom beyond those of its molecule")
    source, target = (ends + first[owner, None]).T
    key = np.sort(source * total + target)
    if np.any(source == target) or np.any(key[1:] == key[:-1]):
        raise DataError("a bond joins an atom with itself, or is listed twice")
    if not np.array_equal(key, np.sort(target * total + source)):
        raise DataError("a bond is stored in one direction only")
    source, target = key // total, key % total
    column = codes + _STARTS
    cuts = np.searchsorted(source, np.append(first, total))
    graphs = []
    # NumPy, because torch starts its threads for each of thousands of small arrays
    for number, (begin, count) in enumerate(zip(first.tolist(), nodes.tolist(), strict=True)):
        some = slice(cuts[number], cuts[number + 1])
        x = np.zeros((count, _WIDTH), dtype=np.float32)
        x[np.arange(count)[:, None], column[begin : begin + count]] = 1
        graphs.append(
            Data(
                x=torch.from_numpy(x),
                edge_index=torch.from_numpy(np.stack([source[some], target[some]]) - begin),
                y=torch.tensor([int(y[number])]),
            )
        )
    return graphs


def atom_categories(x: Tensor) -> Tensor:
    """The nine categories of each atom out of its one-hot features: what `AtomMask` and OGB's ``AtomEncoder`` take.

    Args:
        x: features ``[N, 174]``, one 1 in each block; a block that was masked to zeros gives category 0.

    Returns:
        ``int64 [N, 9]``, columns as in `ATOM_CATEGORIES`.

    Raises:
        DataError: ``x`` has another number of columns.

    Example:
        >>> x = torch.zeros(1, 174)
        >>> x[0, [5, 119, 128]] = 1  # carbon, no chirality, degree 4
        >>> atom_categories(x).tolist()
        [[5, 0, 4, 0, 0, 0, 0, 0, 0]]
    """
    if x.dim() != 2 or x.size(1) != _WIDTH:
        raise DataError(f"features are {list(x.shape)}, expected [N, {_WIDTH}]: the one-hot categories of atoms")
    return torch.stack([block.argmax(1) for block in x.split(_SIZES.tolist(), 1)], 1)


# ------------------------------------------------------------------------------------------------------------
# pickles

_CLASSES = (Data, DataEdgeAttr, DataTensorAttr, GlobalStorage)
_ONE_AT_A_TIME = threading.RLock()
_FORCE, _FORCE_NOT = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


@contextlib.contextmanager
def ogb_safe_load() -> Iterator[None]:
    """Let OGB's and PyG's data classes open what they saved, and nothing that would run.

    Inside, every ``torch.load`` of the process is one with ``weights_only=True``, also where the caller says
    otherwise (PyG does, for ``pre_transform.pt``) or ``TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD`` is set; PyG's class for
    a graph and the three it consists of are added to what such a load takes. All of that is as before on leaving.
    One thread at a time is inside; loads of other threads meanwhile are restricted too, never loosened beyond
    these four classes.

    Raises:
        DataError: a file names anything beyond tensors, plain containers and graphs, or is damaged; nothing in it
            was run.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> torch.save(Data(x=torch.ones(2, 9)), file)
        >>> _ = file.seek(0)
        >>> with ogb_safe_load():  # or PygGraphPropPredDataset("ogbg-molhiv")
        ...     torch.load(file)
        Data(x=[2, 9])
    """
    with _ONE_AT_A_TIME:
        # leaving torch's context would also take away what others (PyG itself) had registered before
        added = [cls for cls in _CLASSES if cls not in torch.serialization.get_safe_globals()]
        before = {name: os.environ.pop(name, None) for name in (_FORCE, _FORCE_NOT)}
        os.environ[_FORCE] = "1"
        try:
            with torch.serialization.safe_globals(added):
                yield
        except pickle.UnpicklingError as error:
            raise DataError(_reason(error)) from None
        finally:
            os.environ.pop(_FORCE)
            os.environ.update({name: value for name, value in before.items() if value is not None})


def _reason(error: pickle.UnpicklingError) -> str:
    named = re.search(r"GLOBAL (\S+)", str(error))
    if named:
        return f"the file names {named.group(1)}, which no set of graphs needs; refused, nothing was run"
    return "the file is damaged or asks for more than tensors and graphs; refused, nothing was run"


def _from_processed(files: Files) -> list[Data]:
    path = files["geometric_data_processed.pt"]
    try:
        with ogb_safe_load():
            data, slices = torch.load(path, map_location="cpu", weights_only=True)
        return _from_collated(data, slices)
    except MemoryError:
        raise
    except Exception as error:  # torch.load fails in many ways, and plain values may be put together in any way
        reason = str(error) if isinstance(error, DataError) else f"no graphs of OGB ({type(error).__name__}: {error})"
        raise DataError(f"{path}: {reason}") from None


def _from_collated(data: Any, slices: Any) -> list[Data]:
    names = ("x", "edge_index", "y")
    for name in names:
        value = data.get(name)
        if not isinstance(value, Tensor) or value.is_floating_point() or value.dim() != 2:
            raise DataError(f"{name} is no matrix of whole numbers, as molecules with one class each have it")
    nodes, edges, labels = (np.diff(slices[name].numpy()) for name in names)
    if data.y.size(1) != 1 or np.any(labels != 1):
        raise DataError("the graphs do not have one label each")
    ends = data.edge_index.t().numpy()
    return _molecules(nodes, _owners(edges, len(ends), nodes.size), ends, data.x.numpy(), data.y[:, 0].numpy())


def from_ogb(name: str = "ogbg-molhiv", root: Path | str = "dataset") -> tuple[list[Data], Split]:
    """A set of molecules through OGB's own classes, their ``torch.load`` contained: for ``ogbg-mol*`` beside molhiv.

    ``graphcl.load("ogbg-molhiv")`` gives the same graphs without OGB, and checks them against what is known.

    Args:
        name: a set of OGB whose graphs are molecules with one class each (``ogbg-molbace``, ``ogbg-molbbbp``).
        root: OGB's folder; what is not there is downloaded by OGB, which checks no checksum.

    Returns:
        The graphs, with features as above, and OGB's split as ``official``.

    Raises:
        MissingExtraError: ``ogb`` is not installed.
        DataError: OGB knows no such set or cannot fetch it, a file names anything that would run, or the graphs are
            no molecules with one class each.
    """
    try:
        from ogb.graphproppred import PygGraphPropPredDataset
    except ImportError:
        raise MissingExtraError("ogb", "ogb") from None
    folder = Path(root) / name.replace("-", "_")
    if folder.is_dir() and not any(folder.glob("RELEASE_v*.txt")):
        # OGB would ask at the console whether to delete the folder
        raise DataError(f"{folder} holds no release note of OGB; delete it so that it is fetched anew")
    try:
        with ogb_safe_load():
            dataset = PygGraphPropPredDataset(name, root=str(root))
            parts = dataset.get_idx_split()
        graphs = _from_collated(dataset._data, dataset.slices)
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{name} below {root}: {reason}") from None
    triple = _triple([np.asarray(parts[part]) for part in _SPLIT], len(graphs))
    split = Split("official", (triple,), "published with the data set (1 fixed)", published=True)
    return graphs, split.check(torch.cat([graph.y for graph in graphs]))


# ------------------------------------------------------------------------------------------------------------
# the data set


def _layouts() -> tuple[Layout, ...]:
    raw = tuple(raw_file(f"ogbg_molhiv/raw/{name}.csv.gz") for name in _RAW)
    split = tuple(raw_file(f"ogbg_molhiv/split/scaffold/{name}.csv.gz") for name in _SPLIT)
    processed = raw_file("ogbg_molhiv/processed/geometric_data_processed.pt")
    return (
        Layout(lambda files: _from_tables(_archived(files)), (raw_file("ogbg_molhiv/hiv.zip", _URL),)),
        Layout(lambda files: _from_tables(_unpacked(files)), (*raw, *split)),
        Layout(_from_processed, (processed, *split)),
    )


OGBG_MOLHIV = DatasetSpec(
    name="ogbg-molhiv",
    title="ogbg-molhiv",
    level="graph",
    layouts=_layouts(),
    counts=Counts(1049163, 2259376, _WIDTH, 2, 41127),
    licence="MIT, as OGB states",
    citation=(
        "Hu, Fey, Zitnik, Dong, Ren, Liu, Catasta & Leskovec, Open Graph Benchmark: datasets for machine learning on "
        "graphs, NeurIPS 2020; molecules of Wu et al., MoleculeNet: a benchmark for molecular machine learning, "
        "Chemical Science, 2018"
    ),
    source="https://ogb.stanford.edu/docs/graphprop",
    note=(
        "graphs are molecules, nodes atoms, edges bonds (kinds of bond left out), labels inhibits the HIV virus or "
        "not; features nine categories of the atom, each as one-hot of OGB's vocabulary"
    ),
    splits={"official": FixedSplit(_official)},
    default_split="official",
    metric="auc",
    traps=(
        "1,443 of the molecules (3.5 %) are active, so that a constant answer is 96.5 % accurate: read ROC-AUC",
        "the official split is by scaffold, so test molecules are unlike the training ones; random splits score higher",
        "numbers of networks that read the kinds of bond, as OGB's examples do, are not comparable",
        "the features take 730 MB of memory",
    ),
)
