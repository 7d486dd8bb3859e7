"""What models that propagate over the interactions share."""

from collections.abc import Sequence

import torch
from torch import Tensor

from graphcl.data.interactions import Interactions
from graphcl.objectives.contrast import info_nce
from graphcl.plan import Plan
from graphcl.recsys.propagation import BipartiteOperator, mean_of_layers
from graphcl.recsys.recommender import Ranker

__all__ = ["PropagatedRanker", "contrast_rows"]


class PropagatedRanker(Ranker):
    """A model that ranks by the mean over the hops, as LightGCN does.

    Args:
        seen: what is learnt from, and propagated over.
        dim: width.
        penalty: as in `Ranker`.
        layers: hops.
        plan: says on which device.
    """

    def __init__(self, seen: Interactions, dim: int, penalty: float, layers: int, plan: Plan) -> None:
        super().__init__(seen, dim, penalty)
        self.layers = layers
        self.device = plan.torch_device()
        self.operator = BipartiteOperator.of(seen).to(self.device)

    def vectors(self) -> Tensor:
        """LightGCN's."""
        return mean_of_layers(self.operator, self.table, self.layers)


def contrast_rows(a: Tensor, b: Tensor, groups: Sequence[Tensor], temperature: float) -> Tensor:
    r"""InfoNCE between two views of the same nodes, users among users and items among items.

    .. math:: L = \sum_{G} -\frac{1}{|G|} \sum_{v \in G}
        \ln \frac{e^{\cos(a_v, b_v)/\tau}}{\sum_{w \in G} e^{\cos(a_v, b_w)/\tau}}

    averaged over both directions. A node whose vector is zero in one of the views has no direction, and is left out.

    Args:
        a: ``[N, D]``.
        b: ``[N, D]``.
        groups: rows of each group.
        temperature: :math:`\tau`.

    Reference:
        Yu et al., Are graph augmentations necessary? Simple graph contrastive learning for recommendation, SIGIR 2022,
        equation 4, among the nodes of a batch as in the authors' code; that looks from the first view at the second
        alone, and this both ways.

    Example:
        >>> rows = torch.eye(4)
        >>> round(contrast_rows(rows, rows, [torch.tensor([0, 1]), torch.tensor([2, 3])], 1.0).item(), 4)
        0.6265
    """
    terms = [a.sum() * 0]
    for rows in groups:
        one, two = a[rows], b[rows]
        there = one.detach().any(1) & two.detach().any(1)
        if bool(there.any()):
            kept = (one, two) if bool(there.all()) else (one[there], two[there])
            terms.append(info_nce(*kept, temperature, intra_view=False))
    return torch.stack(terms).sum()
