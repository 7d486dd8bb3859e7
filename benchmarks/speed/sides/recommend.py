"""Recommendation by graphcl: an epoch of LightGCN, the lists of all test users, and an epoch of growing data.

An epoch with batches of one size takes time with the square of the pairs, because every step propagates over all of
them and updates all vectors. `scaling` has as many steps at each size, so that what grows is the work of one.
"""

import time

import numpy as np
import torch
from harness import report
from inputs import arguments

from graphcl.data.interactions import Interactions
from graphcl.data.planted import planted_factors
from graphcl.evaluate.ranking import Embedded, evaluate_ranking
from graphcl.plan import Plan
from graphcl.recsys.methods.light_gcn import LightGcn

DIM, LAYERS, BATCH, CUTOFF = 64, 3, 2048, 20
STEPS = 16


def part(file: "np.lib.npyio.NpzFile", name: str) -> Interactions:
    """Of what `export_graph.py` wrote."""
    users, items = (torch.from_numpy(file[f"{name}_{what}"]) for what in ("users", "items"))
    return Interactions(users=users, items=items, num_users=int(file["num_users"]), num_items=int(file["num_items"]))


def train(seen: Interactions, batch: int, warmup: int, repeats: int) -> None:
    """Measure epochs of the library's own loop."""
    plan = Plan(epochs=warmup + repeats, lr=1e-3, batch_size=batch, device="cpu")
    training = LightGcn(dim=DIM, layers=LAYERS, plan=plan).start(seen, seed=0)
    losses: list[float] = []
    began = time.perf_counter()

    def epoch() -> None:
        losses.append(
            sum(next(training.steps).loss for _ in range(training.steps_per_epoch)) / training.steps_per_epoch
        )

    def told() -> str:
        each = (time.perf_counter() - began) / (len(losses) * len(seen))
        return f"loss {losses[0]:.4f} → {losses[-1]:.4f}; {1e6 * each:.2f} µs a pair"

    report(epoch, warmup, repeats, told)


def rank(path: str, warmup: int, repeats: int) -> None:
    """Measure lists and figures of all test users, with vectors that are given."""
    with np.load(path) as file:
        known, validation, test = (part(file, name) for name in ("train", "val", "test"))
        scorer = Embedded(torch.from_numpy(file["user_vectors"]), torch.from_numpy(file["item_vectors"]))
    seen = known.joined(validation)
    found: list[dict[str, float]] = []

    def step() -> None:
        found.append(evaluate_ranking(scorer, test, seen, known, (CUTOFF,)).metrics)

    report(step, warmup, repeats, lambda: f"ndcg {found[-1][f'ndcg@{CUTOFF}']:.4f}")


def main() -> None:
    """Measure one of them; sizes are those of `peer_scripts/recbole_lightgcn.py`."""
    parser = arguments(warmup=1, repeats=3)
    parser.add_argument("way", choices=["epoch", "rank", "scaling"])
    parser.add_argument("what", help="the file of interactions; for scaling, how many pairs")
    asked = parser.parse_args()
    if asked.way == "rank":
        rank(asked.what, asked.warmup, asked.repeats)
    elif asked.way == "epoch":
        with np.load(asked.what) as file:
            seen = part(file, "train")
        train(seen, BATCH, asked.warmup, asked.repeats)
    else:
        pairs = int(asked.what)
        # 20 items a user and 40 users an item, at each size
        seen = planted_factors(users=pairs // 20, items=pairs // 40, pairs=pairs)
        train(seen, -(-pairs // STEPS), asked.warmup, asked.repeats)


if __name__ == "__main__":
    main()
