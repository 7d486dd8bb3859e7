"""Views that change the node features, dense or in CSR form (`graphcl.ops.linear.sparse_features`)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.augment.augmenter import Augmenter
from graphcl.config import Rate

__all__ = ["FeatureMask", "FeatureShuffle"]


@dataclass(frozen=True)
class FeatureMask(Augmenter):
    r"""Set each feature column to zero, for all nodes at once, with probability ``rate``.

    .. math:: \tilde x_{vf} = x_{vf}\, m_f, \qquad m_f \sim \mathrm{Bernoulli}(1 - rate)

    The values that stay are not rescaled.

    Args:
        rate: probability that a column is masked, in [0, 1).

    Reference:
        Zhu et al., Deep graph contrastive representation learning (GRACE), 2020, section 3.2.2: "we randomly mask a
        fraction of dimensions with zeros in node features".

    Example:
        >>> g = Data(x=torch.ones(2, 4), edge_index=torch.empty(2, 0, dtype=torch.long))
        >>> FeatureMask(0.5)(g, torch.Generator().manual_seed(1)).x.unique(dim=0).shape
        torch.Size([1, 4])
    """

    takes_sparse_features: ClassVar[bool] = True

    rate: Rate = 0.2

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """Multiply by one random row of zeros and ones."""
        if self.rate == 0.0 or data.x is None:
            return data
        device = generator.device if generator is not None else data.x.device
        keep = torch.rand(data.x.size(1), generator=generator, device=device) >= self.rate
        keep = keep.to(data.x.device, data.x.dtype)
        if data.x.layout == torch.sparse_csr:
            data.x = _with_values(data.x, data.x.values() * keep[data.x.col_indices()])
        else:
            data.x = data.x * keep
        return data


@dataclass(frozen=True)
class FeatureShuffle(Augmenter):
    r"""Give each node the features of a random other one: the corruption that DGI contrasts with.

    .. math:: \tilde X = P X, \qquad P \text{ a uniformly random permutation matrix}

    Edges and labels stay where they are.

    Reference:
        Veličković et al., Deep graph infomax, ICLR 2019, section 4.2: "row-wise shuffling of X".

    Example:
        >>> g = Data(x=torch.arange(4.0).view(4, 1), edge_index=torch.empty(2, 0, dtype=torch.long))
        >>> sorted(FeatureShuffle()(g, torch.Generator().manual_seed(0)).x.flatten().tolist())
        [0.0, 1.0, 2.0, 3.0]
    """

    takes_sparse_features: ClassVar[bool] = True

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """Permute the rows of ``x``."""
        if data.x is None:
            return data
        device = generator.device if generator is not None else data.x.device
        order = torch.randperm(data.x.size(0), generator=generator, device=device)
        data.x = _rows(data.x, order.to(data.x.device))
        return data


def _with_values(x: Tensor, values: Tensor) -> Tensor:
    """Sparse features with other values at the same places."""
    return torch.sparse_csr_tensor(x.crow_indices(), x.col_indices(), values, x.shape, check_invariants=False)


def _rows(x: Tensor, order: Tensor) -> Tensor:
    """Rows of dense or CSR features in another order."""
    if x.layout != torch.sparse_csr:
        return x[order]
    start = x.crow_indices()
    counts = start.diff()[order]
    pointer = torch.cat([start.new_zeros(1), counts.cumsum(0)])
    places = torch.repeat_interleave(start[:-1][order] - pointer[:-1], counts)
    places += torch.arange(places.numel(), device=places.device)
    return torch.sparse_csr_tensor(
        pointer, x.col_indices()[places], x.values()[places], x.shape, check_invariants=False
    )
