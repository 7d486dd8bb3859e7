"""ASPECT-S: edges judged by maps that never saw them, and a gate that does not rely on what false edges teach."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import annotated_types as at
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data

from graphcl.adversary.budget import Budget
from graphcl.adversary.spectral_energy import Band, SpectralEnergy
from graphcl.augment.features import FeatureDropout
from graphcl.config import BelowOne, NonNegative, Positive, Rate, Size
from graphcl.errors import DataError
from graphcl.graph import GraphShape, unit_rows
from graphcl.methods.defences import along_neighbours, idf_weighted, rarity
from graphcl.methods.recipe import FeatureScale, Method, Paper, Recipe
from graphcl.ops.linear import feature_linear
from graphcl.ops.pairwise import pair_products
from graphcl.plan import Plan
from graphcl.remembered import Recalled
from graphcl.seeding import draw_normal, draw_order
from graphcl.spectral.filters import PPRFilter

__all__ = ["AspectS", "AspectSMethod"]

Reliability: TypeAlias = Literal["edges", "sensitivity", "none"]
"""What says how far the edges of a node can be trusted: their evidence, how far an adversary moves it, or nothing."""


@dataclass(frozen=True, kw_only=True)
class AspectS(Recipe):
    """Adaptive fusion of channels by how reliable the edges of a node are.

    Args:
        dim: width of each map.
        folds: maps, each of which learns from the edges of all folds but its own.
        k: nearest neighbours of a node, by its features and by what was learned of them.
        share: ρ, weight of what comes along nearest neighbours, in [0, 1]; the rest comes along the edges.
        teleport: α of the PageRank along the edges.
        full: c, deviations above the mean of all pairs from which on an edge counts in full.
        reliability: what the gate looks at; with ``none`` every node has the weights that all have on average.
        sharpness: κ, how far the gate opens for a node whose reliability is one deviation from the mean.
        adversarial: weight of the loss on features that an adversary has changed; 0 asks none.
        radius: of that adversary, for each entry of the features as ``features`` leaves them.
        edges: share of the edges that the adversary of ``sensitivity`` may flip.
        band: where on the spectrum the adversary pushes the energy.
        temperature: of InfoNCE.
        sample: edges contrasted at a step for each map, at most.
        feature_dropout: of single entries, in training.

    Raises:
        DataError: a graph without edges, before training.

    Reference:
        Li et al., arXiv 2604.01878v1 (ASPECT-S), whose method text is not public; known are the idea and the names: a
        gate that trusts a channel by its stability under a spectral adversary. Under Metattack that evidence did not
        help in our measurements, and that of the edges did; both are here (``reliability``). See
        ``docs/robustness.md`` for what was measured.

    Example:
        >>> AspectS(folds=3).folds
        3
    """

    paper: ClassVar[Paper | None] = Paper(
        "li2026aspects",
        "ASPECT-S, the first version of ASPECT: node-level adaptive spectral fusion",
        "arXiv 2026",
        "https://arxiv.org/abs/2604.01878v1",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    dim: Size = 128
    folds: Annotated[int, at.Ge(2)] = 4
    k: Size = 20
    share: Rate = 0.5
    teleport: Annotated[float, at.Interval(gt=0, le=1)] = 0.1
    full: Positive = 3.0
    reliability: Reliability = "edges"
    sharpness: NonNegative = 1.0
    adversarial: NonNegative = 0.0
    radius: NonNegative = 0.01
    edges: Rate = 0.05
    band: Band = "auto"
    temperature: Positive = 0.2
    sample: Size = 1024
    feature_dropout: BelowOne = 0.5
    features: FeatureScale = "row"
    plan: Plan = Plan(epochs=100, lr=5e-3, weight_decay=1e-4)

    def prepare(self, data: Data) -> Data:
        """The graph as all recipes take it, which has to have an edge to learn from."""
        out = super().prepare(data)
        folds = _content(out.x)[_pairs(out)].sum(0).unique().numel()
        if not folds:
            raise DataError("AspectS learns from edges, and the graph has none between two nodes; take `knn`, say")
        if folds < self.folds:
            raise DataError(
                f"AspectS parts edges into {self.folds} folds by the features of their ends, and only {folds} ends "
                "differ; give the nodes features that tell them apart"
            )
        return out

    def assemble(self, shape: GraphShape) -> "AspectSMethod":
        """One linear map for each fold."""
        return AspectSMethod(shape.num_features, self)


class AspectSMethod(Method):
    r"""Maps that learn which features are joined, the edges weighed by them, and three channels.

    .. math::
        h_v^{(f)} = \nu\big(W_f\, (x_v \circ \mathrm{idf})\big), \qquad
        L = \sum_f \mathrm{InfoNCE}\big(\{(h_u^{(f)}, h_v^{(f)}) : (u, v) \in E \setminus E_f\}\big), \\
        w_{uv} = \Big[\tfrac{1}{c} \big(h_u^{(f)} \cdot h_v^{(f)} - \mu_f\big) / \sigma_f\Big]_0^1
        \quad\text{for } (u, v) \in E_f, \\
        z_v = (1 - \rho)\, \nu(\mathrm{PPR}_w X)_v + \rho\, \big[(1 - g_v)\, \nu(\hat A_{kNN(X)}^2 \tilde X)_v
        + g_v\, \nu(\hat A_{kNN(h)}^2 \tilde X)_v\big], \qquad
        g_v = \sigma\big(\kappa\, \mathrm{standard}(r)_v\big)

    with μ and σ the mean and deviation over all pairs of nodes, ν rows scaled to length 1, X̃ of `idf_weighted`, and r
    of a node the mean weight of its edges, drawn to that of all edges by one edge of it. An edge is judged by a map
    that was not fitted to it: one that was calls nearly every edge true. The channel of the nearest neighbours in X is
    out of reach of whoever changes edges; that in h is the better one, as long as the edges that it learned from are
    true.

    Args:
        num_features: F.
        recipe: the hyper-parameters.
    """

    def __init__(self, num_features: int, recipe: AspectS) -> None:
        super().__init__()
        self.recipe = recipe
        self.maps = nn.Linear(num_features, recipe.folds * recipe.dim, bias=False)
        self.dropped = FeatureDropout(recipe.feature_dropout)

    @property
    def takes_sparse_features(self) -> bool:
        """A linear map comes first."""
        return True

    def mapped(self, x: Tensor, rare: Tensor) -> Tensor:
        """What each map makes of the features, rows of length 1, ``[N, folds, dim]``; ``rare`` weighs the columns."""
        return F.normalize(feature_linear(x, self.maps.weight * rare).unflatten(1, (self.recipe.folds, -1)), dim=2)

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        """InfoNCE of the ends of edges, for each map among the edges outside of its fold."""
        recipe, rare = self.recipe, rarity(batch.x)
        pairs = _pairs(batch)
        pairs = pairs[:, draw_order(pairs.size(1), generator=generator, device=pairs.device)]
        folds = self.fold_of(batch.x, pairs)

        def contrast(x: Tensor) -> Tensor:
            h = self.mapped(x, rare)
            each = [
                _info_nce(h[:, fold], pairs[:, folds != fold][:, : recipe.sample], recipe.temperature)
                for fold in range(recipe.folds)
            ]
            return torch.stack(each).sum()

        terms = {"contrast": contrast(self.dropped(batch, generator).x)}
        if recipe.adversarial:
            seen = Data(x=_dense(batch.x), edge_index=batch.edge_index)
            adversary = SpectralEnergy(Budget(edges=0.0, linf=recipe.radius), band=recipe.band, steps=3)
            view = adversary(seen, lambda data: contrast(data.x), generator)
            terms["adversarial"] = recipe.adversarial * contrast(view.x)
        return terms

    def fold_of(self, x: Tensor, pairs: Tensor) -> Tensor:
        """The fold of each pair of nodes, ``[E]``, by their features, not their numbers; of edges to come too.

        Features that have changed since the training have other folds: an edge may meet a map that learned from it.
        """
        mixed = _content(x)[pairs].sum(0) * 0x5851F42D4C957F2D
        return (mixed >> 33) % self.recipe.folds

    def evidence(self, batch: Data) -> Tensor:
        """How true each edge looks to the map that has not learned from it, in [0, 1], ``[E]``."""
        h, edges = self.mapped(batch.x, rarity(batch.x)), batch.edge_index
        n, folds, weights = h.size(0), self.fold_of(batch.x, edges), h.new_zeros(edges.size(1))
        for fold in range(self.recipe.folds):
            rows, held = h[:, fold], (folds == fold).nonzero()[:, 0]
            # moments of the products of all pairs, from those of the rows: without a row's product with itself
            total, own = n * (n - 1), rows.square().sum(1)
            mean = (rows.sum(0).square().sum() - own.sum()) / total
            square = ((rows.T @ rows).square().sum() - own.square().sum()) / total
            deviation = (square - mean.square()).clamp(min=1e-12).sqrt()
            score = (pair_products(rows, rows, edges[:, held]) - mean) / (self.recipe.full * deviation)
            weights = weights.index_add(0, held, score.clamp(0, 1))
        # nothing can be said of an end without features
        silent = (h[:, 0].detach() == 0).all(1)[edges].any(0)
        return torch.where(silent, weights[~silent].mean() if bool((~silent).any()) else 1.0, weights)

    def along_edges(self, batch: Data) -> tuple[Tensor, Tensor]:
        """The channel along the edges, rows of length 1, ``[N, F]``, and how reliable they are, r, ``[N]``."""
        x, present, source = _dense(batch.x), batch.get("edge_weight"), batch.edge_index[0]
        judged = self.evidence(batch)
        present = torch.ones_like(judged) if present is None else present
        weight, between = judged * present, (source != batch.edge_index[1]).to(present)
        true, count = (x.new_zeros(x.size(0)).index_add(0, source, part * between) for part in (weight, present))
        mean = true.sum() / count.sum().clamp(min=1e-12)
        # without any edge the walk stays where it is
        low = PPRFilter(self.recipe.teleport)(x, batch.edge_index, weight) if source.numel() else x
        return unit_rows(low), (true + mean) / (count + 1)

    def channels(self, batch: Data) -> tuple[Tensor, Tensor]:
        """The three channels, along edges, neighbours in X and neighbours in h, ``[N, 3, F]``, and r, ``[N]``."""
        low, reliable = self.along_edges(batch)
        rare, learned = idf_weighted(_dense(batch.x)), self.mapped(batch.x, rarity(batch.x)).flatten(1)
        near = (unit_rows(along_neighbours(rare, like, self.recipe.k)) for like in (rare, learned))
        return torch.stack([low, *near], 1), reliable

    def weights(self, batch: Data) -> Tensor:
        """How much each node takes of each channel, ``[N, 3]``."""
        return self._weighed(batch, self.along_edges(batch)[1])

    def _weighed(self, batch: Data, reliable: Tensor) -> Tensor:
        recipe = self.recipe
        if recipe.reliability == "sensitivity":
            reliable = -self._moved(batch)
        spread, mean = torch.std_mean(reliable, correction=0)
        opened = torch.sigmoid(recipe.sharpness * (reliable - mean) / spread.clamp(min=1e-6))
        if recipe.reliability == "none":
            opened = opened.mean().expand_as(opened)
        share = opened.new_tensor(recipe.share)
        return torch.stack([(1 - share).expand_as(opened), share * (1 - opened), share * opened], 1)

    def _moved(self, batch: Data) -> Tensor:
        """How far an adversary that wants to move the nodes moves each of them along the edges, ``[N]``."""
        there = batch.edge_index if batch.get("edge_weight") is None else batch.edge_index[:, batch.edge_weight > 0]
        seen = Data(x=_dense(batch.x).detach(), edge_index=there)

        def make() -> Tensor:
            # the walk is linear, and a random projection keeps angles: 64 columns stand for thousands
            draws = draw_normal(
                seen.x.size(1), 64, generator=torch.Generator().manual_seed(0), device=seen.x.device
            ).to(seen.x)
            sketch = seen.x @ draws

            def walked(data: Data) -> Tensor:
                present, weight = data.get("edge_weight"), self.evidence(data)
                weight = weight if present is None else weight * present
                return unit_rows(PPRFilter(self.recipe.teleport)(sketch, data.edge_index, weight))

            before = walked(seen)
            adversary = SpectralEnergy(Budget(edges=self.recipe.edges), band=self.recipe.band, steps=10)
            moved = adversary(
                seen, lambda data: (1 - (walked(data) * before).sum(1)).mean(), torch.Generator().manual_seed(0)
            )
            return 1 - (walked(moved) * before).sum(1)

        recipe = self.recipe
        key = (seen.x, there, self.maps.weight, recipe.edges, recipe.band, recipe.full, recipe.teleport, recipe.folds)
        return _MOVED.of(key, make)

    def embed(self, batch: Data) -> Tensor:
        """The fused rows, as wide as the features."""
        channels, reliable = self.channels(batch)
        return torch.einsum("nk,nkf->nf", self._weighed(batch, reliable), channels)


def _info_nce(h: Tensor, pairs: Tensor, temperature: float) -> Tensor:
    """Each end among the other ends of the pairs, both ways; 0 where there are none."""
    if not pairs.size(1):
        return h.sum() * 0
    scores = h[pairs[0]] @ h[pairs[1]].T / temperature
    return ((torch.logsumexp(scores, 0) + torch.logsumexp(scores, 1)) / 2 - scores.diagonal()).mean()


def _pairs(batch: Data) -> Tensor:
    """The edges that are there, each once, ``[2, E]``."""
    there, weight = batch.edge_index[0] < batch.edge_index[1], batch.get("edge_weight")
    return batch.edge_index[:, there if weight is None else there & (weight > 0)]


def _content(x: Tensor) -> Tensor:
    """A number for each row made of the bits of its entries, exact in whatever order they are added, ``int64 [N]``."""
    columns = torch.arange(1, x.size(1) + 1, device=x.device) * 0x1E3779B97F4A7C15
    columns = (columns ^ (columns >> 29)) * 0x3F58476D1CE4E5B9
    if x.layout == torch.strided:
        return (x.detach().float().contiguous().view(torch.int32) * columns).sum(1)
    rows = torch.repeat_interleave(x.crow_indices().diff().long())
    bits = x.values().detach().float().view(torch.int32) * columns[x.col_indices().long()]
    return bits.new_zeros(x.size(0)).index_add(0, rows, bits)


def _dense(x: Tensor) -> Tensor:
    return x if x.layout == torch.strided else x.to_dense()


_MOVED: Recalled[Tensor] = Recalled()
