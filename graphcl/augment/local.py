r"""Views that are the neighbourhood of a random node, as a walk sees it: what personalised PageRank finds near.

.. math:: p = \alpha \sum_{k \ge 0} (1 - \alpha)^k\, e_s P^k, \qquad P = D^{-1} W, \quad W = A + A^\top

| class | which nodes are kept |
|---|---|
| `PPRSubgraph` | those of the largest :math:`p_u` |
| `CommunitySubgraph` | the prefix of the order by :math:`p_u / d_u` that the fewest edges leave |

The seed s is drawn uniformly, one in each graph of a batch, and always kept. A neighbourhood has no direction: the
walk follows the edges of a directed graph both ways, while the view has the edges as they were. No loops are added to
the walk. A node without edges is a neighbourhood of its own.

In a large graph p is found by pushing residuals (`graphcl.ops.diffuse.push`), in time that depends on what the walk
reaches, not on the size of the graph; only the walk itself is set up for all of it, once for the graphs seen last. The
push is that of the symmetric :math:`D^{-1/2} W D^{-1/2}`, whose entry is :math:`q_u = p_u \sqrt{d_s / d_u}`.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch_geometric.data import Data

from graphcl.alignment import keep_nodes, node_offsets, plain_edge_index
from graphcl.augment.augmenter import Augmenter
from graphcl.augment.diffusion import Share, walk_weight
from graphcl.config import Positive, Size
from graphcl.ops.diffuse import nearness, sweep_cut
from graphcl.ops.walk import Walk, walk_operator
from graphcl.seeding import draw_uniform

__all__ = ["CommunitySubgraph", "PPRSubgraph"]


class _LocalView(Augmenter):
    """Keeps some nodes around a seed in each graph."""

    keeps_nodes: ClassVar[bool] = False

    size: int
    teleport: float
    tolerance: float
    power: ClassVar[float]
    """Nodes are ordered by the entry of the symmetric operator times the degree to this power."""

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """Draw seeds, push, keep."""
        n = int(data.num_nodes or 0)
        offsets = node_offsets(data).cpu()
        sizes = offsets.diff()
        drawn = draw_uniform(sizes.numel(), generator=generator, device=torch.device("cpu"), dtype=torch.float64)
        seeds = (offsets[:-1] + (drawn * sizes).long())[sizes > 0].numpy()
        if seeds.size == 0:
            return data
        edges, weight = plain_edge_index(data._store), walk_weight(type(self).__name__, data)
        walk = walk_operator(edges.cpu(), n, None if weight is None else weight.cpu(), self_loops=False, union=True)
        nodes, near = nearness(walk, seeds, self.teleport, self.tolerance)
        near = near * walk.degree.numpy()[nodes] ** self.power
        near[np.searchsorted(nodes, seeds)] = np.inf
        graph = np.searchsorted(offsets.numpy(), nodes, side="right") - 1
        order = np.lexsort((nodes, -near, graph))
        nodes, graph = nodes[order], graph[order]
        place = np.arange(nodes.size) - np.searchsorted(graph, graph)
        kept = self.chosen(walk, nodes[place < self.size], offsets.numpy())
        keep_nodes(data, {None: torch.from_numpy(np.sort(kept)).to(edges.device)})
        return data

    def chosen(self, walk: Walk, nodes: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Which of the nodes are kept: they come in their order, graph by graph."""
        return nodes


@dataclass(frozen=True)
class PPRSubgraph(_LocalView):
    r"""Keep the nodes that matter most to a random seed, and the edges among them.

    .. math:: \mathcal V' = \mathrm{top}_{size}(p), \qquad
        p = \alpha \sum_{k \ge 0} (1 - \alpha)^k\, e_s (D^{-1} W)^k

    ``size`` is a number and no share of the nodes: what a neighbourhood is does not grow with the graph around it, and
    its cost does not either. Where the walk reaches fewer nodes, all it reaches are kept.

    Args:
        size: the most nodes that are kept in each graph, 1 or more.
        teleport: :math:`\alpha`, in (0, 1]; the smaller, the wider.
        tolerance: of the push, more than 0: :math:`p_u` may be too small by
            :math:`tolerance \cdot d_u / \sqrt{d_s}`, and what is nearer to 0 than that may be missed.

    Raises:
        RequestError: a parameter out of range.
        DataError: ``edge_index`` is missing, misshapen or out of range, ``edge_weight`` does not fit or is negative,
            or another attribute holds node ids.

    Reference:
        Jiao et al., Sub-graph contrast for scalable self-supervised graph representation learning (Subg-Con), ICDM
        2020, its sampler: the nodes of the largest personalised PageRank, 20 in all, there from a dense inverse. The
        top of a pushed p as a neighbourhood is that of Bojchevski et al., PPRGo, KDD 2020.

    Example:
        >>> path = torch.arange(9)
        >>> g = Data(x=torch.ones(10, 1), edge_index=torch.stack([path, path + 1]))
        >>> PPRSubgraph(size=4)(g, torch.Generator().manual_seed(0)).num_nodes
        4
    """

    power: ClassVar[float] = 0.5

    size: Size = 20
    teleport: Share = 0.15
    tolerance: Positive = 1e-5


@dataclass(frozen=True)
class CommunitySubgraph(_LocalView):
    r"""Keep the community of a random seed: the set of least conductance that a sweep over its PageRank finds.

    .. math:: \mathcal V' = \operatorname*{argmin}_{S_i} \frac{\sum_{u \in S_i, v \notin S_i} W_{uv}}
        {\min\big(\mathrm{vol}(S_i), \mathrm{vol}(\mathcal V \setminus S_i)\big)}, \qquad
        S_i = \{\text{the first } i \text{ nodes by } p_u / d_u\}, \quad i \le size

    The first of equal sets is taken. A set with nothing outside has no conductance and is never taken, unless it is
    all that there is. In a graph without communities the best set may be small.

    Args:
        size: the most nodes that are kept in each graph, 1 or more.
        teleport: :math:`\alpha`, in (0, 1]; the smaller, the larger the communities that are found.
        tolerance: of the push, more than 0; the walk reaches less where it is larger.

    Raises:
        RequestError: a parameter out of range.
        DataError: ``edge_index`` is missing, misshapen or out of range, ``edge_weight`` does not fit or is negative,
            or another attribute holds node ids.

    Reference:
        Andersen, Chung & Lang, Local graph partitioning using PageRank vectors, FOCS 2006, section 2 (conductance and
        sweeps) and theorem 2. Their walk is lazy, whose teleport :math:`\alpha'` is ours by
        :math:`\alpha = 2 \alpha' / (1 + \alpha')`.

    Example:
        >>> two = torch.tensor([[0, 0, 1, 3, 3, 4, 2], [1, 2, 2, 4, 5, 5, 3]])
        >>> g = Data(x=torch.arange(6.0).view(6, 1), edge_index=torch.cat([two, two.flip(0)], 1))
        >>> CommunitySubgraph()(g, torch.Generator().manual_seed(0)).x.flatten().tolist()
        [3.0, 4.0, 5.0]
    """

    power: ClassVar[float] = -0.5

    size: Size = 256
    teleport: Share = 0.15
    tolerance: Positive = 1e-5

    def chosen(self, walk: Walk, nodes: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """The best prefix in each graph."""
        return nodes[sweep_cut(walk, nodes, offsets)]
