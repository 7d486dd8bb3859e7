"""Write a data set as .npz, for environments without graphcl: `export_graph.py cora cora.npz`.

Of a graph the features and edges; of interactions the pairs of the three parts, and vectors to rank by.
"""

import sys

import numpy as np

import graphcl
from graphcl.catalogue import entries
from graphcl.data.interaction_loading import load_interactions
from graphcl.errors import GraphclError

DIM = 64


def interactions(name: str) -> dict[str, np.ndarray]:
    """Numbers of users and items by part, and vectors that put popular items first, with noise."""
    split = load_interactions(name, "ratio-80-10-10")
    made: dict[str, np.ndarray] = {
        "num_users": np.array(split.train.num_users),
        "num_items": np.array(split.train.num_items),
    }
    for part, seen in (("train", split.train), ("val", split.val), ("test", split.test)):
        made |= {f"{part}_users": seen.users.numpy(), f"{part}_items": seen.items.numpy()}
    rng = np.random.default_rng(0)
    users, items = (
        rng.normal(size=(n, DIM)).astype(np.float32) for n in (split.train.num_users, split.train.num_items)
    )
    users[:, 0], items[:, 0] = 10, np.log1p(split.train.item_degrees.numpy())
    return made | {"user_vectors": users, "item_vectors": items}


def main() -> None:
    """Load and write; a data set that cannot be had is said in one line."""
    name, target = sys.argv[1:]
    try:
        if name in entries("interactions"):
            np.savez(target, **interactions(name))
            return
        data, _ = graphcl.load(name)
    except GraphclError as error:
        raise SystemExit(" ".join(str(error).split())) from None
    np.savez(target, x=data.x.numpy(), edge_index=data.edge_index.numpy(), num_nodes=data.num_nodes)


if __name__ == "__main__":
    main()
