"""LightGCN here, in LensKit and in Cornac: trained on the same pairs with settings of one name, ranked by one code.

    python -m benchmarks.lightgcn_peers lastfm --epochs 40 --seeds 3
    python -m benchmarks.lightgcn_peers ml-1m --epochs 6 --lr 0.01 --batch 8192 --seeds 1 --sides lenskit cornac

From the root of a checkout with ``graphcl[recsys]``; DGL, which Cornac's LightGCN runs on, comes from an environment of
its own (`benchmarks/speed/peers.py`). Appends a line for each seed and side (what is there is not run again) and prints
the table. No epoch is chosen by anybody: all are trained to the end of the plan, test is ranked once. A seed draws the
split, the initialisation and the batches. Seconds are those of the whole fit, conversion of the data included.

What one name means: width, hops, rate, batch and epochs are the same. The penalty of 1e-4 is half the squared length
of the learnt vectors of a batch here, of the propagated ones in Cornac, and the whole of the learnt ones, users counted
twice, in LensKit, where it cannot be set. LensKit gives PyG every edge in one direction, whose normalisation then
weighs all of them 0: what it trains is a factorisation without a graph. Gradients are not cleared between its steps.
"""

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.speed.peers import packages
from graphcl.data import load_interactions
from graphcl.data.interactions import Interactions
from graphcl.evaluate import Embedded, evaluate_ranking, paired_difference
from graphcl.plan import Plan
from graphcl.recsys.methods import LightGcn

DIM, LAYERS, PENALTY = 64, 3, 1e-4
METRICS = ("ndcg@20", "recall@20")


@dataclass(frozen=True)
class Settings:
    """What all sides are given."""

    epochs: int
    lr: float
    batch: int


def graphcl(seen: Interactions, settings: Settings, seed: int) -> Embedded:
    """Ours."""
    plan = Plan(epochs=settings.epochs, lr=settings.lr, batch_size=settings.batch, device="cpu")
    return LightGcn(dim=DIM, layers=LAYERS, penalty=PENALTY, plan=plan).fit(seen, seed)


def cornac(seen: Interactions, settings: Settings, seed: int) -> Embedded:
    """Cornac's ``LightGCN``."""
    from cornac.data import Dataset
    from cornac.models import LightGCN

    # its samplers draw from the data set's generator
    data = Dataset.from_uir(
        [(user, item, 1.0) for user, item in zip(seen.users.tolist(), seen.items.tolist(), strict=True)], seed=seed
    )
    model = LightGCN(
        emb_size=DIM,
        num_epochs=settings.epochs,
        learning_rate=settings.lr,
        batch_size=settings.batch,
        num_layers=LAYERS,
        lambda_reg=PENALTY,
        seed=seed,
    )
    model.fit(data)
    users = _placed(model.U, np.array(list(data.uid_map), dtype=np.int64), seen.num_users)
    return Embedded(users, _placed(model.V, np.array(list(data.iid_map), dtype=np.int64), seen.num_items))


def lenskit(seen: Interactions, settings: Settings, seed: int) -> Embedded:
    """LensKit's ``LightGCNScorer``; the penalty is that of PyG's loss, which is 1e-4 too."""
    return _lenskit(
        seen,
        seed,
        embedding_size=DIM,
        layer_count=LAYERS,
        batch_size=settings.batch,
        learning_rate=settings.lr,
        epochs=settings.epochs,
        regularization=None,
    )


def lenskit_defaults(seen: Interactions, settings: Settings, seed: int) -> Embedded:
    """With nothing set but the epochs: 16 wide, two hops, rate .01, batches of 4,096, decoupled decay of .01."""
    return _lenskit(seen, seed, epochs=settings.epochs)


def _lenskit(seen: Interactions, seed: int, **config: Any) -> Embedded:
    import pandas as pd
    from lenskit.data import from_interactions_df
    from lenskit.graphs.lightgcn import LightGCNScorer
    from lenskit.training import TrainingOptions

    frame = pd.DataFrame({"user_id": seen.users.numpy(), "item_id": seen.items.numpy()})
    scorer = LightGCNScorer(**config)
    torch.manual_seed(seed)
    scorer.train(from_interactions_df(frame), TrainingOptions(device="cpu", rng=seed))
    with torch.no_grad():
        rows = scorer.model.get_embedding(scorer._edges).numpy()
    items, users = np.asarray(scorer.items.ids()), np.asarray(scorer.users.ids())
    return Embedded(
        _placed(rows[len(items) :], users, seen.num_users), _placed(rows[: len(items)], items, seen.num_items)
    )


def _placed(rows: np.ndarray, numbers: np.ndarray, count: int) -> torch.Tensor:
    """Rows under our numbers; whoever is not in train has none, and gets zeros."""
    placed = torch.zeros(count, rows.shape[1])
    placed[torch.from_numpy(numbers)] = torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32))
    return placed


def prepared() -> None:
    """What is not to be timed: the environment, and imports."""
    os.environ["DGLBACKEND"] = "pytorch"
    sys.path.append(str(packages("dgl")))
    for module in ("dgl", "cornac.models", "pandas", "lenskit.data", "lenskit.graphs.lightgcn", "lenskit.training"):
        import_module(module)


SIDES: dict[str, Callable[[Interactions, Settings, int], Embedded]] = {
    "graphcl": graphcl,
    "lenskit": lenskit,
    "lenskit-defaults": lenskit_defaults,
    "cornac": cornac,
}


def measured(dataset: str, settings: Settings, seed: int, sides: list[str]) -> Iterator[dict[str, Any]]:
    """The sides on one draw, ours first, and how much better ours serves the same users than each."""
    split = load_interactions(dataset, seed=seed)
    known = split.train.joined(split.val)
    ours = None
    for side in dict.fromkeys(["graphcl", *sides]):
        began = time.perf_counter()
        with contextlib.redirect_stdout(sys.stderr):
            scorer = SIDES[side](split.train, settings, seed)
        seconds = time.perf_counter() - began
        scores = evaluate_ranking(scorer, split.test, known, split.train, (20,))
        line: dict[str, Any] = {
            "dataset": dataset, "side": side, "seed": seed, **vars(settings),
            "fingerprint": split.whole.fingerprint, "split": split.digest, "seconds": round(seconds, 1),
            **{name: scores.metrics[name] for name in METRICS},
            "versions": {name: version(name) for name in ("torch", "lenskit", "cornac", "dgl")},
        }  # fmt: skip
        if ours is None:
            ours = scores
        else:
            line["ahead"] = {name: paired_difference(ours, scores, name) for name in METRICS}
        print(f"{dataset} seed {seed} {side}: {line[METRICS[0]]:.4f} in {seconds:.0f} s", file=sys.stderr)
        yield line


def table(lines: list[dict[str, Any]]) -> str:
    """Every seed, as no interval over two or three says more."""
    rows = [
        "| data set | epochs, rate, batch | seed | side | NDCG@20 | Recall@20 | ours ahead (NDCG@20), 95 % | s |",
        "|---|---|---:|---|---:|---:|---:|---:|",
    ]
    for line in sorted(lines, key=lambda line: (line["dataset"], line["seed"])):
        ahead = "–"
        if "ahead" in line:
            mean, half = line["ahead"][METRICS[0]]
            ahead = f"{100 * mean:+.2f} ± {100 * half:.2f}"
        plan = f"{line['epochs']}, {line['lr']:g}, {line['batch']}"
        plan = f"{line['epochs']}, its own" if line["side"] == "lenskit-defaults" else plan
        rows.append(
            f"| {line['dataset']} | {plan} | {line['seed']} | {line['side']} "
            f"| {100 * line['ndcg@20']:.2f} | {100 * line['recall@20']:.2f} | {ahead} | {line['seconds']:.0f} |"
        )
    return "\n".join(rows)


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dataset", help="interactions by name, such as lastfm")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sides", nargs="*", choices=list(SIDES), default=list(SIDES))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/lightgcn_peers.jsonl"))
    asked = parser.parse_args()
    settings = Settings(asked.epochs, asked.lr, asked.batch)
    lines = [json.loads(line) for line in asked.out.read_text().splitlines()] if asked.out.exists() else []
    alike = [line for line in lines if all(line[name] == value for name, value in vars(settings).items())]
    done = {(line["seed"], line["side"]) for line in alike if line["dataset"] == asked.dataset}
    prepared()
    for seed in range(asked.seeds):
        missing = [side for side in asked.sides if (seed, side) not in done]
        if not missing:
            continue
        # ours is trained again where only another is missing: its lists are what the others are compared with
        for line in measured(asked.dataset, settings, seed, missing):
            if (seed, line["side"]) not in done:
                with asked.out.open("a") as file:
                    file.write(json.dumps(line, sort_keys=True) + "\n")
                lines.append(line)
    print(table(lines))


if __name__ == "__main__":
    main()
