"""The search behind the presets of recommenders on the small sets: what validation said of each setting.

    python benchmarks/recommendation_search.py ml-100k ease:l2=300 "lightgcn:plan.lr=0.01,plan.batch_size=8192,looks=5"

Each argument is a recommender and changes to its defaults. Fits to the training part of draw 100, which no table uses,
and appends NDCG@20 on its validation part, and the epoch that it chose; the test part is not ranked. (Draws share their
pairs: what is validation here is somewhere in train, validation and test of the others.)
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from graphcl.bench.run import nested
from graphcl.catalogue import find
from graphcl.config import digest, encode, updated
from graphcl.data import load_interactions
from graphcl.evaluate import evaluate_ranking
from graphcl.recsys import fit_selected

SEED = 100


def measured(dataset: str, asked: str) -> dict[str, Any]:
    """One setting."""
    name, _, changes = asked.partition(":")
    recipe = updated(find("recommenders", name)(), nested([one for one in changes.split(",") if one]))
    split = load_interactions(dataset, seed=SEED)
    began = time.perf_counter()
    model = fit_selected(recipe, split.train, split.val, SEED)
    seconds = time.perf_counter() - began
    found = evaluate_ranking(model.scorer, split.val, split.train, split.train, (20,)).metrics["ndcg@20"]
    return {
        "dataset": dataset, "recommender": name, "changes": changes, "settings": digest(encode(recipe), 8),
        "seed": SEED, "ndcg@20/val": round(found, 5), "epoch": model.epoch, "seconds": round(seconds, 1),
    }  # fmt: skip


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("settings", nargs="+", metavar="NAME:KEY=VALUE,…")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/recommendation_search.jsonl"))
    options = parser.parse_args()
    for asked in options.settings:
        line = measured(options.dataset, asked)
        with options.out.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(line)


if __name__ == "__main__":
    main()
