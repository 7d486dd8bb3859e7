"""The contextual stochastic block model: graphs whose homophily, degree and feature signal are known because set."""

from dataclasses import asdict, dataclass
from functools import partial
from typing import Annotated

import annotated_types as at
import numpy as np
import torch
from torch_geometric.data import Data
from torch_geometric.utils import to_undirected

from graphcl.config import Config, NonNegative, Rate, Seed, Size
from graphcl.data.spec import Counts, DatasetSpec, Files, Graphs, Layout
from graphcl.errors import RequestError
from graphcl.seeding import Seeds

__all__ = [
    "CSBM",
    "CSBM_HETEROPHILIC",
    "CSBM_HOMOPHILIC",
    "CSBM_MIXED",
    "CSBM_MIXED_HARD",
    "MixedCSBM",
    "csbm",
    "mixed_csbm",
]


@dataclass(frozen=True)
class CSBM(Config):
    """The parameters of `csbm`, checked.

    Raises:
        RequestError: a value out of range, too few nodes per class, or more edges asked for than there are pairs.
    """

    nodes: Size = 600
    classes: Annotated[int, at.Ge(2)] = 3
    degree: NonNegative = 10.0
    homophily: Annotated[float, at.Interval(ge=0.0, le=1.0)] = 0.8
    features: Size = 64
    signal: NonNegative = 1.0
    noise: NonNegative = 1.0
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nodes < 2 * self.classes:
            raise RequestError(
                f"CSBM.nodes = {self.nodes}: {self.classes} classes need at least {2 * self.classes} nodes, two each"
            )
        for kind, probability in zip(("within", "between"), self.probabilities, strict=True):
            if probability > 1:
                raise RequestError(
                    f"CSBM.degree = {self.degree}: at homophily {self.homophily} an edge {kind} classes would have "
                    f"probability {probability:.3g}; lower the degree or raise the number of nodes"
                )

    @property
    def sizes(self) -> np.ndarray:
        """Nodes of each class, ``[C]``; they differ by one at most."""
        return self.nodes // self.classes + (np.arange(self.classes) < self.nodes % self.classes)

    @property
    def probabilities(self) -> tuple[float, float]:
        """Probability of an edge between two nodes of the same class, and of different classes."""
        same = float((self.sizes * (self.sizes - 1)).sum()) / 2
        other = self.nodes * (self.nodes - 1) / 2 - same
        edges = self.nodes * self.degree / 2
        return self.homophily * edges / same, (1 - self.homophily) * edges / other


def csbm(
    nodes: int = 600,
    classes: int = 3,
    degree: float = 10.0,
    homophily: float = 0.8,
    features: int = 64,
    signal: float = 1.0,
    noise: float = 1.0,
    seed: int = 0,
) -> Data:
    r"""Draw a graph from the contextual stochastic block model.

    .. math::
        P(\{u, v\} \in E) &= \begin{cases} h \, N d / 2 P_{=} & y_u = y_v \\ (1 - h) \, N d / 2 P_{\neq} & y_u \neq y_v
        \end{cases} \\
        x_v &= s \, \mu_{y_v} + \sigma \varepsilon_v, \quad \varepsilon_v \sim \mathcal{N}(0, I_F), \; \|\mu_c\|_2 = 1

    with :math:`P_{=}` and :math:`P_{\neq}` the numbers of node pairs of equal and of different class, so that the
    expected degree is d and the expected number of same-class edges is h times that of all edges. The directions
    :math:`\mu_c` are uniform on the sphere. At :math:`h = 1 / C` the edges tell nothing about the labels.

    Args:
        nodes: N, at least two per class.
        classes: C, at least 2; their sizes differ by one at most. Nodes are numbered class by class.
        degree: d, the expected number of neighbours, 0 or more and no more than the pairs allow.
        homophily: h in [0, 1], the expected share of edges that join nodes of the same class.
        features: F, at least 1.
        signal: s, the norm of the class means, 0 or more.
        noise: sigma, the standard deviation of each feature around its class mean, 0 or more.
        seed: draws everything; edges do not depend on F, s and sigma.

    Returns:
        A graph with ``x`` ``float32 [N, F]``, ``edge_index`` ``[2, 2E]`` (both directions, no self-loops, no
        duplicates) and ``y`` ``[N]`` in 0..C-1.

    Raises:
        RequestError: a value out of range, or more edges asked for than there are pairs.

    Reference:
        Deshpande, Sen, Montanari & Mossel, Contextual stochastic block models, NeurIPS 2018; Chien, Peng, Li &
        Milenkovic, Adaptive universal generalized PageRank graph neural network, ICLR 2021, appendix A.5. Both have two
        classes with opposite means; here there are C with independent ones.

    Example:
        >>> csbm(nodes=100, features=8)
        Data(x=[100, 8], edge_index=[2, 1038], y=[100])
    """
    model = CSBM(nodes, classes, degree, homophily, features, signal, noise, seed)
    seeds = Seeds(seed)
    y = np.repeat(np.arange(classes), model.sizes)
    rng = seeds.numpy("csbm/features")
    means = rng.standard_normal((classes, features))
    means *= signal / np.linalg.norm(means, axis=1, keepdims=True)
    x = means[y] + noise * rng.standard_normal((nodes, features))
    return Data(
        x=torch.from_numpy(x).float(),
        edge_index=to_undirected(torch.from_numpy(_edges(model, seeds.numpy("csbm/edges"))), num_nodes=nodes),
        y=torch.from_numpy(y),
    )


def _edges(model: CSBM, rng: np.random.Generator) -> np.ndarray:
    """One direction of each edge, ``[2, E]``, block by block."""
    within, between = model.probabilities
    sizes = model.sizes
    start = np.concatenate([[0], np.cumsum(sizes)])
    blocks = []
    for a in range(model.classes):
        pairs = _bernoulli(int(sizes[a] * (sizes[a] - 1) // 2), within, rng)
        # pair number k of a triangle is (i, j) with i < j and k = j (j - 1) / 2 + i; the root may be one off
        j = np.floor((1 + np.sqrt(1 + 8.0 * pairs)) / 2).astype(np.int64)
        j -= j * (j - 1) // 2 > pairs
        j += j * (j + 1) // 2 <= pairs
        blocks.append(np.stack([pairs - j * (j - 1) // 2, j]) + start[a])
        # all later classes at once: a rectangle of this class by the nodes that follow it
        later = int(model.nodes - start[a + 1])
        pairs = _bernoulli(int(sizes[a]) * later, between, rng)
        blocks.append(np.stack([pairs // max(later, 1) + start[a], pairs % max(later, 1) + start[a + 1]]))
    return np.concatenate(blocks, axis=1)


def _bernoulli(trials: int, probability: float, rng: np.random.Generator) -> np.ndarray:
    """The sorted successes among independent trials, found by geometric jumps in time proportional to their number."""
    if trials == 0 or probability <= 0:
        return np.zeros(0, dtype=np.int64)
    if probability >= 1:
        return np.arange(trials)
    scale = np.log1p(-probability)
    found: list[np.ndarray] = []
    last = -1
    while last < trials:
        expected = (trials - last) * probability
        uniform = rng.random(int(expected + 4 * np.sqrt(expected)) + 16)
        with np.errstate(over="ignore"):
            # a jump beyond the last trial is as good as one far beyond it
            jump = np.minimum(np.floor(np.log1p(-uniform) / scale), trials).astype(np.int64) + 1
        found.append(last + np.cumsum(jump))
        last = int(found[-1][-1])
    successes = np.concatenate(found)
    return successes[successes < trials]


@dataclass(frozen=True)
class MixedCSBM(Config):
    """The parameters of `mixed_csbm`, checked.

    Raises:
        RequestError: a value out of range, or a region that `CSBM` refuses.
    """

    nodes: Size = 1200
    classes: Annotated[int, at.Ge(2)] = 4
    degree: NonNegative = 10.0
    homophily: tuple[Rate, Rate] = (0.8, 0.04)
    cross: NonNegative = 0.2
    features: Size = 64
    signal: NonNegative = 2.0
    noise: NonNegative = 0.6
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        pairs = self.sizes[0] * self.sizes[1]
        if self.cross * self.nodes / 2 > pairs:
            raise RequestError(f"MixedCSBM.cross = {self.cross}: there are {pairs} pairs of nodes in different regions")
        _ = self.regions  # checks them

    @property
    def sizes(self) -> tuple[int, int]:
        """Nodes of each region."""
        return self.nodes - self.nodes // 2, self.nodes // 2

    @property
    def regions(self) -> tuple[CSBM, CSBM]:
        """The two regions by themselves."""
        first, second = (
            CSBM(n, self.classes, self.degree, h, self.features, self.signal, self.noise, self.seed)
            for n, h in zip(self.sizes, self.homophily, strict=True)
        )
        return first, second


def mixed_csbm(
    nodes: int = 1200,
    classes: int = 4,
    degree: float = 10.0,
    homophily: tuple[float, float] = (0.8, 0.04),
    cross: float = 0.2,
    features: int = 64,
    signal: float = 2.0,
    noise: float = 0.6,
    seed: int = 0,
) -> Data:
    r"""Draw a graph of two regions, one homophilic, one heterophilic, with the same classes and features.

    Within each region edges are those of `csbm` with its own homophily; a few edges join the regions whatever the
    classes. No filter that is the same for all nodes suits both regions.

    Args:
        nodes: N, half in each region.
        classes: C, in equal shares of each region.
        degree: expected number of neighbours within the region.
        homophily: expected share of same-class edges in the first and in the second region.
        cross: expected number of neighbours in the other region.
        features: F.
        signal: norm of the class means, which the regions share.
        noise: standard deviation of each feature around its mean.
        seed: draws everything.

    Returns:
        A graph with ``x``, ``edge_index``, ``y``, and ``region`` ``int64 [N]``: 0 in the first, 1 in the second region.

    Raises:
        RequestError: a value out of range, or more edges asked for than there are pairs.

    Example:
        >>> mixed_csbm(nodes=200, features=8).region.bincount().tolist()
        [100, 100]
    """
    model = MixedCSBM(nodes, classes, degree, homophily, cross, features, signal, noise, seed)
    seeds = Seeds(seed)
    first, _ = model.sizes
    y = np.concatenate([np.repeat(np.arange(classes), region.sizes) for region in model.regions])
    rng = seeds.numpy("mixed-csbm/features")
    means = rng.standard_normal((classes, features))
    means *= signal / np.linalg.norm(means, axis=1, keepdims=True)
    x = means[y] + noise * rng.standard_normal((nodes, features))
    rng = seeds.numpy("mixed-csbm/edges")
    inside = [_edges(region, rng) + shift for region, shift in zip(model.regions, (0, first), strict=True)]
    pairs = first * (nodes - first)
    joined = _bernoulli(pairs, cross * nodes / 2 / pairs, rng)
    between = np.stack([joined // (nodes - first), first + joined % (nodes - first)])
    return Data(
        x=torch.from_numpy(x).float(),
        edge_index=to_undirected(torch.from_numpy(np.concatenate([*inside, between], axis=1)), num_nodes=nodes),
        y=torch.from_numpy(y),
        region=(torch.arange(nodes) >= first).long(),
    )


_HOMOPHILIC = CSBM(nodes=1000, degree=4.0, homophily=0.8, signal=1.0)
_HETEROPHILIC = CSBM(nodes=1000, degree=10.0, homophily=0.2, signal=2.0)


def _read(files: Files, *, model: CSBM) -> Graphs:
    return csbm(**asdict(model))


def _spec(kind: str, model: CSBM, edges: int, content: str, effect: str) -> DatasetSpec:
    return DatasetSpec(
        name=f"csbm-{kind}",
        title=f"cSBM ({kind})",
        layouts=(Layout(read=partial(_read, model=model)),),
        counts=Counts(nodes=model.nodes, edges=edges, features=model.features, classes=model.classes),
        content=content,
        licence="none needed (synthetic)",
        citation="Y. Deshpande, S. Sen, A. Montanari, E. Mossel. Contextual stochastic block models. NeurIPS 2018.",
        source="graphcl.data.csbm",
        note=(
            f"Synthetic: {model.classes} equal classes, expected degree {model.degree:g}, a share {model.homophily:g} "
            f"of the edges inside classes, Gaussian features with class means of norm {model.signal:g} and unit noise; "
            f"smoothing the features over the edges {effect} a linear probe."
        ),
    )


CSBM_HOMOPHILIC = _spec("homophilic", _HOMOPHILIC, 3980, "327bde3633c6ca8e", "helps")
CSBM_HETEROPHILIC = _spec("heterophilic", _HETEROPHILIC, 10028, "b0435dab29cd235b", "harms")


def _read_mixed(files: Files, *, model: MixedCSBM) -> Graphs:
    return mixed_csbm(**asdict(model))


def _mixed(name: str, model: MixedCSBM, edges: int, content: str) -> DatasetSpec:
    return DatasetSpec(
        name=name,
        title=f"cSBM of two regions, noise {model.noise:g}",
        layouts=(Layout(read=partial(_read_mixed, model=model)),),
        counts=Counts(nodes=model.nodes, edges=edges, features=model.features, classes=model.classes),
        content=content,
        licence="none needed (synthetic)",
        citation="Y. Deshpande, S. Sen, A. Montanari, E. Mossel. Contextual stochastic block models. NeurIPS 2018.",
        source="graphcl.data.mixed_csbm",
        note=(
            f"Synthetic: half of the nodes in a region with a share {model.homophily[0]:g} of same-class edges, half "
            f"in one with {model.homophily[1]:g} (`data.region`), expected degree {model.degree:g} inside and "
            f"{model.cross:g} across, {model.classes} classes with Gaussian features around means of norm "
            f"{model.signal:g}: smoothing helps one half of the nodes and harms the other."
        ),
    )


CSBM_MIXED = _mixed("csbm-mixed", MixedCSBM(), 12122, "9245556c13ac3ba3")
CSBM_MIXED_HARD = _mixed("csbm-mixed-hard", MixedCSBM(noise=1.0, seed=1), 12290, "6cf4d2db35b7cc6d")
