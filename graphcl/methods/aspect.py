"""ASPECT: low and high frequencies of a graph, and how much of them each node takes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeAlias

import annotated_types
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data

from graphcl.augment.features import FeatureDropout
from graphcl.augment.low_rank import low_rank_factors
from graphcl.config import BelowOne, NonNegative, Positive, Size
from graphcl.encoders.gcn import Activation, Norm, activation, normalisation
from graphcl.encoders.mlp import MLP
from graphcl.errors import RequestError
from graphcl.graph import GraphShape, unit_rows
from graphcl.methods.recipe import Method, Paper, Recipe
from graphcl.ops.linear import feature_linear
from graphcl.ops.propagate import adjacency_rows, check_rows
from graphcl.plan import Plan
from graphcl.remembered import Recalled
from graphcl.seeding import draw_order
from graphcl.spectral.bank import FilterBank
from graphcl.spectral.descriptors import DESCRIPTORS, Descriptor, local_descriptors
from graphcl.spectral.filters import HighPass, LowPass, MonotoneHigh, MonotoneLow, PPRFilter, SpectralFilter
from graphcl.spectral.gates import Gate, GateInput, Gating, GlobalGate, HardGate, NodeGate, SigmoidGate

__all__ = ["Aspect", "AspectBlock", "AspectChannel", "AspectMethod"]

AspectChannel: TypeAlias = Literal["low", "high", "raw", "structure"]
"""What the gate chooses among: the two learned filters, the features themselves, the strongest directions of A."""
AspectBlock: TypeAlias = Literal[
    "fused", "channels", "low", "high", "raw", "structure", "x", "smooth", "sharp", "diffused", "factors", "rows"
]
"""What a readout is made of: the fused rows, trained channels (``channels``: all there are), and untrained signals.

The last are the features (``x``), ÂX, LX, the features diffused by PageRank, the factors of the adjacency S, and the
rows of S.
"""
GateName: TypeAlias = Literal["none", "global", "node", "sigmoid", "hard"]
Contrast: TypeAlias = Literal["info-nce", "infomax"]

_GATES: dict[GateName, type[Gating]] = {
    "global": GlobalGate, "node": NodeGate, "sigmoid": SigmoidGate, "hard": HardGate,
}  # fmt: skip
_FILTERS: dict[str, Callable[[], SpectralFilter]] = {"smooth": LowPass, "sharp": HighPass, "diffused": PPRFilter}
_SIGNALS = ("x", "smooth", "sharp", "diffused", "factors", "rows")


@dataclass(frozen=True, kw_only=True)
class Aspect(Recipe):
    """Node-level adaptive spectral fusion.

    Args:
        dim: width of each channel.
        order: of the two learned filters.
        channels: what the gate chooses among.
        rank: of the factors of the adjacency, where there is a channel or a block of structure.
        gate: how the channels are weighed: all alike (``none``), by one learned weight each (``global``), or by weights
            of each node (``node``, ``sigmoid``, ``hard``).
        sees: what a node-wise gate looks at.
        descriptors: of the neighbourhood, its context; none where it sees the channels alone.
        reach: steps over which the descriptors are averaged, to stand beside those of the node itself; 0 leaves that
            out.
        evidence: weight of the term that draws the gate to the channels in which a node is easy to tell apart.
        evidence_temperature: the smaller, the more a small difference between the channels says.
        stability: how much a channel's change between the two views counts against it as evidence.
        contrast: the loss of each channel and of the fused rows: InfoNCE between two views of a sample of nodes, or
            infomax with shuffled nodes.
        temperature: of InfoNCE.
        sample: nodes contrasted at a step, at most.
        fused: weight of the fused rows beside the channels.
        feature_dropout: what makes views differ.
        norm: of each channel, over the nodes.
        act: activation of each channel.
        readout: the blocks of the embedding, side by side, each scaled to rows of length 1 (a single one is not). The
            default is wide: the width of the channels and four times that of the features. ``("fused",)``, the gated
            sum, is as wide as one channel; why it is not the default is in ``docs/spectral.md``.

    Raises:
        RequestError: settings that do not go together, or ``rows`` of a graph of more than 8192 nodes, before training.

    Reference:
        Li et al., arXiv 2604.01878v2. Its method text is not public; known are the idea and the names of its parts: two
        frequency channels, a node-wise policy, channel-wise contrastive evidence that regularises it. This design is
        ours; what was measured of it, and what was not, is in ``docs/spectral.md``. Here the
        linear map comes before the filters, which it commutes with: features are filtered at width ``dim``. What is
        mapped are the features divided by the absolute sums of their rows; the signals of a readout are the features as
        they come.

    Example:
        >>> Aspect(gate="global").gate
        'global'
    """

    paper: ClassVar[Paper | None] = Paper(
        "li2026aspect",
        "ASPECT: node-level adaptive spectral fusion for graph contrastive learning",
        "arXiv 2026",
        "https://arxiv.org/abs/2604.01878",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # readouts by mean validation accuracy (AUC on minesweeper) of seed 0 (of seeds 0 to 2 on texas and wisconsin),
        # of ten to twenty that were tried. The default dropout was chosen on texas and wisconsin as well, among a dozen
        # settings whose test scores were seen
        "texas": {"readout": ["low", "high", "raw", "x", "smooth", "sharp"]},
        "wisconsin": {"readout": ["low", "high", "raw", "x", "smooth", "sharp"]},
        "minesweeper": {"readout": ["low", "high", "raw", "x", "smooth", "sharp"]},
        "chameleon-filtered": {"readout": ["low", "raw", "smooth", "rows"]},
        "chameleon": {"readout": ["low", "rows"]},
        "cora": {"readout": ["low", "raw", "diffused"]},
        "citeseer": {"readout": ["low", "raw", "diffused"]},
        "pubmed": {"readout": ["low", "high", "raw", "x", "diffused"]},
        # thousands of features: four copies of them take gigabytes
        "coauthor-cs": {"readout": ["channels"]},
        "coauthor-physics": {"readout": ["channels"]},
    }

    dim: Size = 256
    order: Size = 10
    channels: Annotated[tuple[AspectChannel, ...], annotated_types.MinLen(1)] = ("low", "high", "raw")
    rank: Size = 256
    gate: GateName = "node"
    sees: GateInput = "context"
    descriptors: tuple[Descriptor, ...] = DESCRIPTORS
    reach: Annotated[int, annotated_types.Ge(0)] = 2
    evidence: NonNegative = 0.5
    evidence_temperature: Positive = 0.5
    stability: NonNegative = 0.0
    contrast: Contrast = "info-nce"
    temperature: Positive = 0.5
    sample: Size = 1024
    fused: NonNegative = 1.0
    feature_dropout: BelowOne = 0.6
    norm: Norm = "none"
    act: Activation = "relu"
    readout: Annotated[tuple[AspectBlock, ...], annotated_types.MinLen(1)] = (
        "channels", "x", "smooth", "sharp", "diffused",
    )  # fmt: skip
    plan: Plan = Plan(epochs=200, lr=1e-3)

    def __post_init__(self) -> None:
        super().__post_init__()
        missing = [block for block in self.readout if block not in (*self.channels, *_SIGNALS, "fused", "channels")]
        if missing:
            raise RequestError(
                f"Aspect.readout = {self.readout}: there is no channel '{missing[0]}' among {self.channels}; add it "
                "or leave the block out"
            )
        if len(set(self.channels)) < len(self.channels):
            raise RequestError(f"Aspect.channels = {self.channels}: each should be named once")
        if self.gate == "hard" and self.evidence > 0:
            raise RequestError("Aspect.gate = 'hard' has no soft weights for the evidence to draw; set evidence = 0")
        if self.sees == "context" and not self.descriptors:
            raise RequestError("Aspect.sees = 'context' without descriptors: the gate would see nothing; name some")

    def prepare(self, data: Data) -> Data:
        """Refuses what the readout could not give afterwards."""
        if "rows" in self.readout:
            check_rows(int(data.num_nodes or 0))
        return super().prepare(data)

    def assemble(self, shape: GraphShape) -> "AspectMethod":
        """A linear map for each source of channels, two filters, the gate, and what the contrast needs."""
        return AspectMethod(shape.num_features, self)


class AspectMethod(Method):
    r"""Channels, the gate over them, and a contrast of each and of their mixture.

    .. math::
        z_{vk} = \sigma(\nu_k(g_k(L)\, D_X^{-1} X W + b))_v, \quad
        a_v = \operatorname{gate}(z_v, s_v), \quad
        z_v = \sum_k a_{vk} z_{vk}, \\
        L = \frac{1}{NK} \sum_{v,k} \ell_{vk} + \frac{w}{N} \sum_v \ell_v
        + \frac{\lambda}{N} \sum_v \mathrm{KL}(q_v \,\Vert\, a_v), \quad
        q_v = \operatorname{softmax}\big(-(\hat\ell_{vk} + \kappa\, \hat r_{vk})_k / \tau_e\big)

    with :math:`\ell_{vk}` the contrastive loss of node v in channel k, :math:`r_{vk}` the squared change of
    :math:`z_{vk}` between the views over its squared length, a hat for what is brought to mean 0 and deviation 1 over
    the nodes (so that no channel is preferred as a whole), and q without gradient.

    Args:
        num_features: F.
        recipe: the hyper-parameters.
    """

    def __init__(self, num_features: int, recipe: Aspect) -> None:
        super().__init__()
        self.recipe = recipe
        self.bank = FilterBank([MonotoneLow(recipe.order), MonotoneHigh(recipe.order)])
        self.filtered = nn.Linear(num_features, recipe.dim)
        self.raw = nn.Linear(num_features, recipe.dim) if "raw" in recipe.channels else None
        self.structure = nn.Linear(recipe.rank, recipe.dim) if "structure" in recipe.channels else None
        self.norms = nn.ModuleList(normalisation(recipe.norm, recipe.dim) for _ in recipe.channels)
        self.act = activation(recipe.act)
        self.gate: Gate | None = None
        if recipe.gate != "none":
            gating = _GATES[recipe.gate]()
            if isinstance(gating, NodeGate):
                gating = gating.replace(sees=recipe.sees if recipe.descriptors else "channels")
            context = len(recipe.descriptors) * (2 if recipe.reach else 1)
            self.gate = gating.build(len(recipe.channels), recipe.dim, context)
        self.head: nn.Module
        if recipe.contrast == "infomax":
            self.head = nn.Bilinear(recipe.dim, recipe.dim, 1)
        else:
            self.head = MLP(recipe.dim, recipe.dim, recipe.dim, "elu")
        self.dropped = FeatureDropout(recipe.feature_dropout)

    @property
    def takes_sparse_features(self) -> bool:
        """Linear maps come first."""
        return True

    def seen(
        self, batch: Data, views: list[Tensor], orders: list[Tensor] | None = None, rows: Tensor | None = None
    ) -> Tensor:
        """The channels of several versions of the features, ``[V, N, K, D]``: one pass through the graph for all.

        With orders, the rows of each version are shuffled by its own (after the linear map, which is the same); with
        rows, the channels of these nodes alone.
        """
        made: dict[str, list[Tensor]] = {}
        sizes = _sizes(batch.x)
        # statistics over the nodes are those of all of them
        early, late = (rows, None) if self.recipe.norm != "batch" else (None, rows)
        if {"low", "high"} & set(self.recipe.channels):
            mapped = torch.cat(self._mapped(self.filtered.weight, sizes, views, orders), 1)
            both = _picked(self.bank(mapped, batch.edge_index, batch.get("edge_weight")), early) + (
                self.filtered.bias.repeat(len(views))
            )
            made["low"], made["high"] = (list(both[:, k].split(self.recipe.dim, 1)) for k in range(2))
        if self.raw is not None:
            every = self._mapped(self.raw.weight, sizes, views, orders)
            made["raw"] = [_picked(h, early) + self.raw.bias for h in every]
        if self.structure is not None:
            factors, rate = self._factors(batch), self.recipe.feature_dropout
            every = [F.dropout(factors, rate, self.training) for _ in views]
            every = every if orders is None else [h[order] for h, order in zip(every, orders, strict=True)]
            made["structure"] = [self.structure(_picked(h, early)) for h in every]
        norms = list(zip(self.recipe.channels, self.norms, strict=True))
        return torch.stack(
            [
                torch.stack([_picked(self.act(norm(made[name][view])), late) for name, norm in norms], 1)
                for view in range(len(views))
            ]
        )

    @staticmethod
    def _mapped(weight: Tensor, sizes: Tensor, views: list[Tensor], orders: list[Tensor] | None) -> list[Tensor]:
        mapped = [feature_linear(x, weight) / sizes for x in views]
        return mapped if orders is None else [h[order] for h, order in zip(mapped, orders, strict=True)]

    def weighed(
        self, h: Tensor, batch: Data, generator: torch.Generator | None = None, rows: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The fused rows ``[N, D]`` of channels ``[N, K, D]``, and the weights ``[N, K]``; of some rows alone."""
        if self.gate is None:
            return h.mean(1), h.new_full(h.shape[:2], 1 / h.size(1))
        context = self._context(batch)
        return self.gate(h, None if context is None else _picked(context, rows), generator=generator)

    def weights(self, batch: Data) -> Tensor:
        """How much each node takes of each channel of the recipe, ``[N, K]``."""
        (h,) = self.seen(batch, [batch.x])
        return self.weighed(h, batch)[1]

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        """The contrast of the channels, that of the fused rows, and the evidence for the gate."""
        recipe = self.recipe
        terms, losses, change, weights = (
            self._info_nce(batch, generator) if recipe.contrast == "info-nce" else self._infomax(batch, generator)
        )
        if self.gate is not None and recipe.gate != "global" and recipe.evidence > 0:
            with torch.no_grad():
                against = _standard(losses) + recipe.stability * _standard(change)
                target = torch.softmax(-against / recipe.evidence_temperature, 1)
            logs = weights.clamp(min=1e-9).log()
            terms["evidence"] = recipe.evidence * F.kl_div(logs, target, reduction="batchmean")
        return terms

    def _views(self, batch: Data, count: int, generator: torch.Generator) -> list[Tensor]:
        scale = 1 / (1 - self.recipe.feature_dropout)
        return [self.dropped(batch, generator).x * scale for _ in range(count)]

    def _info_nce(self, batch: Data, generator: torch.Generator) -> "_Contrasted":
        n = int(batch.num_nodes or 0)
        chosen = draw_order(n, generator=generator, device=batch.edge_index.device)[: self.recipe.sample]
        a, b = self.seen(batch, self._views(batch, 2, generator), rows=chosen)
        (fused_a, weights), (fused_b, _) = (self.weighed(h, batch, generator, chosen) for h in (a, b))
        losses = torch.stack([self._row_losses(a[:, k], b[:, k]) for k in range(a.size(1))], 1)
        terms = {"channels": losses.mean()}
        if self.recipe.fused:
            terms["fused"] = self.recipe.fused * self._row_losses(fused_a, fused_b).mean()
        change = (a - b).square().sum(2) / (a.square().sum(2) + 1e-8)
        return _Contrasted(terms, losses, change, weights)

    def _row_losses(self, a: Tensor, b: Tensor) -> Tensor:
        """InfoNCE of each row among the others of the sample, both ways, ``[S]``."""
        first, second = (F.normalize(self.head(rows), dim=1) for rows in (a, b))
        scores = first @ second.T / self.recipe.temperature
        return (torch.logsumexp(scores, 0) + torch.logsumexp(scores, 1)) / 2 - scores.diagonal()

    def _infomax(self, batch: Data, generator: torch.Generator) -> "_Contrasted":
        n = int(batch.num_nodes or 0)
        order = draw_order(n, generator=generator, device=batch.edge_index.device)
        real, fake = self.seen(batch, self._views(batch, 1, generator) * 2, [torch.arange(n).to(order), order])
        (fused, weights), (fused_fake, _) = (self.weighed(h, batch, generator) for h in (real, fake))
        summary = fused.mean(0).relu()
        assert isinstance(self.head, nn.Bilinear)
        direction, bias = self.head.weight[0] @ summary, self.head.bias

        def told(positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor]:
            agree, differ = F.softplus(-(positive @ direction + bias)), F.softplus(negative @ direction + bias)
            return agree, (agree.mean() + differ.mean()) / 2

        losses, contrast = told(real, fake)
        terms = {"channels": contrast}
        if self.recipe.fused:
            terms["fused"] = self.recipe.fused * told(fused, fused_fake)[1]
        return _Contrasted(terms, losses, torch.zeros_like(losses), weights)

    def _context(self, batch: Data) -> Tensor | None:
        names, weight = self.recipe.descriptors, batch.get("edge_weight")
        if not names or self.recipe.gate in ("none", "global") or self.recipe.sees == "channels":
            return None

        def make() -> Tensor:
            x, reach = _dense(batch.x), self.recipe.reach
            each = [local_descriptors(x, batch.edge_index, weight, names, steps=k) for k in sorted({0, reach})]
            return torch.cat(each, 1)

        return _CONTEXT.of((batch.x, batch.edge_index, weight, self.recipe.reach, " ".join(names)), make)

    def _factors(self, batch: Data) -> Tensor:
        n, rank, weight = int(batch.num_nodes or 0), self.recipe.rank, batch.get("edge_weight")

        def make() -> Tensor:
            left, singular, _ = low_rank_factors(
                batch.edge_index, n, rank, weight, generator=torch.Generator().manual_seed(0)
            )
            # of the size that normalised features have
            return left * singular * n**0.5

        return _FACTORS.of((batch.edge_index, weight, n, rank), make)

    def embed(self, batch: Data) -> Tensor:
        """The blocks of the readout."""
        (h,) = self.seen(batch, [batch.x])
        names: list[AspectBlock] = []
        for name in self.recipe.readout:
            names += self.recipe.channels if name == "channels" else [name]
        blocks = [self._block(name, h, batch) for name in names]
        return blocks[0] if len(blocks) == 1 else torch.cat([unit_rows(block) for block in blocks], 1)

    def _block(self, name: AspectBlock, h: Tensor, batch: Data) -> Tensor:
        if name == "fused":
            return self.weighed(h, batch)[0]
        if name in self.recipe.channels:
            return h[:, self.recipe.channels.index(name)]
        if name == "factors":
            return self._factors(batch)
        if name == "rows":
            return adjacency_rows(batch.edge_index, int(batch.num_nodes or 0), batch.get("edge_weight"), h.dtype)
        x = _dense(batch.x)
        if name == "x":
            return x
        return _FILTERS[name]()(x, batch.edge_index, batch.get("edge_weight"))


class _Contrasted(NamedTuple):
    """Terms of a contrast; of each node it saw the loss in each channel, the change between views, and the weights."""

    terms: dict[str, Tensor]
    losses: Tensor
    change: Tensor
    weights: Tensor


def _picked(values: Tensor, rows: Tensor | None) -> Tensor:
    return values if rows is None else values[rows]


def _sizes(x: Tensor) -> Tensor:
    """Absolute sums of the rows, ``[N, 1]``, 1 for rows of zeros; as constants."""
    x = x.detach()
    if x.layout == torch.strided:
        total = x.abs().sum(1)
    else:
        rows = torch.repeat_interleave(x.crow_indices().diff().long())
        total = x.values().new_zeros(x.size(0)).index_add(0, rows, x.values().abs())
    return torch.where(total > 0, total, 1.0)[:, None]


def _dense(x: Tensor) -> Tensor:
    return x if x.layout == torch.strided else x.to_dense()


def _standard(values: Tensor) -> Tensor:
    spread, mean = torch.std_mean(values, 0, correction=0)
    return (values - mean) / spread.clamp(min=1e-6)


_CONTEXT: Recalled[Tensor] = Recalled()
_FACTORS: Recalled[Tensor] = Recalled()
