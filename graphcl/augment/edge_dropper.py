"""Edges that an adversary keeps or drops: the augmenter of AD-GCL."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.augment.gates import EdgeView
from graphcl.augment.learned import Direction, LearnedAugmenter, LearnedView
from graphcl.config import NonNegative, Positive, Size
from graphcl.encoders.gcn import GCN
from graphcl.graph import GraphShape

__all__ = ["LearnedEdgeDropout"]


@dataclass(frozen=True)
class LearnedEdgeDropout(LearnedAugmenter):
    r"""Weigh each edge by a learnt, random gate; by default against the encoder.

    .. math::
        h = \mathrm{GCN}_\phi(G), \qquad s_{uv} = \tfrac{1}{2} \big(m_\phi([h_u; h_v]) + m_\phi([h_v; h_u])\big), \\
        \tilde A_{uv} = A_{uv}\, \sigma\!\left(\frac{\log \delta - \log(1 - \delta) + s_{uv}}{\tau}\right),
        \quad \delta \sim U(0, 1), \\
        R = \frac{penalty}{|B_+|} \sum_{g \in B_+} \frac{1}{|E_g|} \sum_{(u,v) \in E_g} \sigma(-s_{uv})

    The encoder and the perceptron m of the augmenter are its own, and read the clean graph. R, the share of edges that
    a graph is expected to lose (over the graphs that have edges), is the price: without it an adversary drops them
    all. The other view is the clean graph.

    Args:
        dim: width of the augmenter's encoder.
        layers: its number of layers.
        hidden: width of the hidden layer of m.
        temperature: :math:`\tau > 0` of the gates.
        penalty: :math:`\lambda \geq 0`, how dear lost edges are.
        direction: ``oppose`` climbs the loss.

    Raises:
        RequestError: a number is out of its range.
        DataError: when the view is called on a graph without ``x``, of another number of features, or with edges that
            nothing can be computed on.

    Reference:
        Suresh, Li, Hao & Neville, Adversarial graph augmentation to improve graph contrastive learning (AD-GCL),
        NeurIPS 2021, its instantiation by edge dropping. The released code encodes with a GIN of 5 layers and 32 units
        (here a GCN), scores and draws the two directions of an edge apart (here together), charges for the gates that
        were drawn (here for their probabilities, whose gradient has no noise), and draws in evaluation mode as well.
        The other defaults are its: hidden 64, temperature 1, :math:`\lambda = 5`, Glorot weights and no bias in m.

    Example:
        >>> g = Data(x=torch.eye(3), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> view = LearnedEdgeDropout().build(GraphShape.of(g), torch.Generator().manual_seed(0))
        >>> out, price = view.penalised(g, torch.Generator().manual_seed(0))
        >>> out.edge_weight.shape, bool(0 < price < 5)
        (torch.Size([4]), True)
    """

    takes_sparse_features: ClassVar[bool] = True

    dim: Size = 32
    layers: Size = 2
    hidden: Size = 64
    temperature: Positive = 1.0
    penalty: NonNegative = 5.0
    direction: Direction = "oppose"

    def assemble(self, shape: GraphShape) -> LearnedView:
        """The encoder and the score."""
        return _EdgeDropoutView(self, shape.num_features)


class _EdgeDropoutView(EdgeView):
    recipe: LearnedEdgeDropout

    def __init__(self, recipe: LearnedEdgeDropout, num_features: int) -> None:
        super().__init__(recipe, num_features, dim=recipe.dim, hidden=recipe.hidden, temperature=recipe.temperature)
        self.encoder = GCN(num_features, [recipe.dim] * recipe.layers)

    def embed(self, data: Data, edge_index: Tensor) -> Tensor:
        weight = data.get("edge_weight")
        return self.encoder(self.read(data.x), edge_index, None if weight is None else self.read(weight))

    def price(self, logits: Tensor) -> Tensor | None:
        return self.recipe.penalty * torch.sigmoid(-logits) if self.recipe.penalty > 0 else None
