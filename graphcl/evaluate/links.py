r"""Link prediction: edges are taken out of a graph before anything is trained on it, and found again in the embedding.

1. `split_links` takes pairs of nodes out, in both directions, and draws as many pairs that no edge joins.
2. The encoder is trained and run on ``split.data`` alone: the graph that is left. What it has not seen it cannot leak.
3. `score_links` ranks the held-out pairs by each scorer and reports the scorer that is best on validation.

`link_prediction` is the three in one call.

| scorer | score of the pair (u, v) |
|---|---|
| ``dot`` | :math:`h_u \cdot h_v` |
| ``cosine`` | :math:`\cos(h_u, h_v)` |
| ``hadamard`` | logistic regression on :math:`h_u \odot h_v`, fitted on the edges that are left and on absent pairs |

What a node carries stays. Features that were computed from the edges of the whole graph (Laplacian eigenvectors, rows
of the adjacency, another embedding) hold the held-out edges as well, and no split can take them out: compute them again
on ``split.data``.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.alignment import is_batch, keep_edges, plain_edge_index
from graphcl.errors import DataError, RequestError
from graphcl.evaluate.logistic import LogisticProbe
from graphcl.evaluate.probes import Selection
from graphcl.graph import check_graph, unit_rows
from graphcl.ops.pairs import contains, free_pairs, pair_codes
from graphcl.ops.pairwise import pair_products
from graphcl.seeding import Seeds, draw_order, imported

__all__ = ["LinkScores", "LinkSplit", "Pairs", "Scorer", "link_prediction", "score_links", "split_links"]

Scorer = Literal["dot", "cosine", "hadamard"]

_FITTED = 2**14
"""Edges, and absent pairs, that the regression is fitted on at most: they are in random order."""
_STRENGTHS = tuple(4.0**k for k in range(-8, 3))


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of nodes to be told apart, each once, the smaller node first.

    Args:
        positive: pairs that an edge of the whole graph joins, ``int64 [2, P]``.
        negative: pairs that none joins, ``int64 [2, P]`` (fewer in train where the graph is nearly complete).
    """

    positive: Tensor
    negative: Tensor

    @property
    def both(self) -> Tensor:
        """Positive pairs and then negative ones, ``int64 [2, P + Q]``."""
        return torch.cat([self.positive, self.negative], 1)

    @property
    def labels(self) -> Tensor:
        """1 for the positive pairs and 0 for the negative ones, in the order of `both`."""
        return torch.cat([torch.ones(self.positive.size(1)), torch.zeros(self.negative.size(1))]).long()


@dataclass(frozen=True, eq=False)
class LinkSplit:
    """A graph without its held-out edges, and the pairs.

    Args:
        data: the graph that is left: all nodes, all that they carry, the edges of ``train`` and the self-loops.
        train: its edges, and absent pairs for scorers that are fitted.
        val: held out, to select on.
        test: held out, to score on.
    """

    data: Data
    train: Pairs
    val: Pairs
    test: Pairs

    def __iter__(self) -> Iterator[Pairs]:
        return iter((self.train, self.val, self.test))


def split_links(data: Data, generator: torch.Generator, *, val: float = 0.05, test: float = 0.1) -> LinkSplit:
    r"""Hold out edges of a graph and draw absent pairs beside them.

    The unit is the pair of nodes: where (u, v) is held out, every edge between u and v is, whatever its direction and
    however often it is stored. Absent pairs are drawn uniformly, without repetition, among those that no edge of the
    *whole* graph joins in either direction; no pair is in two parts. Self-loops are no pairs and stay.

    Args:
        data: the graph; it is not changed.
        generator: draws the pairs.
        val: share of the joined pairs that is held out to select on, in (0, 1).
        test: share that is held out to score on; with ``val`` below 1 together.

    Returns:
        A `LinkSplit`; val and test hold ``round(share · pairs)`` pairs each, one at least, and as many absent ones.

    Raises:
        RequestError: a share out of range.
        DataError: no single graph, a second form of its edges beside ``edge_index`` (such as ``adj_t``), too few edges,
            or too few absent pairs.

    Reference:
        Kipf & Welling, Variational graph auto-encoders, 2016 (arXiv 1611.07308): 5 % and 10 % of the edges, as many
        absent ones.

    Example:
        >>> import graphcl
        >>> split = split_links(graphcl.load("karate")[0], torch.Generator().manual_seed(0))
        >>> split.data.num_edges, [part.positive.size(1) for part in split]
        (132, [66, 4, 8])
    """
    if not (0 < val < 1 and 0 < test < 1 and val + test < 1):
        raise RequestError(f"val = {val}, test = {test}: both should be above 0, and below 1 together")
    check_graph(data)
    _refuse_other_edges(data)
    edges, n = plain_edge_index(data._store), int(data.num_nodes or 0)
    codes = pair_codes(edges, n, undirected=True)
    joined = codes[edges[0] != edges[1]].unique()
    held = [max(1, round(share * joined.numel())) for share in (test, val)]
    if joined.numel() <= sum(held):
        raise DataError(f"the graph joins {joined.numel()} pairs of nodes; {sum(held)} held out would leave none")
    joined = joined[draw_order(joined.numel(), generator=generator, device=joined.device)]
    # a directed edge joins its pair both ways
    both_ways = torch.cat([edges, edges.flip(0)], 1)
    wanted = torch.zeros(joined.numel(), dtype=torch.long, device=edges.device)
    absent = free_pairs(data, both_ways, wanted, True, generator)[0]
    if absent.size(1) < sum(held):
        raise DataError(
            f"only {absent.size(1)} pairs of nodes are not joined and {sum(held)} are needed; hold out less"
        )
    # the rest is train's
    absent = torch.stack([absent.min(0).values, absent.max(0).values])
    parts = []
    for i, size in enumerate((*held, joined.numel())):
        rows = slice(sum(held[:i]), sum(held[:i]) + size)
        parts.append(Pairs(torch.stack([joined[rows] // n, joined[rows] % n]), absent[:, rows]))
    left = data.__copy__()
    hidden = joined[: sum(held)].sort().values
    keep_edges(left, left._store, ~contains(hidden, codes))
    return LinkSplit(left, parts[2], parts[1], parts[0])


def _refuse_other_edges(data: Data) -> None:
    if is_batch(data):
        raise DataError("links are held out of one graph and this is a batch; split each of its graphs")
    n = int(data.num_nodes or 0)
    for name, value in data:
        if name in ("edge_index", "x"):
            continue
        if (
            "adj" in name
            or name.startswith("edge_label")
            or hasattr(value, "sparse_sizes")  # torch-sparse
            or (isinstance(value, Tensor) and _may_hold_edges(value, n))
        ):
            raise DataError(f"data.{name} may hold edges that are to be held out; leave it out: del data.{name}")


def _may_hold_edges(value: Tensor, n: int) -> bool:
    listed = value.dim() == 2 and value.size(0) == 2 != n and value.dtype == torch.long
    return listed or value.layout != torch.strided or value.shape == (n, n)


@dataclass(frozen=True)
class LinkScores:
    """What an embedding knows of held-out edges.

    Args:
        metrics: ``auc/val``, ``ap/val``, ``auc/test``, ``ap/test`` of the chosen scorer, in [0, 1].
        scorer: the one with the best ``auc/val``; of equals the one named first.
        per_scorer: the same figures of each scorer.
        chosen: what the regression settled on, where it was fitted.
    """

    metrics: dict[str, float]
    scorer: str
    per_scorer: dict[str, dict[str, float]]
    chosen: dict[str, Any]


def _products(z: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda pairs: pair_products(z, z, pairs)


def _fitted(h: Tensor, split: LinkSplit) -> tuple[Callable[[Tensor], Tensor], dict[str, Any]]:
    """A regression on products of coordinates, selected on validation."""
    if split.train.negative.size(1) == 0:
        raise DataError("the graph has no absent pairs left to fit the hadamard scorer on; leave it out of scorers")
    train = Pairs(split.train.positive[:, :_FITTED], split.train.negative[:, :_FITTED])
    labels = torch.cat([train.labels, split.val.labels])
    rows = torch.arange(labels.numel())
    fit, select = rows[: train.labels.numel()], rows[train.labels.numel() :]
    u, v = torch.cat([train.both, split.val.both], 1)
    probe = LogisticProbe(normalisations=("z-score",), strengths=_STRENGTHS)
    [classifier] = probe.fit(h[u] * h[v], [Selection(labels, fit, ((fit, select),))], 2, "auc")

    def score(pairs: Tensor) -> Tensor:
        pieces = pairs.split(_FITTED, dim=1)
        logits = torch.cat([classifier.logits(h[u] * h[v]) for u, v in pieces])
        return logits[:, 1] - logits[:, 0]

    return score, classifier.chosen


@torch.no_grad()
def score_links(h: Tensor, split: LinkSplit, scorers: Sequence[Scorer] = ("dot", "cosine", "hadamard")) -> LinkScores:
    r"""Rank held-out edges among absent pairs by an embedding.

    .. math:: \mathrm{AUC} = P(s_+ > s_-) + \tfrac12 P(s_+ = s_-), \qquad
              \mathrm{AP} = \sum_k (R_k - R_{k-1})\, P_k

    from scores, never from predicted labels. The scorer is chosen on the validation pairs; test pairs are read once
    per scorer, and nothing is chosen by them.

    Args:
        h: embedding ``[N, D]`` of ``split.data``.
        split: from `split_links`.
        scorers: which to choose from.

    Returns:
        `LinkScores`.

    Raises:
        DataError: the embedding is no finite floating-point matrix with a row for each node.
        RequestError: no scorer, or an unknown one.

    Example:
        >>> import graphcl
        >>> split = split_links(graphcl.load("karate")[0], torch.Generator().manual_seed(0))
        >>> sorted(score_links(split.data.x, split).metrics)
        ['ap/test', 'ap/val', 'auc/test', 'auc/val']
    """
    unknown = [name for name in scorers if name not in ("dot", "cosine", "hadamard")]
    if unknown or not scorers:
        raise RequestError(f"scorers = {list(scorers)}: should be some of 'dot', 'cosine', 'hadamard'")
    n = int(split.data.num_nodes or 0)
    if h.dim() != 2 or not h.is_floating_point() or len(h) != n:
        raise DataError(f"the embedding is {h.dtype} of shape {list(h.shape)}; expected floating point [{n}, D]")
    if not torch.isfinite(h).all():
        raise DataError("the embedding holds NaN or infinity; lower the learning rate")
    average_precision_score = imported("sklearn.metrics").average_precision_score
    roc_auc_score = imported("sklearn.metrics").roc_auc_score
    h = h.detach().cpu().double()
    per_scorer: dict[str, dict[str, float]] = {}
    chosen: dict[str, Any] = {}
    for name in scorers:
        if name == "hadamard":
            score, chosen = _fitted(h, split)
        else:
            score = _products(unit_rows(h) if name == "cosine" else h)
        found = {}
        for part, pairs in (("val", split.val), ("test", split.test)):
            scores, labels = score(pairs.both.cpu()).numpy(), pairs.labels.numpy()
            found[f"auc/{part}"] = float(roc_auc_score(labels, scores))
            found[f"ap/{part}"] = float(average_precision_score(labels, scores))
        per_scorer[name] = found
    best = max(per_scorer, key=lambda name: per_scorer[name]["auc/val"])
    return LinkScores(per_scorer[best], best, per_scorer, chosen)


def link_prediction(
    embed: Callable[[Data], Tensor],
    data: Data,
    seed: int = 0,
    *,
    val: float = 0.05,
    test: float = 0.1,
    scorers: Sequence[Scorer] = ("dot", "cosine", "hadamard"),
) -> LinkScores:
    """Hold out edges, embed what is left, and score: the encoder is handed a graph that holds no held-out pair.

    Args:
        embed: trains on the graph that it is handed and embeds it, ``[N, D]``:
            ``lambda graph: graphcl.embed("grace", graph)``.
        data: the whole graph; it is not changed.
        seed: draws the pairs.
        val: as in `split_links`.
        test: as in `split_links`.
        scorers: as in `score_links`.

    Raises:
        DataError: as `split_links` and `score_links`.
        RequestError: as `split_links` and `score_links`.

    Example:
        >>> import graphcl
        >>> data, _ = graphcl.load("karate")
        >>> scores = link_prediction(lambda graph: graphcl.embed("grace", graph, plan={"epochs": 2}), data)
        >>> 0 <= scores.metrics["auc/test"] <= 1
        True
    """
    split = split_links(data, Seeds(seed).torch("links"), val=val, test=test)
    return score_links(embed(split.data), split, scorers)
