"""Views that change which edges there are."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.augment.augmenter import Augmenter
from graphcl.config import Rate
from graphcl.seeding import draw_seed

__all__ = ["EdgeDropout", "MessageDropout"]


@dataclass(frozen=True)
class EdgeDropout(Augmenter):
    r"""Remove each edge with probability ``rate``; both directions of an undirected edge go together.

    .. math:: \tilde A_{uv} = A_{uv}\, m_{\{u,v\}}, \qquad m_{\{u,v\}} \sim \mathrm{Bernoulli}(1 - rate)

    The coin of an edge is a hash of its two endpoints and one random seed, so the two directions agree without any
    search for the reverse edge, an undirected graph stays undirected, and the same seed gives the same view on every
    device. Parallel edges between one pair of nodes share their coin. Whatever PyG knows to be aligned with the edges
    (``edge_weight``, ``edge_attr`` …) is carried along; isolated nodes stay.

    Args:
        rate: probability of removal, in [0, 1).

    Reference:
        Rong et al., DropEdge, ICLR 2020; the removing-edges view of GRACE (Zhu et al., 2020), section 3.2.1.

    Example:
        >>> g = Data(x=torch.ones(3, 1), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> EdgeDropout(0.5)(g, torch.Generator().manual_seed(0)).is_undirected()
        True
    """

    takes_sparse_features: ClassVar[bool] = True

    rate: Rate = 0.2

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """Keep the edges whose coin says so."""
        if self.rate == 0.0 or data.edge_index is None:
            return data
        return _keeping(data, _pair_uniform(data.edge_index, draw_seed(generator)) >= self.rate)


@dataclass(frozen=True)
class MessageDropout(Augmenter):
    r"""Remove each stored direction of an edge by itself with probability ``rate``: messages, not edges, are lost.

    .. math:: \tilde A_{uv} = A_{uv}\, m_{uv}, \qquad m_{uv} \sim \mathrm{Bernoulli}(1 - rate) \text{ independently}

    The view of an undirected graph is a directed one: v may still hear u where u no longer hears v. This is what the
    released codes of GRACE, GCA, BGRL and CCA-SSG do where their papers say "removing edges"; with the same rate an
    undirected edge survives in some direction with probability :math:`1 - rate^2`. Where a view must stay undirected,
    take `EdgeDropout`.

    Args:
        rate: probability of removal, in [0, 1).

    Reference:
        Zhang et al., CCA-SSG, NeurIPS 2021, released code: a Bernoulli draw per directed edge; likewise GRACE's, which
        calls PyG's ``dropout_adj`` with its default.

    Example:
        >>> g = Data(x=torch.ones(3, 1), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> MessageDropout(0.5)(g, torch.Generator().manual_seed(1)).num_edges
        2
    """

    keeps_symmetry: ClassVar[bool] = False
    takes_sparse_features: ClassVar[bool] = True

    rate: Rate = 0.2

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """Keep the directed edges whose coin says so."""
        if self.rate == 0.0 or data.edge_index is None:
            return data
        device = generator.device if generator is not None else data.edge_index.device
        coins = torch.rand(data.edge_index.size(1), generator=generator, device=device)
        return _keeping(data, coins.to(data.edge_index.device) >= self.rate)


def _keeping(data: Data, keep: Tensor) -> Data:
    """Only the edges marked in ``keep`` ``[E]``, with whatever is aligned with them; all nodes stay."""
    edges, n = data.edge_index.size(1), data.num_nodes
    # PyG decides by name and size what belongs to an edge: all are named before the first of them changes its size
    aligned = [
        (name, value, data.__cat_dim__(name, value))
        for name, value in data.to_dict().items()
        if isinstance(value, Tensor) and data.is_edge_attr(name)
    ]
    rows = keep.nonzero().flatten()
    for name, value, axis in aligned:
        if value.size(axis) == edges:
            data[name] = value.index_select(axis, rows)
    # num_nodes must not shrink with the edges
    if data.x is None:
        data.num_nodes = n
    return data


def _mix(z: Tensor, shift: int, factor: int) -> Tensor:
    # one round of the splitmix64 finaliser; >> on int64 is arithmetic, the mask makes it logical
    z = z ^ ((z >> shift) & ((1 << (64 - shift)) - 1))
    return z * factor


def _signed(constant: int) -> int:
    return constant - (1 << 64) if constant >= 1 << 63 else constant


def _pair_uniform(edge_index: Tensor, seed: int) -> Tensor:
    """Uniform numbers in [0, 1), float64 ``[E]``: a hash of each unordered pair of endpoints and a seed.

    Both endpoints pass through the splitmix64 finaliser (Steele et al., 2014), once each, so that neighbouring ids
    give unrelated numbers.
    """
    low, high = edge_index.min(0).values, edge_index.max(0).values
    first, second, golden = (_signed(c) for c in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0x9E3779B97F4A7C15))
    z = torch.full_like(low, seed)
    for part in (low, high):
        z = z + (part + 1) * golden
        z = _mix(_mix(z, 30, first), 27, second)
        z = z ^ ((z >> 31) & ((1 << 33) - 1))
    return ((z >> 11) & ((1 << 53) - 1)).double() * 2.0**-53
