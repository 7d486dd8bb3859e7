"""Facebook friendships of American colleges (Traud et al., 2012) as used by LINKX (Lim et al., 2021).

A MATLAB file holds the adjacency ``A`` and ``local_info`` with seven columns: status, gender, major, second
major, dormitory, year, high school. Gender is the label (0 where the person did not say); the six others are
one-hot.
"""

import numpy as np
import torch
from scipy.io import loadmat
from torch_geometric.data import Data
from torch_geometric.utils import coalesce

from graphcl.data.checksums import raw_file
from graphcl.data.spec import Counts, DatasetSpec, Files, Layout
from graphcl.errors import DataError

__all__ = ["AMHERST41", "JOHNS_HOPKINS55", "REED98"]

_URL = "https://github.com/CUAI/Non-Homophily-Large-Scale/raw/master/data/facebook100"
_GENDER = 1


def _read(files: Files) -> Data:
    (path,) = files.values()
    try:
        content = loadmat(path, variable_names=["A", "local_info"])
        adjacency, traits = content["A"].tocoo(), content["local_info"].astype(np.int64)
    except Exception as error:  # SciPy's reader fails in many ways on a damaged file
        raise DataError(f"{path}: no readable MATLAB file ({type(error).__name__}: {error})") from None
    if traits.ndim != 2 or traits.shape != (adjacency.shape[0], 7):
        raise DataError(f"{path}: local_info has shape {traits.shape}, expected {adjacency.shape[0]} rows of 7")
    columns = []
    for column in np.delete(traits, _GENDER, axis=1).T:
        values, codes = np.unique(column, return_inverse=True)
        columns.append(np.eye(values.size, dtype=np.float32)[codes])
    edges = torch.from_numpy(np.stack([adjacency.row, adjacency.col]).astype(np.int64))
    return Data(
        x=torch.from_numpy(np.concatenate(columns, axis=1)),
        edge_index=coalesce(edges, num_nodes=adjacency.shape[0]),
        y=torch.from_numpy(traits[:, _GENDER] - 1),
    )


def _spec(name: str, title: str, folder: str, file: str, counts: Counts, content: str, silent: int) -> DatasetSpec:
    return DatasetSpec(
        name=name,
        title=title,
        layouts=(Layout(_read, (raw_file(f"LINKX/{folder}/raw/data.mat", f"{_URL}/{file}"),)),),
        counts=counts,
        content=content,
        citation=(
            "Traud, Mucha & Porter, Social structure of Facebook networks, Physica A 2012; Lim et al., "
            "Large scale learning on non-homophilous graphs, NeurIPS 2021"
        ),
        source="https://github.com/CUAI/Non-Homophily-Large-Scale",
        note=(
            "nodes are members of a college, edges friendships on Facebook in 2005, features status, majors, "
            f"dormitory, year and school as one-hot, labels gender; {silent} did not say and have label -1"
        ),
        traps=("personal data of real people, from 2005, who were not asked; use with care",),
    )


REED98 = _spec("reed98", "Reed98", "reed98", "Reed98.mat", Counts(962, 37624, 745, 2), "4afdd665e0c17fc7", 97)
AMHERST41 = _spec(
    "amherst41",
    "Amherst41",
    "amherst41",
    "Amherst41.mat",
    Counts(2235, 181908, 1193, 2),
    "6f554856b28fafb0",
    203,
)
JOHNS_HOPKINS55 = _spec(
    "johns-hopkins55",
    "Johns Hopkins55",
    "johnshopkins55",
    "Johns%20Hopkins55.mat",
    Counts(5180, 373172, 2406, 2),
    "c34a93a5444782b7",
    418,
)
