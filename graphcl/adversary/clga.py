"""CLGA: poison that knows no label, by the gradient of a contrastive loss whose model is trained anew as it spreads."""

from dataclasses import dataclass

import torch
from torch_geometric.data import Data

from graphcl.adversary.adversary import Loss
from graphcl.adversary.topology import GreedyFlips
from graphcl.config import Size

__all__ = ["Clga"]


@dataclass(frozen=True)
class Clga(GreedyFlips):
    r"""Contrastive loss gradient attack: in each round the flips that the gradient of the loss asks for most.

    .. math:: F \leftarrow F \cup \mathrm{top}_{B / R} \big( \nabla_p \ell(\theta^*(F), F, p) \,|_{p = 0} \big), \qquad
        \theta^*(F) = \arg\min_\theta \ell(\theta, F)

    The loss is meant to train a model on the graph that it is asked about and to give that model's contrastive loss
    (``graphcl.bench`` makes such a one of any method), so that its values belong to different models and are not
    compared: the outcome is the last round.

    Args:
        budget: how many flips, and which may be.
        rounds: R, each with a training of its own, at most one for each flip.
        block: pairs looked at in one round.

    Raises:
        RequestError: a loss that does not depend on ``edge_weight``.
        DataError: a graph whose edges cannot be flipped (see `Adversary`).

    Reference:
        Zhang et al., Unsupervised graph poisoning attack via contrastive loss back-propagation, WWW 2022, algorithm 1,
        which flips one edge a round, looks at all pairs, and trains for 3000 epochs each time.

    Example:
        >>> from graphcl.adversary import Budget
        >>> g = Data(x=torch.ones(3, 1), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> Clga(Budget(flips=1))(g, lambda d: d.get("edge_weight", torch.ones(d.num_edges)).sum()).num_edges
        4
    """

    rounds: Size = 10

    def perturb(self, data: Data, loss: Loss, generator: torch.Generator | None) -> Data:
        """Flip in rounds."""
        for now in self.greedy(data, loss, generator):
            data = now
        return data
