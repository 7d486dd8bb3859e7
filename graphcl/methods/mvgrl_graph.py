"""MVGRL at graph level: nodes of a graph against summaries of its diffusion, and the other way round."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, ClassVar

import annotated_types
import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.utils import degree

from graphcl.alignment import graph_of_nodes
from graphcl.augment.diffusion import PPRDiffusion
from graphcl.config import NonNegative, Size
from graphcl.encoders.gin import glorot_linears
from graphcl.encoders.pooling import Readout, readout
from graphcl.encoders.residual import ResidualMLP
from graphcl.graph import GraphShape
from graphcl.methods.recipe import Method, Paper, Recipe
from graphcl.objectives.jensen_shannon import NodeGraphJSD
from graphcl.ops.propagate import Pattern, gcn_operator, multiply, sum_operator
from graphcl.plan import Plan

__all__ = ["MvgrlGraph", "MvgrlGraphMethod"]


@dataclass(frozen=True, kw_only=True)
class MvgrlGraph(Recipe):
    """Contrastive multi-view representation learning, at graph level.

    Args:
        dim: width of each layer and of the embedding.
        layers: graph convolutions of each view's encoder.
        readout: of the nodes to a graph.
        teleport: of the diffusion, in (0, 1].
        k: entries that are kept in each row of the diffusion, the largest; ``None`` keeps all from the threshold on.
        threshold: the least entry that is kept.
        degrees: columns of one-hot degrees that are put beside the features, larger degrees in the last; 0 adds none.

    Reference:
        Hassani & Khasahmadi, ICML 2020, section 3: personalised PageRank with teleport 0.2, width 512, Adam with rate
        0.001, heads that both views share. The released code tries 2, 8 and 12 layers, batches of 32 to 256, and 20,
        40 and 100 epochs, with a patience of 20 on the training loss; which of them a published number belongs to is
        not said: 4 layers, 40 epochs and batches of 64 are what it starts from. It keeps all entries of the diffusion
        (here the 32 largest of a row), and puts one-hot degrees beside node labels, which is ``degrees`` in the
        official settings; sets without labels have their degrees as features already. It pads graphs to one size and
        divides by the padded number of nodes, which weighs the loss down; here by the nodes there are.

    Example:
        >>> MvgrlGraph.preset("mutag").degrees
        5
    """

    paper: ClassVar[Paper | None] = Paper(
        "hassani2020mvgrl",
        "Contrastive multi-view representation learning on graphs",
        "ICML 2020",
        "https://arxiv.org/abs/2006.05582",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"mutag": {"degrees": 5}}
    levels: ClassVar[tuple[str, ...]] = ("graph",)

    dim: Size = 512
    layers: Size = 4
    readout: Readout = "sum"
    teleport: Annotated[float, annotated_types.Interval(gt=0.0, le=1.0)] = 0.2
    k: Size | None = 32
    threshold: NonNegative = 0.0
    degrees: Annotated[int, annotated_types.Ge(0)] = 0
    plan: Plan = Plan(epochs=40, lr=1e-3, batch_size=64, patience=20)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.diffusion()

    def diffusion(self) -> PPRDiffusion:
        """The second view."""
        return PPRDiffusion(self.teleport, self.k, self.threshold)

    def prepare(self, data: Data) -> Data:
        """The graph as all recipes take it, its degrees where wanted, and its diffusion beside its edges."""
        out = super().prepare(data)
        spread = self.diffusion()(out)
        out.diffusion_index, out.diffusion_weight = spread.edge_index, spread.edge_weight
        if self.degrees:
            counts = degree(out.edge_index[0], out.num_nodes, torch.long).clamp(max=self.degrees - 1)
            out.x = torch.cat([out.x, torch.eye(self.degrees, dtype=out.x.dtype, device=out.x.device)[counts]], 1)
        return out

    def assemble(self, shape: GraphShape) -> "MvgrlGraphMethod":
        """An encoder for each view, and a head each for nodes and graphs."""
        return MvgrlGraphMethod(shape.num_features, [self.dim] * self.layers, self.readout)


class _Convolutions(nn.Module):
    r"""The outputs of all layers :math:`h^{(l)} = \sigma(S h^{(l-1)} W^{(l)} + b^{(l)})` over a given operator S."""

    def __init__(self, in_channels: int, dims: list[int]) -> None:
        super().__init__()
        widths = [in_channels, *dims]
        self.layers = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in pairwise(widths))
        self.biases = nn.ParameterList(torch.zeros(width) for width in dims)
        self.acts = nn.ModuleList(nn.PReLU() for _ in dims)
        glorot_linears(self)

    def forward(self, x: Tensor, pattern: Pattern, values: Tensor) -> list[Tensor]:
        outputs = []
        for layer, bias, act in zip(self.layers, self.biases, self.acts, strict=True):
            h = layer(x)
            x = act(multiply(pattern, values.to(h.dtype), h) + bias)
            outputs.append(x)
        return outputs


class MvgrlGraphMethod(Method):
    r"""An encoder for each view, and two heads that both share.

    .. math:: L = \mathrm{JSD}\big(\phi(H_A), s_S\big) + \mathrm{JSD}\big(\phi(H_S), s_A\big), \qquad
        s = \psi\big(\mathrm{readout}\,[H^{(1)} \Vert \dots \Vert H^{(L)}]\big)

    with the graph A, its diffusion S and the last layer H.

    Args:
        in_channels: F.
        dims: width of each layer of the encoders.
        readout: how nodes become a graph's summary.
    """

    def __init__(self, in_channels: int, dims: list[int], readout: Readout) -> None:
        super().__init__()
        self.plain = _Convolutions(in_channels, dims)
        self.diffused = _Convolutions(in_channels, dims)
        self.of_nodes = ResidualMLP(dims[-1], dims[-1], "prelu")
        self.of_graphs = ResidualMLP(sum(dims), dims[-1], "prelu")
        self.readout: Readout = readout
        self.objective = NodeGraphJSD()

    def both(self, batch: Data) -> list[tuple[Tensor, Tensor]]:
        """In the graph and in its diffusion, the last layer of the nodes ``[N, D]``, and the summaries ``[B, D]``."""
        n, dtype = batch.x.size(0), batch.x.dtype
        plain = self.plain(batch.x, *gcn_operator(batch.edge_index, n, batch.get("edge_weight"), dtype))
        diffused = self.diffused(batch.x, *sum_operator(batch.diffusion_index, n, batch.diffusion_weight, dtype))
        return [
            (outputs[-1], self.of_graphs(readout(torch.cat(outputs, 1), batch, self.readout)))
            for outputs in (plain, diffused)
        ]

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        """Nodes of either view from those of other graphs, by the summaries of the other view."""
        (plain, of_plain), (diffused, of_diffused) = self.both(batch)
        graph = graph_of_nodes(batch)
        return {
            "graph": self.objective(self.of_nodes(plain), of_diffused, graph),
            "diffusion": self.objective(self.of_nodes(diffused), of_plain, graph),
        }

    def embed(self, batch: Data) -> Tensor:
        """The sum of both summaries."""
        (_, of_plain), (_, of_diffused) = self.both(batch)
        return of_plain + of_diffused
