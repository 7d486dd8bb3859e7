"""The composition behind most methods: two random views, one encoder, one loss between them."""

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphcl.augment.augmenter import Augmenter
from graphcl.errors import RequestError
from graphcl.methods.recipe import Method
from graphcl.objectives.objective import Objective

__all__ = ["TwoView", "encode"]


def encode(encoder: nn.Module, data: Data) -> Tensor:
    """Node embeddings ``[N, D]``; edge weights are passed on, never dropped silently.

    Raises:
        RequestError: the graph has edge weights and the encoder would ignore them.
    """
    weight = data.get("edge_weight")
    if weight is None:
        return encoder(data.x, data.edge_index)
    if not getattr(encoder, "supports_edge_weight", False):
        raise RequestError(
            f"{type(encoder).__name__} ignores edge_weight; use an encoder that supports it (GCN) or drop the weights"
        )
    return encoder(data.x, data.edge_index, weight)


class TwoView(Method):
    r"""Embed two views of each graph and compare them.

    .. math:: L = \ell\big(p(f(t_1(G))),\; p(f(t_2(G)))\big)

    Args:
        encoder: f, called as ``encoder(x, edge_index, edge_weight)``.
        projector: p, applied to the node embeddings for the loss only.
        views: the two augmenters.
        objective: the loss.
    """

    def __init__(
        self,
        encoder: nn.Module,
        projector: nn.Module,
        views: tuple[Augmenter, Augmenter],
        objective: Objective,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.projector = projector
        self.views = views
        self.objective = objective

    @property
    def takes_sparse_features(self) -> bool:
        """Whether encoder and views do."""
        views = all(view.takes_sparse_features for view in self.views)
        return views and getattr(self.encoder, "supports_sparse_features", False)

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        """One term: the objective between the two views."""
        a, b = (self.projector(encode(self.encoder, view(batch, generator))) for view in self.views)
        return {"contrast": self.objective(a, b)}

    def embed(self, batch: Data) -> Tensor:
        """The encoder's output on the unaugmented graph, before the projector."""
        return encode(self.encoder, batch)
