"""The contextual stochastic block model: graphs whose homophily, degree and feature signal are known because set."""

from dataclasses import asdict, dataclass
from functools import partial
from typing import Annotated

import annotated_types as at
import numpy as np
import torch
from torch_geometric.data import Data
from torch_geometric.utils import to_undirected

from graphcl.config import Config, NonNegative, Seed, Size
from graphcl.data.spec import Counts, DatasetSpec, Files, Graphs, Layout
from graphcl.errors import RequestError
from graphcl.seeding import Seeds

__all__ = ["CSBM", "CSBM_HETEROPHILIC", "CSBM_HOMOPHILIC", "csbm"]


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
