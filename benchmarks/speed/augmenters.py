"""Each augmenter beside its counterpart on a graph of a million edges: `python -m benchmarks.speed.augmenters`.

Both sides of a row run in one process on one graph, in turn (ours, theirs, ours, …), so that a busy machine slows both;
a ratio is taken within a turn. What a counterpart gives is what somebody without graphcl would write: a function or
transform of PyG where there is one, otherwise the lines of a paper's released code in textbook PyTorch, networkx or
scikit-learn. Where that needs an N × N matrix it is not tried, and the row says how large the matrix is.
"""

import argparse
import copy
import json
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.speed.harness import machine
from benchmarks.speed.peers import PeerError, packages

if __name__ == "__main__":
    # PyG asks for numba, which its approximate GDC needs, when it is imported
    with suppress(PeerError):
        sys.path.append(str(packages("numba")))

import networkx as nx
import numpy as np
import torch
import torch.nn.functional as F
from sklearn.neighbors import NearestNeighbors
from torch_geometric import transforms as T
from torch_geometric import utils
from torch_geometric.data import Data
from torch_geometric.nn import SimpleConv
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from benchmarks.speed.inputs import EDGES, FEATURES, NODES, million
from graphcl import augment
from graphcl.augment import Augmenter
from graphcl.errors import MissingExtraError

Call = Callable[[], object]

RATE = 0.2


@dataclass
class Timing:
    """One row of the table, and a line of the raw record."""

    augmenter: str
    ours: list[float]
    theirs: list[float] = field(default_factory=list)
    counterpart: str = ""
    first: float = 0.0
    note: str = ""


# -------- counterparts: a function of the graph that gives the call to measure, and what it is


def _dropped_nodes(data: Data) -> Call:
    def call() -> object:
        edges, _, nodes = utils.dropout_node(data.edge_index, RATE, num_nodes=NODES, relabel_nodes=True)
        return edges, data.x[nodes]

    return call


def _ego_net(data: Data) -> Call:
    def call() -> object:
        root = int(torch.randint(NODES, ()))
        nodes, edges, _, _ = utils.k_hop_subgraph(root, 2, data.edge_index, relabel_nodes=True, num_nodes=NODES)
        return edges, data.x[nodes]

    return call


def _mean_row(data: Data) -> Call:
    def call() -> object:
        x = data.x.clone()
        x[torch.rand(NODES) < RATE] = data.x.mean(0)
        return x

    return call


def _propagated(sign: float) -> Callable[[Data], Call]:
    def prepare(data: Data) -> Call:
        convolution = SimpleConv(aggr="sum")

        def call() -> object:
            edges, weight = gcn_norm(data.edge_index, None, NODES)
            smooth = convolution(data.x, edges, weight)
            return smooth if sign > 0 else 2 * data.x - smooth

        return call

    return prepare


def _importance_edges(data: Data) -> Call:
    def call() -> object:
        score = utils.degree(data.edge_index[1], NODES)[data.edge_index[1]].log()
        weight = (score.max() - score) / (score.max() - score.mean())
        removed = (weight / weight.mean() * 0.3).clamp(max=0.7)
        return data.edge_index[:, torch.bernoulli(1 - removed).to(torch.bool)]

    return call


def _importance_columns(data: Data) -> Call:
    def call() -> object:
        score = (data.x.abs().t() @ utils.degree(data.edge_index[1], NODES)).log()
        weight = (score.max() - score) / (score.max() - score.mean())
        removed = (weight / weight.mean() * 0.3).clamp(max=0.7)
        x = data.x.clone()
        x[:, torch.bernoulli(removed).to(torch.bool)] = 0.0
        return x

    return call


def _swapped(data: Data) -> Call:
    whole = utils.to_networkx(data, to_undirected=True)
    # a swap moves two edges; the graph is changed in place, further with each call
    return lambda: nx.double_edge_swap(whole, nswap=int(RATE * EDGES / 2), max_tries=EDGES, seed=0)


def _most_similar(data: Data) -> Call:
    x = F.normalize(data.x).numpy()
    return lambda: NearestNeighbors(n_neighbors=11, algorithm="brute", n_jobs=-1).fit(x).kneighbors_graph(x)


def _pushed(data: Data) -> Call:
    try:
        import numba  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("numba", "dev") from error
    # its error is bounded by eps √(d_u d_v), ours by tolerance √d: with d = 20 throughout, the same bound
    view = augment.PPRDiffusion()
    eps = view.tolerance / (2 * EDGES / NODES) ** 0.5
    diffusion = T.GDC(
        normalization_in="sym", normalization_out=None, exact=False,
        diffusion_kwargs={"method": "ppr", "alpha": view.teleport, "eps": eps},
        sparsification_kwargs={"method": "threshold", "eps": 1e-4},
    )  # fmt: skip
    plain = Data(edge_index=data.edge_index, num_nodes=NODES)
    return lambda: diffusion(copy.copy(plain))


def _personal(data: Data) -> Call:
    whole = utils.to_networkx(data, to_undirected=True)
    return lambda: nx.pagerank(whole, 0.85, {int(torch.randint(NODES, ())): 1.0})


def _decomposed(data: Data) -> Call:
    edges, weight = gcn_norm(data.edge_index, None, NODES)
    matrix = utils.to_torch_csr_tensor(edges, weight, (NODES, NODES))
    return lambda: torch.svd_lowrank(matrix, q=5, niter=10)


def _plain(function: Callable[[Data], object]) -> Callable[[Data], Call]:
    return lambda data: lambda: function(data)


_DENSE = NODES**2 * 4 / 10**9

Counterpart = tuple[str, Callable[[Data], Call] | None]


def _dense(what: str) -> Counterpart:
    return f"{what}: an N × N matrix, {_DENSE:.0f} GB; not tried", None


@dataclass(frozen=True)
class Row:
    """What is compared with what."""

    ours: Augmenter
    theirs: Counterpart
    repeats: int = 15
    categories: bool = False


_NONE: Counterpart = ("none", None)

ROWS: tuple[Row, ...] = (
    Row(augment.EdgeDropout(RATE), ("dropout_edge, undirected", _plain(
        lambda data: utils.dropout_edge(data.edge_index, RATE, force_undirected=True)))),
    Row(augment.MessageDropout(RATE), ("dropout_edge", _plain(
        lambda data: utils.dropout_edge(data.edge_index, RATE)))),
    Row(augment.EdgeAddition(RATE), ("add_random_edge", _plain(
        lambda data: utils.add_random_edge(data.edge_index, RATE, force_undirected=True, num_nodes=NODES))), 5),
    Row(augment.EdgeRewiring(RATE), ("networkx.double_edge_swap", _swapped), 2),
    Row(augment.AdaptiveEdgeDropout(0.3), ("GCA's formula by degree in textbook PyTorch", _importance_edges)),
    Row(augment.AdaptiveFeatureMask(0.3), ("GCA's formula by degree in textbook PyTorch", _importance_columns)),
    Row(augment.ErrorPassingEdgeDropout(RATE), _NONE),
    Row(augment.ErrorPassingEdgeAddition(0.1), _dense("EPAGCL's code"), 5),
    Row(augment.HomophilicEdges(), _dense("HLCL's code"), 5),
    Row(augment.HeterophilicEdges(), _dense("HLCL's code"), 5),
    Row(augment.KNNGraph(10), ("scikit-learn NearestNeighbors, brute force", _most_similar), 1),
    Row(augment.FeatureMask(RATE), ("mask_feature, columns", _plain(
        lambda data: utils.mask_feature(data.x, RATE, mode="col")))),
    Row(augment.FeatureDropout(RATE), ("mask_feature, all", _plain(
        lambda data: utils.mask_feature(data.x, RATE, mode="all")))),
    Row(augment.NodeFeatureMask(RATE), ("GraphCL's mean row in textbook PyTorch", _mean_row)),
    Row(augment.AtomMask(RATE), ("mask_feature, rows", _plain(
        lambda data: utils.mask_feature(data.x, RATE, mode="row", fill_value=119))), categories=True),
    Row(augment.GaussianNoise(0.1), ("x + 0.1 randn_like(x)", _plain(
        lambda data: data.x + 0.1 * torch.randn_like(data.x)))),
    Row(augment.SignAlignedNoise(0.1), ("SimGCL's formula in textbook PyTorch", _plain(
        lambda data: data.x + torch.sign(data.x) * F.normalize(torch.rand_like(data.x), dim=-1) * 0.1))),
    Row(augment.FeatureShuffle(), ("shuffle_node", _plain(lambda data: utils.shuffle_node(data.x)))),
    Row(augment.FeatureMixup(), _NONE),
    Row(augment.FeatureSmoothing(), ("gcn_norm, SimpleConv", _propagated(1.0)), 5),
    Row(augment.FeatureSharpening(), ("gcn_norm, SimpleConv", _propagated(-1.0)), 5),
    Row(augment.NodeDropout(RATE), ("dropout_node, relabelled", _dropped_nodes)),
    Row(augment.EgoNet(), ("k_hop_subgraph, relabelled", _ego_net)),
    Row(augment.RandomWalkSubgraph(roots=1000), _NONE),
    Row(augment.HalfHop(0.5), ("HalfHop", _plain(lambda data: T.HalfHop(alpha=0.5, p=0.5)(copy.copy(data)))), 5),
    Row(augment.PPRSubgraph(), ("networkx.pagerank, personalised", _personal), 3),
    Row(augment.CommunitySubgraph(), _NONE),
    Row(augment.PPRDiffusion(), ("GDC, approximate (numba)", _pushed), 1),
    Row(augment.SpectralPerturbation(), _dense("GCL-SPAN's code"), 3),
    Row(augment.HighFrequencyEmphasis(), _dense("SpCo's code"), 3),
    Row(augment.LowFrequencyEmphasis(), _dense("SpCo's code"), 3),
)  # fmt: skip
"""Without those that take minutes, of which the counterpart is dense: `--all` adds them."""

SLOW: tuple[Row, ...] = (
    Row(augment.HeatDiffusion(), _dense("GDC, exact"), 1),
    Row(augment.MarkovDiffusion(), _dense("PyGCL's MarkovDiffusion"), 1),
    Row(augment.SpectralShift(), _dense("GCL-SPAN's code"), 1),
    Row(augment.LowRankView(), ("torch.svd_lowrank alone, no graph made of it", _decomposed), 1),
)


def _timed(call: Call) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def measured(row: Row, data: Data) -> Timing:
    """All turns of a row."""
    if row.categories:
        data = Data(x=(data.x[:, :2].abs() * 10).long(), edge_index=data.edge_index)
    label, prepare = row.theirs
    note = ""
    theirs: Call | None = None
    if prepare is not None:
        try:
            theirs = prepare(data)
        except MissingExtraError as error:
            note = f"not run: {error}"
    # what only depends on the graph is remembered after the first call; once is what a single call costs
    first = _timed(lambda: row.ours(data))
    if theirs is not None and row.repeats > 1:
        theirs()
    timing = Timing(type(row.ours).__name__, [], [], label, first, note)
    for _ in range(row.repeats):
        if row.repeats > 1:
            timing.ours.append(_timed(lambda: row.ours(data)))
        else:
            timing.ours.append(first)
        if theirs is not None:
            timing.theirs.append(_timed(theirs))
    return timing


def _seconds(values: list[float]) -> str:
    middle = statistics.median(values)
    return f"{middle * 1e3:.1f} ms" if middle < 1 else f"{middle:.1f} s"


def ratio(timing: Timing) -> float | None:
    """The median over turns of theirs / ours."""
    if not timing.theirs:
        return None
    return statistics.median(b / a for a, b in zip(timing.ours, timing.theirs, strict=True))


def table(timings: list[Timing]) -> str:
    """The rows as Markdown, and what they come to."""
    lines = [
        "| augmenter | first call | a call | counterpart | its call | counterpart / ours |",
        "|---|---|---|---|---|---|",
    ]
    found = []
    for timing in timings:
        share = ratio(timing)
        if share is not None:
            found.append(share)
        its = _seconds(timing.theirs) if timing.theirs else "–"
        label = f"{timing.counterpart} ({timing.note})" if timing.note else timing.counterpart
        cells = [timing.augmenter, _seconds([timing.first]), _seconds(timing.ours), label, its]
        lines.append("| " + " | ".join([*cells, "–" if share is None else f"{share:.2f}"]) + " |")
    if found:
        lines += ["", f"{len(found)} with a counterpart that ran: median {statistics.median(found):.2f}, "
                  f"least {min(found):.2f}."]  # fmt: skip
    return "\n".join(lines)


def main() -> None:
    """Measure what was asked for and print the table."""
    names = [type(row.ours).__name__ for row in (*ROWS, *SLOW)]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="CLASS", choices=names)
    parser.add_argument("--all", action="store_true", help="also those that take minutes")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the table there, raw times to its .jsonl")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  (what PyG draws negative edges with)
    data = million()
    raw = asked.out.with_suffix(".jsonl") if asked.out else None
    timings: list[Timing] = []
    if raw and raw.exists():
        timings = [Timing(**json.loads(line)) for line in raw.read_text().splitlines()]
    # what the file holds is not measured again: delete its lines to do so
    known = {timing.augmenter for timing in timings}
    chosen: list[Any] = []
    for row in (*ROWS, *SLOW) if asked.all or asked.only else ROWS:
        name = type(row.ours).__name__
        if (not asked.only or name in asked.only) and name not in known:
            chosen.append(row)
    head = machine(asked.threads)
    for row in chosen:
        timing = measured(row, data)
        timings.append(timing)
        share = ratio(timing)
        said = "" if share is None else f", counterpart / ours {share:.2f}"
        print(f"{timing.augmenter}: {_seconds(timing.ours)}{said}", file=sys.stderr, flush=True)
        if raw:
            raw.parent.mkdir(parents=True, exist_ok=True)
            with raw.open("a") as file:
                file.write(json.dumps(asdict(timing)) + "\n")
    order = {name: place for place, name in enumerate(names)}
    timings.sort(key=lambda timing: order[timing.augmenter])
    about = f"{NODES:,} nodes, {EDGES:,} undirected edges (2 × as many columns), {FEATURES} features"
    text = "\n".join([f"* {line}" for line in [*head, about]] + ["", table(timings)])
    print(text)
    if asked.out:
        asked.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
