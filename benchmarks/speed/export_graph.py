"""Write a data set's features and edges as .npz, for environments without graphcl: `export_graph.py cora cora.npz`."""

import sys

import numpy as np

import graphcl
from graphcl.errors import GraphclError


def main() -> None:
    """Load and write; a data set that cannot be had is said in one line."""
    name, target = sys.argv[1:]
    try:
        data, _ = graphcl.load(name)
    except GraphclError as error:
        raise SystemExit(" ".join(str(error).split())) from None
    np.savez(target, x=data.x.numpy(), edge_index=data.edge_index.numpy(), num_nodes=data.num_nodes)


if __name__ == "__main__":
    main()
