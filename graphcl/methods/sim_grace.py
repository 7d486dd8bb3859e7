"""SimGRACE: one graph seen by two encoders, the second with noise on its weights; no augmentation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.func import functional_call
from torch_geometric.data import Data

from graphcl.config import NonNegative, Positive, Size
from graphcl.encoders.gin import GIN, glorot_linears
from graphcl.encoders.mlp import MLP
from graphcl.encoders.pooling import Readout, readout
from graphcl.graph import GraphShape
from graphcl.methods.recipe import Method, Paper, Recipe
from graphcl.methods.two_view import encode
from graphcl.objectives.contrast import DecoupledInfoNCE
from graphcl.plan import Plan
from graphcl.seeding import draw_normal

__all__ = ["SimGrace", "SimGraceMethod"]


@dataclass(frozen=True, kw_only=True)
class SimGrace(Recipe):
    """Graph contrastive learning without augmentation: the view is what a perturbed encoder sees.

    Args:
        noise: size η of the perturbation, 0 or more, in standard deviations of each tensor of weights.
        dim: width of each layer.
        layers: graph isomorphism layers; the embedding holds all of them, ``dim * layers`` wide.
        readout: of the nodes to a graph.
        temperature: of the objective.

    Reference:
        Xia et al., WWW 2022, without its adversarial training. η is chosen among 0.1, 1, 10 and 100, which of them for
        which data set is not said: 1 is the default of the released code. As in the code, the perturbed
        branch has no gradient and gives the anchors, the positive is left out of the denominator, and the projector is
        not perturbed. There the nodes of all graphs get loops, here not.

    Example:
        >>> SimGrace().noise
        1.0
    """

    paper: ClassVar[Paper | None] = Paper(
        "xia2022simgrace",
        "SimGRACE: a simple framework for graph contrastive learning without data augmentation",
        "WWW 2022",
        "https://arxiv.org/abs/2202.03104",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # sets without node labels: the code gives every node the same feature
        name: {"features": "ones"}
        for name in ("collab", "imdb-binary", "reddit-binary")
    }
    levels: ClassVar[tuple[str, ...]] = ("graph",)

    noise: NonNegative = 1.0
    dim: Size = 32
    layers: Size = 5
    readout: Readout = "sum"
    temperature: Positive = 0.2
    plan: Plan = Plan(epochs=20, lr=0.01, batch_size=128)

    def assemble(self, shape: GraphShape) -> "SimGraceMethod":
        """A graph isomorphism network with a two-layer projector."""
        encoder = GIN(shape.num_features, [self.dim] * self.layers)
        projector = MLP(encoder.out_channels, encoder.out_channels, encoder.out_channels, "relu")
        glorot_linears(projector)
        return SimGraceMethod(encoder, projector, self.noise, self.readout, self.temperature)


class SimGraceMethod(Method):
    r"""An encoder and its perturbed copy.

    .. math:: L = \ell\big(p(f_{\theta'}(G)),\; p(f_\theta(G))\big), \qquad
        \theta'_l = \theta_l + \eta\, \mathrm{std}(\theta_l)\, \varepsilon, \quad \varepsilon \sim \mathcal N(0, I)

    Args:
        encoder: f; only its weights are perturbed.
        projector: p.
        noise: η.
        readout: how nodes become a graph's embedding.
        temperature: of the objective.
    """

    def __init__(self, encoder: GIN, projector: MLP, noise: float, readout: Readout, temperature: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.projector = projector
        self.noise = noise
        self.readout: Readout = readout
        self.objective = DecoupledInfoNCE(temperature)

    @torch.no_grad()
    def perturbed(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Parameters of the second encoder, drawn anew, and copies of the buffers, which it may move."""
        state = {name: buffer.clone() for name, buffer in self.encoder.named_buffers()}
        for name, weight in self.encoder.named_parameters():
            spread = weight.std(correction=min(1, weight.numel() - 1))
            drawn = draw_normal(*weight.shape, generator=generator, device=weight.device, dtype=weight.dtype)
            state[name] = weight + self.noise * spread * drawn
        return state

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        """The objective between what the perturbed encoder sees and what the encoder does."""
        with torch.no_grad():
            inputs = (batch.x, batch.edge_index, batch.get("edge_weight"))
            nodes = functional_call(self.encoder, self.perturbed(generator), inputs)
            anchors = self.projector(readout(nodes, batch, self.readout))
        return {"contrast": self.objective(anchors, self.projector(self.embed(batch)))}

    def embed(self, batch: Data) -> Tensor:
        """The readout of all layers."""
        return readout(encode(self.encoder, batch), batch, self.readout)
