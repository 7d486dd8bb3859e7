"""What a gate is worth where no single filter suits all nodes: ten graphs of two regions, paired.

    python benchmarks/mixed_regions.py --noise 0.6 --graphs 10 --out benchmarks/mixed_regions.jsonl

Appends a line for each graph and arm (what is there with the same settings is not run again) and prints the table: test
accuracy of the standard probe (five draws of 10/10/80, selection on validation), the difference to another arm, paired
by graph, and how well the weight of the high-pass channel tells the regions apart (AUC; no label has a part in it).
"""

import argparse
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from scipy import stats
from sklearn.metrics import roc_auc_score
from torch_geometric.data import Data

from graphcl.config import digest, encode, updated
from graphcl.data import draw, mixed_csbm
from graphcl.evaluate import LogisticProbe, score
from graphcl.graph import fingerprint
from graphcl.methods import Aspect, Polygcl
from graphcl.methods.recipe import Recipe
from graphcl.train import Training, embedding, start

CHANNELS = {"channels": ["low", "high"], "feature_dropout": 0.3}
INFOMAX = CHANNELS | {"contrast": "infomax"}
NCE = CHANNELS | {"contrast": "info-nce"}
POLYGCL = {"feature_dropout": 0.3, "dropout": 0.0, "dim": 256, "plan": {"epochs": 200}}
# arms that differ in their readout alone stand together and are trained once
ARMS: dict[str, tuple[type[Recipe], dict[str, Any], Any]] = {
    "infomax, node gate": (Aspect, INFOMAX, ["fused"]),
    "infomax, node gate, [low, high]": (Aspect, INFOMAX, ["low", "high"]),
    "infomax, constant gate": (Aspect, INFOMAX | {"gate": "global"}, ["fused"]),
    "infomax, no evidence": (Aspect, INFOMAX | {"evidence": 0.0}, ["fused"]),
    "infomax, descriptors not averaged": (Aspect, INFOMAX | {"reach": 0}, ["fused"]),
    "infomax, gate sees the channels too": (Aspect, INFOMAX | {"sees": "both"}, ["fused"]),
    "InfoNCE, node gate": (Aspect, NCE, ["fused"]),
    "InfoNCE, node gate, [low, high]": (Aspect, NCE, ["low", "high"]),
    "InfoNCE, constant gate": (Aspect, NCE | {"gate": "global"}, ["fused"]),
    "PolyGCL, fused": (Polygcl, POLYGCL, "fused"),
    "PolyGCL, [low, high]": (Polygcl, POLYGCL, "low-high"),
}
AGAINST = {
    "infomax, node gate": "infomax, constant gate",
    "infomax, no evidence": "infomax, node gate",
    "infomax, descriptors not averaged": "infomax, node gate",
    "infomax, gate sees the channels too": "infomax, node gate",
    "infomax, node gate, [low, high]": "PolyGCL, [low, high]",
    "InfoNCE, node gate": "InfoNCE, constant gate",
    "InfoNCE, node gate, [low, high]": "PolyGCL, [low, high]",
    "PolyGCL, fused": "PolyGCL, [low, high]",
}


@lru_cache(maxsize=1)
def _trained(kind: type[Recipe], settings: str, noise: float, number: int) -> Training:
    training = start(updated(kind(), json.loads(settings)), _graph(noise, number), number)
    for _ in training.steps:
        pass
    return training


def _graph(noise: float, number: int) -> Data:
    """Graphs are numbered from 2000, apart from those that anything was tuned on."""
    return mixed_csbm(noise=noise, seed=2000 + number)


def recipe(arm: str) -> Recipe:
    """What an arm trains, in full."""
    kind, settings, readout = ARMS[arm]
    return updated(kind(), settings | {"readout": readout})


def settings_digest(arm: str) -> str:
    """A line counts only as long as this is what it was made with, defaults of the method among it."""
    return digest({"method": type(recipe(arm)).__name__, **encode(recipe(arm))}, 8)


def measured(arm: str, noise: float, number: int) -> dict[str, Any]:
    """One arm on one graph."""
    graph = _graph(noise, number)
    split = draw("random-10-10-80x5", graph.y, number)
    kind, settings, _ = ARMS[arm]
    training = _trained(kind, json.dumps(settings, sort_keys=True), noise, number)
    method = training.method
    method.recipe = recipe(arm)
    line: dict[str, Any] = {
        "arm": arm, "settings": settings_digest(arm), "noise": noise, "graph": number,
        "fingerprint": fingerprint(graph),
    }  # fmt: skip
    line["acc"] = score(embedding(method, training.data), graph.y, split, LogisticProbe()).metrics["acc/test"]
    if kind is Aspect and settings.get("gate") != "global":
        with torch.no_grad():
            weights = method.weights(training.data).cpu()
        line["auc"] = float(roc_auc_score(graph.region, weights[:, 1]))
    return line


def table(lines: list[dict[str, Any]], noise: float) -> str:
    """Means with 95 % intervals over the graphs."""
    rows = [
        "| arm | accuracy | paired difference | graphs above | AUC of the regions, least |",
        "|---|---|---|---|---|",
    ]
    found = {(line["arm"], line["graph"]): line for line in lines if line["noise"] == noise}
    for arm in ARMS:
        mine = {graph: line for (name, graph), line in found.items() if name == arm}
        if not mine:
            continue
        paired, above = "–", "–"
        other = AGAINST.get(arm)
        both = [graph for graph in mine if (other, graph) in found]
        if both:
            gaps = [100 * (mine[graph]["acc"] - found[other, graph]["acc"]) for graph in both]
            paired, above = f"{_interval(gaps)} to {other}", f"{sum(gap > 0 for gap in gaps)} of {len(gaps)}"
        aucs = [line["auc"] for line in mine.values() if "auc" in line]
        auc = f"{sum(aucs) / len(aucs):.3f}, {min(aucs):.3f}" if aucs else "–"
        rows.append(
            f"| {arm} | {_interval([100 * line['acc'] for line in mine.values()])} | {paired} | {above} | {auc} |"
        )
    return "\n".join(rows)


def _interval(values: list[float]) -> str:
    mean = sum(values) / len(values)
    if len(values) < 2:
        return f"{mean:.1f}"
    half = stats.sem(values) * stats.t.ppf(0.975, len(values) - 1)
    return f"{mean:.1f} ± {half:.1f}"


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--noise", type=float, default=0.6)
    parser.add_argument("--graphs", type=int, default=10)
    parser.add_argument("--arms", nargs="*", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/mixed_regions.jsonl"))
    options = parser.parse_args()
    lines = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    lines = [line for line in lines if line["arm"] in ARMS and line.get("settings") == settings_digest(line["arm"])]
    done = {(line["arm"], line["noise"], line["graph"]) for line in lines}
    for number in range(options.graphs):
        for arm in options.arms:
            if (arm, options.noise, number) not in done:
                lines.append(measured(arm, options.noise, number))
                with options.out.open("a") as file:
                    file.write(json.dumps(lines[-1], sort_keys=True) + "\n")
    print(table(lines, options.noise))


if __name__ == "__main__":
    main()
