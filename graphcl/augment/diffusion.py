r"""Views whose edges lead to where a walk leads: graph diffusion, of which the large entries are kept.

.. math:: S = \sum_{k \ge 0} \theta_k M^k, \qquad M = D^{-1/2} (A + I) D^{-1/2}

| class | :math:`\theta_k` | where a neighbourhood ends |
|---|---|---|
| `PPRDiffusion` | :math:`\alpha (1 - \alpha)^k` | after :math:`1 / \alpha` steps in the mean |
| `HeatDiffusion` | :math:`e^{-t} t^k / k!` | around t steps |
| `MarkovDiffusion` | :math:`(1 - \alpha) / K` for k = 1..K, :math:`\alpha` for k = 0 | after K steps |

In a directed graph M is the stochastic :math:`D^{-1} (A + I)` with :math:`A_{vu}` the weight of the edge u → v and D
its row sums: row v spreads over the nodes that v gathers from.

The view has the edge u → v with ``edge_weight`` :math:`S_{vu}`, loops included, for the ``k`` largest entries of each
row. An undirected graph stays undirected: what one end keeps, both have, with one weight bit for bit, so that a node
may have more than ``k`` edges. The kept entries are not normalised again; a GCN does that. Nothing here is random, and
the diffusions of the graphs seen last are remembered by all edges and weights, so that the same graph in the next epoch
costs a comparison. No gradient passes to the weights.

`graphcl.ops.diffuse` says how the rows are found, how exactly, and in how many bytes.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar

import annotated_types
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.alignment import node_offsets, plain_edge_index, replace_edges
from graphcl.augment.augmenter import Augmenter
from graphcl.config import NonNegative, Positive, Rate, Size
from graphcl.errors import DataError, RequestError
from graphcl.ops.diffuse import diffusion_edges
from graphcl.ops.kernels import Heat, Kernel, Markov, Teleport

__all__ = ["HeatDiffusion", "MarkovDiffusion", "PPRDiffusion"]

Share = Annotated[float, annotated_types.Interval(gt=0.0, le=1.0)]


def walk_weight(name: str, data: Data) -> Tensor | None:
    """The weights of the edges, if a walk can follow them.

    Args:
        name: whose they are to be, for the message.
        data: the graph.

    Raises:
        DataError: negative weights.
    """
    weight = data.get("edge_weight")
    if weight is None:
        return None
    weight = weight.detach()
    if weight.numel() and float(weight.min()) < 0:
        bad = int((weight < 0).nonzero()[0, 0])
        raise DataError(
            f"{name}: data.edge_weight is negative, first at edge {bad}; no walk follows such an edge: clamp it to 0"
        )
    return weight


class _Diffusion(Augmenter):
    """Replaces the edges by the large entries of a diffusion."""

    takes_sparse_features: ClassVar[bool] = True
    differentiable: ClassVar[tuple[str, ...]] = ("x",)

    k: int | None
    threshold: float
    self_loops: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.k is None and self.threshold == 0.0:
            raise RequestError(
                f"{type(self).__name__}.k = None with threshold = 0 keeps all N² entries; set one of the two"
            )

    @property
    @abstractmethod
    def kernel(self) -> Kernel:
        """Said by the subclass."""

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """Replace the edges."""
        weight = walk_weight(type(self).__name__, data)
        edges, values = diffusion_edges(
            plain_edge_index(data._store),
            int(data.num_nodes or 0),
            self.kernel,
            weight,
            k=self.k,
            threshold=self.threshold,
            tolerance=getattr(self, "tolerance", 1.0),
            self_loops=self.self_loops,
            offsets=node_offsets(data),
        )
        x = data.get("x")
        floating = isinstance(x, Tensor) and x.is_floating_point()
        replace_edges(data, data._store, edges, values.to(x.dtype if floating else torch.get_default_dtype()))
        return data


@dataclass(frozen=True)
class PPRDiffusion(_Diffusion):
    r"""Replace the edges by personalised PageRank.

    .. math:: S = \alpha \sum_{k \ge 0} (1 - \alpha)^k M^k = \alpha \big(I - (1 - \alpha) M\big)^{-1}, \qquad
        M = D^{-1/2} (A + I) D^{-1/2}

    Entries of graphs of up to 32768 nodes, and of all graphs on CUDA, are right to 1e-5. In larger ones rows are
    pushed as long as that is faster: then an entry may be too small, by :math:`tolerance \sqrt{d_u}` at most (d counts
    the loop; in a directed graph by the tolerance times the sum of column u of S).

    Args:
        teleport: :math:`\alpha`, probability to go back to the start at each step, in (0, 1].
        k: edges that are kept of each node, the largest, itself among them; ``None`` keeps all from the threshold on.
        threshold: the least weight that is kept, 0 or more.
        tolerance: how exact rows of large graphs are, more than 0; their time grows with its inverse.
        self_loops: give a loop to each node that has none before the walk. Without it, a node without edges still
            stays where it is.

    Raises:
        RequestError: a parameter out of range, or neither ``k`` nor ``threshold``.
        DataError: ``edge_index`` is missing, misshapen or out of range, or ``edge_weight`` does not fit or is negative.

    Reference:
        Gasteiger, Weißenberger & Günnemann, Diffusion improves graph learning (GDC), NeurIPS 2019, equation 1 and the
        coefficients and top-k of its sections 2 and 3; a new normalisation follows there, here not. As a view of
        contrastive learning, Hassani & Khasahmadi, Contrastive multi-view representation learning on graphs (MVGRL),
        ICML 2020, section 3.1, with teleport 0.2 and all N² entries of the inverse.

    Example:
        >>> g = Data(x=torch.ones(3, 1), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> view = PPRDiffusion(0.5, k=2)(g)
        >>> view.edge_index.tolist(), view.is_undirected()
        ([[0, 0, 1, 1, 1, 2, 2], [0, 1, 0, 1, 2, 1, 2]], True)
    """

    teleport: Share = 0.2
    k: Size | None = 32
    threshold: NonNegative = 0.0
    tolerance: Positive = 1e-4
    self_loops: bool = True

    @property
    def kernel(self) -> Kernel:
        """Coefficients of the diffusion."""
        return Teleport(self.teleport)


@dataclass(frozen=True)
class HeatDiffusion(_Diffusion):
    r"""Replace the edges by the heat kernel.

    .. math:: S = e^{-t} \sum_{k \ge 0} \frac{t^k}{k!} M^k = e^{-t (I - M)}, \qquad M = D^{-1/2} (A + I) D^{-1/2}

    Its response to the eigenvalue :math:`\lambda` of :math:`I - M` is :math:`e^{-t \lambda}`. Entries are right to
    1e-5.

    Args:
        time: t, more than 0: the mean number of steps.
        k: edges that are kept of each node, the largest, itself among them; ``None`` keeps all from the threshold on.
        threshold: the least weight that is kept, 0 or more.
        self_loops: give a loop to each node that has none before the walk. Without it, a node without edges still
            stays where it is.

    Raises:
        RequestError: a parameter out of range, or neither ``k`` nor ``threshold``.
        DataError: ``edge_index`` is missing, misshapen or out of range, or ``edge_weight`` does not fit or is negative.

    Reference:
        Kondor & Lafferty, Diffusion kernels on discrete structures, ICML 2002; GDC and MVGRL as in `PPRDiffusion`,
        the latter with time 5 and the walk :math:`A D^{-1}` in its formula, where ours is symmetric.

    Example:
        >>> g = Data(x=torch.ones(2, 1), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> HeatDiffusion(5.0)(g).edge_weight
        tensor([0.5034, 0.4966, 0.4966, 0.5034])
    """

    time: Positive = 5.0
    k: Size | None = 32
    threshold: NonNegative = 0.0
    self_loops: bool = True

    @property
    def kernel(self) -> Kernel:
        """Coefficients of the diffusion."""
        return Heat(self.time)


@dataclass(frozen=True)
class MarkovDiffusion(_Diffusion):
    r"""Replace the edges by the mean of the first powers of the walk.

    .. math:: S = \frac{1}{K} \sum_{k=1}^{K} \big((1 - \alpha) M^k + \alpha I\big), \qquad
        M = D^{-1/2} (A + I) D^{-1/2}

    Entries are right to 1e-5.

    Args:
        order: K, number of powers, 1 or more.
        teleport: :math:`\alpha`, weight of the node itself, in [0, 1].
        k: edges that are kept of each node, the largest, itself among them; ``None`` keeps all from the threshold on.
        threshold: the least weight that is kept, 0 or more.
        self_loops: give a loop to each node that has none before the walk. Without it, a node without edges still
            stays where it is.

    Raises:
        RequestError: a parameter out of range, or neither ``k`` nor ``threshold``.
        DataError: ``edge_index`` is missing, misshapen or out of range, or ``edge_weight`` does not fit or is negative.

    Reference:
        Zhu & Koniusz, Simple spectral graph convolution (S²GC), ICLR 2021: the filter of that name, with order 16 and
        teleport 0.05; there applied to the features, here kept as edges.

    Example:
        >>> g = Data(x=torch.ones(2, 1), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> MarkovDiffusion(order=2, teleport=0.5)(g).edge_weight
        tensor([0.7500, 0.2500, 0.2500, 0.7500])
    """

    order: Size = 16
    teleport: Rate = 0.05
    k: Size | None = 32
    threshold: NonNegative = 0.0
    self_loops: bool = True

    @property
    def kernel(self) -> Kernel:
        """Coefficients of the diffusion."""
        return Markov(self.order, self.teleport)
