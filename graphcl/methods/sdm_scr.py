"""SDM-SCR: a text's signal contrasted with its whole and its own noise, and smoothness for the signal alone."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

import annotated_types as at
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data

from graphcl.augment.edges import EdgeDropout
from graphcl.augment.features import FeatureDropout
from graphcl.config import BelowOne, NonNegative, Positive, Rate, Size, encode
from graphcl.features.decoupling import Decoupler, Extractive, RandomSplit, view_rows
from graphcl.features.judges import CausalDecoupler, ChatDecoupler
from graphcl.features.row_cache import row_key
from graphcl.features.sentence_encoders import MiniLM
from graphcl.features.source import texts_of
from graphcl.features.vocabulary import Lsa
from graphcl.graph import GraphShape, featureless, unit_rows
from graphcl.methods.defences import along_neighbours
from graphcl.methods.recipe import Method, Paper, Recipe
from graphcl.plan import Plan
from graphcl.remembered import Recalled
from graphcl.seeding import draw_order, draw_uniform
from graphcl.spectral.descriptors import rayleigh_quotient
from graphcl.spectral.filters import PPRFilter

__all__ = ["SdmScr", "SdmScrMethod", "TextView"]

TextView: TypeAlias = Literal["signal", "whole", "crop"]
"""What is read, and the first view: the signal; the whole text; or the whole, its first view some of its sentences."""


@dataclass(frozen=True, kw_only=True)
class SdmScr(Recipe):
    """Semantic decoupling and semantic consistency: a text's signal against its whole and against its own noise.

    The graph must have text (`graphcl.features.texts_of`); features of its own are not looked at. Without an epoch of
    training the embedding is that of a training-free control, ``knn-ppr`` of the words and the signal; training moves
    it as far as the losses ask.

    Args:
        decoupler: which of the following parts the texts.
        extractive: by the relations of sentences; needs nothing but the encoder.
        random: by chance: the placebo.
        chat: by a chat model behind an endpoint.
        causal: by a local language model.
        encoder: makes the vectors of the sentences.
        words: width of the latent semantics of all words (`Lsa`) that stand beside the signal; 0 leaves them out.
        view: ``signal``; ``whole`` parts nothing and leaves random augmentation alone; ``crop`` reads the whole as
            well, and contrasts it with half its sentences, drawn anew each time.
        hidden: width of the adapter's one hidden layer.
        temperature: τ of the contrast.
        noise: weight of a node's own noise among its negatives: 0 leaves it out, 1 counts it as one negative.
        orthogonality: weight of the squared cosine of signal and noise.
        smoothness: weight of the Rayleigh quotient of the first view.
        edge_dropout: share of the edges that each view misses.
        feature_dropout: share of the entries that each view misses.
        teleport: α of the PageRank that smooths.
        share: ρ, of the nearest neighbours in the embedding; 0 leaves them out.
        k: nearest neighbours of a node.
        sample: nodes that are compared in a step.

    Raises:
        DataError: the graph has no text.
        MissingExtraError: the encoder is not installed.

    Reference:
        Li et al., SDM-SCR, 2026. Only its abstract is public: no equation, prompt or number. What is written here is
        this project's reading of it, with settings chosen on validation.

    Example:
        >>> SdmScr(decoupler="random", smoothness=0.0).view
        'signal'
    """

    paper: ClassVar[Paper | None] = Paper(
        "li2026sdmscr",
        "SDM-SCR: semantic decoupling and semantic consistency regularisation by approximate orthogonal decomposition",
        "arXiv 2604.14746, 2026",
        "https://arxiv.org/abs/2604.14746",
    )
    reads_text: ClassVar[bool] = True

    decoupler: Literal["extractive", "random", "chat", "causal"] = "extractive"
    extractive: Extractive = Extractive(clusters=6)
    random: RandomSplit = RandomSplit()
    chat: ChatDecoupler = ChatDecoupler()
    causal: CausalDecoupler = CausalDecoupler()
    encoder: MiniLM = MiniLM(unit="sentences")
    words: Annotated[int, at.Ge(0)] = 384
    view: TextView = "signal"
    hidden: Size = 256
    temperature: Positive = 0.4
    noise: NonNegative = 1.0
    orthogonality: NonNegative = 0.1
    smoothness: NonNegative = 1.0
    edge_dropout: BelowOne = 0.3
    feature_dropout: BelowOne = 0.2
    teleport: Annotated[float, at.Interval(gt=0, le=1)] = 0.15
    share: Rate = 0.3
    k: Size = 10
    sample: Size = 512
    plan: Plan = Plan(epochs=20, lr=3e-4)

    def chosen(self) -> Decoupler:
        """The decoupler of that name."""
        made: Decoupler = getattr(self, self.decoupler)
        return made

    def pinned(self) -> Self:
        """With the revision of the language model, where one parts the texts."""
        return self.replace(causal=self.causal.pinned()) if self.decoupler == "causal" else self

    def prepare(self, data: Data) -> Data:
        """The signal in the place of the features; whole, noise and words beside it."""
        texts = texts_of(data)
        out = super().prepare(featureless(data))
        said = row_key(*texts).hex()
        settings = json.dumps([encode(self.chosen()), encode(self.encoder), self.decoupler], sort_keys=True)
        signal, noise, whole, cut, owner = _PARTED.of((said, settings, data.edge_index), lambda: self._parted(data))
        dtype = out.x.dtype
        out.x = (signal if self.view == "signal" else whole).to(dtype)
        out.x_whole, out.x_noise = whole.to(dtype), noise.to(dtype)
        if self.words:
            out.words = _WORDS.of((said, self.words), lambda: Lsa(dim=self.words)(data)).to(dtype)
        if self.view == "crop":
            out.sentences, out.sentence_owner = cut.to(dtype), owner
        for said_by in ("text", "vocabulary"):
            if said_by in out:
                del out[said_by]
        return out

    def _parted(self, data: Data) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        parted = self.chosen()(data)
        signal, noise, whole = view_rows(self.encoder, parted)
        # a text that is all noise is its own signal
        signal = torch.where((signal == 0).all(1, keepdim=True), whole, signal)
        flat = [one for said in parted.sentences for one in said]
        size = torch.tensor([len(said) for said in parted.sentences])
        owner = torch.repeat_interleave(torch.arange(len(size)), size)
        return signal, noise, whole, unit_rows(self.encoder.vectors(flat)), owner

    def assemble(self, shape: GraphShape) -> "SdmScrMethod":
        """An adapter that begins as nothing, and a projector."""
        return SdmScrMethod(shape.num_features, self)


class SdmScrMethod(Method):
    r"""An adapter of text vectors, smoothed along edges, whose signal, whole and noise are compared.

    .. math::
        f(x) = x + W_2\, \mathrm{relu}(W_1 x), \qquad z(x) = \mathrm{PPR}\, f(x), \qquad p = \text{projector}, \\
        L = -\tfrac{1}{2n} \sum_v
        \log \frac{e^{s_{vv}}}{\sum_u e^{s_{vu}} + \omega\, e^{p(z^s_v) \cdot p(z^n_v) / \tau}} + \dots
        + \beta\, \overline{\cos^2\!\big(f(x^s_v), f(x^n_v)\big)}
        + \gamma\, \frac{\operatorname{tr} F_s^\top L F_s}{\operatorname{tr} F_s^\top F_s}, \\
        h_v = (1 - \rho)\, \nu\big(\mathrm{PPR}\, [\,\mathrm{LSA}, f(x^s)]\big)_v
        + \rho\, \nu\big(\hat A_{kNN}^2 [\,\mathrm{LSA}, f(x^s)]\big)_v

    with :math:`s_{vu} = p(z^s_v) \cdot p(z^w_u) / \tau` over n sampled nodes (and the same from the whole's side, which
    the dots stand for), s the signal, w the whole, n the noise of a text, :math:`F_s` the centred rows
    :math:`z(x^s)`, L the normalised Laplacian and :math:`\nu` rows scaled to length 1. :math:`W_2` begins as 0.

    Args:
        num_features: F, of a text's vector.
        recipe: the hyper-parameters.
    """

    def __init__(self, num_features: int, recipe: SdmScr) -> None:
        super().__init__()
        self.recipe = recipe
        self.inner = nn.Linear(num_features, recipe.hidden)
        self.outer = nn.Linear(recipe.hidden, num_features, bias=False)
        nn.init.zeros_(self.outer.weight)
        self.projector = nn.Sequential(nn.Linear(num_features, recipe.hidden), nn.ELU(), nn.Linear(recipe.hidden, 128))
        self.ppr = PPRFilter(recipe.teleport)
        self.edges, self.entries = EdgeDropout(recipe.edge_dropout), FeatureDropout(recipe.feature_dropout)

    def adapted(self, x: Tensor) -> Tensor:
        """f, ``[N, F]``."""
        return x + self.outer(F.relu(self.inner(x)))

    def smoothed(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """The random walk; without any edge it stays where it is."""
        return self.ppr(x, edge_index, edge_weight) if edge_index.size(1) else x

    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        """Contrast, and what keeps signal apart from noise and smooth."""
        recipe = self.recipe
        a, b = (self._seen(batch, x, generator) for x in (self._first(batch, generator), batch.x_whole))
        chosen = draw_order(len(a), generator=generator, device=a.device)[: recipe.sample]
        own = None
        if recipe.noise:
            own = self.projector(self.smoothed(self.adapted(batch.x_noise), batch.edge_index)[chosen])
        terms = {"contrast": _contrast(self.projector(a[chosen]), self.projector(b[chosen]), own, recipe)}
        if recipe.orthogonality:
            signal, noise = self.adapted(batch.x), self.adapted(batch.x_noise)
            terms["orthogonality"] = recipe.orthogonality * F.cosine_similarity(signal, noise).square().mean()
        if recipe.smoothness:
            terms["smoothness"] = recipe.smoothness * rayleigh_quotient(a - a.mean(0), batch.edge_index)
        return terms

    def embed(self, batch: Data) -> Tensor:
        """Smoothed along edges and along the nearest neighbours in meaning, ``[N, LSA + F]``."""
        recipe, words = self.recipe, batch.get("words")
        beside = [] if words is None else [words]
        joint = torch.cat([*beside, self.adapted(batch.x)], 1)
        out = unit_rows(self.smoothed(joint, batch.edge_index, batch.get("edge_weight")))
        if recipe.share:
            # who is near is decided by what was said, before any training
            like = torch.cat([*beside, batch.x], 1)
            near = unit_rows(along_neighbours(joint, like, min(recipe.k, len(joint) - 1)))
            out = (1 - recipe.share) * out + recipe.share * near
        return out

    def _seen(self, batch: Data, x: Tensor, generator: torch.Generator) -> Tensor:
        """Z of one random view of the graph."""
        view = self.edges(self.entries(Data(x=x, edge_index=batch.edge_index), generator), generator)
        return self.smoothed(self.adapted(view.x), view.edge_index)

    def _first(self, batch: Data, generator: torch.Generator) -> Tensor:
        if self.recipe.view != "crop":
            return batch.x
        kept = draw_uniform(len(batch.sentences), generator=generator, device=batch.x.device) < 0.5
        rows = torch.zeros_like(batch.x).index_add(0, batch.sentence_owner[kept], batch.sentences[kept])
        cut = unit_rows(rows)
        return torch.where((cut == 0).all(1, keepdim=True), batch.x, cut)


def _contrast(a: Tensor, b: Tensor, own: Tensor | None, recipe: SdmScr) -> Tensor:
    """Each row against the rows of the other view, and against its own noise."""
    a, b = F.normalize(a, dim=1), F.normalize(b, dim=1)
    scores = a @ b.T / recipe.temperature
    sides: Sequence[Tensor] = [scores, scores.T]
    if own is not None:
        own = F.normalize(own, dim=1)
        extra = [(side * own).sum(1, keepdim=True) / recipe.temperature + math.log(recipe.noise) for side in (a, b)]
        sides = [torch.cat(pair, 1) for pair in zip(sides, extra, strict=True)]
    true = torch.arange(len(a), device=a.device)
    return torch.stack([F.cross_entropy(side, true) for side in sides]).mean()


_PARTED: Recalled[Any] = Recalled()
_WORDS: Recalled[Tensor] = Recalled()
