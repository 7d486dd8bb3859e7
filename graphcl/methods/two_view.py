"""The composition behind most methods: two random views, one encoder, one loss between them."""

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphcl.augment.augmenter import Augmenter
from graphcl.augment.learned import LearnedView
from graphcl.encoders.pooling import Readout, readout
from graphcl.errors import UnfollowedError
from graphcl.methods.recipe import Method
from graphcl.objectives.objective import Objective

__all__ = ["TwoView", "encode"]


def encode(encoder: nn.Module, data: Data) -> Tensor:
    """Node embeddings ``[N, D]``; edge weights are passed on, never dropped silently.

    Raises:
        UnfollowedError: the graph has edge weights and the encoder would ignore them.
    """
    weight = data.get("edge_weight")
    if weight is None:
        return encoder(data.x, data.edge_index)
    if not getattr(encoder, "supports_edge_weight", False):
        raise UnfollowedError(
            f"{type(encoder).__name__} ignores edge_weight; use an encoder that supports it (GCN) or drop the weights"
        )
    return encoder(data.x, data.edge_index, weight)


class TwoView(Method):
    r"""Embed two views of each graph and compare them.

    .. math:: L = \ell\big(p(f(t_1(G))),\; p(f(t_2(G)))\big) + \text{the price of learned views}

    With a readout, f embeds graphs: the readout of the encoder's nodes.

    Learned views train along: with ``direction="oppose"`` against the encoder, by the same descent.

    Args:
        encoder: f, called as ``encoder(x, edge_index, edge_weight)``.
        projector: p, applied to the node embeddings for the loss only.
        views: the two augmenters, or modules that a `LearnedAugmenter` has built; what is scheduled in the former
            moves with the training.
        objective: the loss.
        readout: how nodes become a graph's embedding; ``None`` embeds the nodes.
    """

    def __init__(
        self,
        encoder: nn.Module,
        projector: nn.Module,
        views: tuple[Augmenter | LearnedView, Augmenter | LearnedView],
        objective: Objective,
        readout: Readout | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.projector = projector
        self.views = views
        self.learned = nn.ModuleList(view for view in views if isinstance(view, LearnedView))
        self.after_step(0.0)
        self.objective = objective
        self.readout = readout

    @property
    def takes_sparse_features(self) -> bool:
        """Whether encoder and views do."""
        views = all(view.takes_sparse_features for view in self.views)
        return views and getattr(self.encoder, "supports_sparse_features", False)

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        """The objective between the two views, and what learned views cost."""
        terms: dict[str, Tensor] = {}
        projected = []
        for view in self.now:
            if isinstance(view, LearnedView):
                seen, price = view.penalised(batch, generator)
                terms["price"] = terms["price"] + price if "price" in terms else price
            else:
                seen = view(batch, generator)
            projected.append(self.projector(self.embed(seen)))
        return {"contrast": self.objective(*projected), **terms}

    def embed(self, batch: Data) -> Tensor:
        """The encoder's output before the projector; of the graphs where there is a readout."""
        nodes = encode(self.encoder, batch)
        return nodes if self.readout is None else readout(nodes, batch, self.readout)

    def after_step(self, progress: float) -> None:
        """Move the schedules of the views."""
        self.now = tuple(view.at(progress) for view in self.views)
