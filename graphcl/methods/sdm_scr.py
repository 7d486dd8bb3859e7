"""SDM-SCR: a text's signal contrasted with its whole and its own noise, and smoothness for the signal alone."""

import hashlib
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
from graphcl.config import BelowOne, NonNegative, Positive, Rate, Size
from graphcl.errors import DataError, RequestError
from graphcl.features.decoupling import Decoupled, Decoupler, Extractive, RandomSplit, view_rows
from graphcl.features.judges import CausalDecoupler, ChatDecoupler
from graphcl.features.row_cache import row_key
from graphcl.features.sentence_encoders import MiniLM
from graphcl.features.source import texts_of
from graphcl.features.text_encoder import sentences_of
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

    The graph must have text, or keywords for features (`graphcl.features.texts_of`); other features of its own are not
    looked at. Without an epoch of training the embedding is words and signal, smoothed as `KnnPpr` does with settings
    of its own; training moves it as far as the losses ask.

    Args:
        decoupler: which of the following parts the texts.
        extractive: by the relations of sentences; needs nothing but the encoder.
        random: by chance: the placebo.
        chat: by a chat model behind an endpoint.
        causal: by a local language model.
        encoder: cuts the sentences and makes their vectors, for the decoupler as well.
        words: width of the latent semantics of all words (`Lsa`) that stand beside the signal; 0 leaves them out.
        view: ``signal``; ``whole`` reads the whole, and parts nothing where noise and orthogonality are 0; ``crop``
            does so too, and contrasts it with half its sentences, drawn anew each time.
        hidden: width of the adapter's one hidden layer.
        temperature: τ of the contrast.
        noise: weight of a node's own noise among its negatives: 0 leaves it out, 1 counts it as one negative.
        orthogonality: weight of the squared cosine of signal and noise.
        smoothness: weight of the Rayleigh quotient of the first view.
        edge_dropout: share of the edges that each view misses.
        feature_dropout: share of the entries that each view misses.
        teleport: α of the PageRank that smooths.
        share: ρ, of the nearest neighbours in words and signal; 0 leaves them out.
        k: nearest neighbours of a node.
        sample: nodes that are compared in a step.

    Raises:
        RequestError: a setting that would do nothing.
        DataError: the graph has no text, or no text could be parted.
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

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.features != "raw":
            raise RequestError(f"SdmScr.features = {self.features!r}: it makes features of its own; leave it at 'raw'")
        for name in ("extractive", "random", "chat", "causal"):
            part, usual = getattr(self, name), type(self).__dataclass_fields__[name].default
            if name != self.decoupler and part != usual:
                raise RequestError(f"SdmScr.{name}: its settings do nothing unless decoupler={name}; leave them out")
            if part != self._cutting(part, usual):
                raise RequestError(f"SdmScr.{name}: sentences are cut and encoded by SdmScr.encoder; set that instead")

    def _cutting(self, part: Any, by: Any) -> Any:
        """A decoupler that cuts (and encodes) sentences as another does."""
        shared = "encoder" if isinstance(part, Extractive) else "most"
        return part.replace(**{shared: getattr(by, shared)})

    @property
    def _parts(self) -> bool:
        return self.view == "signal" or self.noise > 0 or self.orthogonality > 0

    @property
    def features_follow_edges(self) -> bool:
        """Where the neighbours say what is signal."""
        return self._parts and self.decoupler == "extractive" and self.extractive.relation == "neighbours"

    def chosen(self) -> Decoupler:
        """The decoupler of that name, cutting sentences as the encoder does."""
        part: Decoupler = getattr(self, self.decoupler)
        if isinstance(part, Extractive):
            return part.replace(encoder=self.encoder)
        made: Decoupler = part.replace(most=self.encoder.most)
        return made

    def pinned(self) -> Self:
        """With the revision of the language model, where one parts the texts; refused where none is named."""
        if not self._parts:
            return self
        if self.decoupler == "chat":
            self.chat.identity()
            if not self.chat.endpoint.url:
                raise RequestError("SdmScr.chat.endpoint.url is empty; give the address of a server, up to /v1")
        return self.replace(causal=self.causal.pinned()) if self.decoupler == "causal" else self

    def prepare(self, data: Data) -> Data:
        """The signal in the place of the features; whole, noise and words beside it."""
        out = super().prepare(featureless(data))
        read, dtype = self._read(data, out.edge_index), out.x.dtype
        out.x = (read.signal if self.view == "signal" else read.whole).to(dtype, copy=True)
        out.x_whole, out.x_noise = read.whole.to(dtype, copy=True), read.noise.to(dtype, copy=True)
        if self.words:
            out.x_words = self._latent(data).to(dtype, copy=True)
        if read.cut is not None:
            out.sentences, out.sentence_owner = read.cut[0].to(dtype, copy=True), read.cut[1].clone()
        for said_by in ("text", "vocabulary"):
            if said_by in out:
                del out[said_by]
        return out

    def describe(self, data: Data) -> dict[str, Any]:
        """What was read of a graph's text: by what, the texts left undecided, and a hash of what came of it."""
        ready = self.prepare(data)
        read = self._read(data, ready.edge_index)
        sha = hashlib.sha256(ready.x.cpu().contiguous().view(torch.uint8).numpy().data).hexdigest()
        by = self.chosen().describe() if self._parts else None
        return {"decoupler": by, "encoder": self.encoder.describe(), "undecided": read.undecided, "sha256": sha}

    def _read(self, data: Data, edge_index: Tensor) -> "_Read":
        texts = texts_of(data)
        by = self.chosen().describe() if self._parts else None
        settings = json.dumps([by, self.encoder.describe(), self.view == "crop"], sort_keys=True)
        edges = edge_index.cpu() if self.features_follow_edges else None
        return _READ.of((row_key(*texts).hex(), settings, edges), lambda: self._parted(texts, edge_index.cpu()))

    def _parted(self, texts: list[str], edge_index: Tensor) -> "_Read":
        seen = Data(text=texts, edge_index=edge_index, num_nodes=len(texts))
        if self._parts:
            parted = self.chosen()(seen)
        else:
            said = sentences_of(seen, self.encoder.most)
            parted = Decoupled(said, [[1.0] * len(some) for some in said])
        if parted.undecided and parted.undecided >= sum(map(bool, parted.sentences)):
            raise DataError("the decoupler gave no usable answer for any text; look at the model behind it")
        signal, noise, whole = view_rows(self.encoder, parted)
        # a text that is all noise is its own signal, and has no noise
        silent = (signal == 0).all(1, keepdim=True)
        signal, noise = torch.where(silent, whole, signal), torch.where(silent, 0.0, noise)
        read = _Read(signal, noise, whole, parted.undecided)
        if self.view == "crop":
            size = torch.tensor([len(said) for said in parted.sentences])
            rows = unit_rows(self.encoder.vectors([one for said in parted.sentences for one in said]))
            read.cut = rows, torch.repeat_interleave(torch.arange(len(size)), size)
        return read

    def _latent(self, data: Data) -> Tensor:
        texts = texts_of(data)
        try:
            return _WORDS.of((row_key(*texts).hex(), self.words), lambda: Lsa(dim=self.words)(data))
        except DataError as error:
            raise DataError(f"{error}, which SdmScr.words = 0 leaves out") from None

    def assemble(self, shape: GraphShape) -> "SdmScrMethod":
        """An adapter that begins as nothing, and a projector."""
        return SdmScrMethod(shape.num_features, self)


class SdmScrMethod(Method):
    r"""An adapter of text vectors, smoothed along edges, whose signal, whole and noise are compared.

    .. math::
        f(x) = x + W_2\, \mathrm{relu}(W_1 x), \qquad z(x) = \mathrm{PPR}\, f(x), \qquad
        p = \nu(\text{projector}), \\
        L = -\tfrac{1}{2n} \sum_v
        \log \frac{e^{s_{vv}}}{\sum_u e^{s_{vu}} + \omega\, e^{p(z^s_v) \cdot p(z^n_v) / \tau}} + \dots
        + \beta\, \overline{\cos^2\!\big(f(x^s_v), f(x^n_v)\big)}
        + \gamma\, \frac{\operatorname{tr} F_s^\top L F_s}{\operatorname{tr} F_s^\top F_s}, \\
        h_v = (1 - \rho)\, \nu\big(\mathrm{PPR}\, [\,\mathrm{LSA}, f(x^s)]\big)_v
        + \rho\, \nu\big(\hat A_{kNN}^2 [\,\mathrm{LSA}, f(x^s)]\big)_v

    with :math:`s_{vu} = p(z^s_v) \cdot p(z^w_u) / \tau` over n sampled nodes (and the same from the whole's side, which
    the dots stand for), s the signal and w the whole of a text along randomly thinned edges with randomly thinned
    entries, n its noise as it is (no negative where there is none), :math:`F_s` the centred rows :math:`z(x^s)`, L the
    normalised Laplacian and :math:`\nu` rows scaled to length 1. :math:`W_2` begins as 0.

    Args:
        num_features: F, of a text's vector.
        recipe: the hyper-parameters.
    """

    def __init__(self, num_features: int, recipe: SdmScr) -> None:
        super().__init__()
        self.recipe = recipe
        self.inner = nn.Linear(num_features, recipe.hidden, bias=False)
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
        recipe, edges, weight = self.recipe, batch.edge_index, batch.get("edge_weight")
        a, b = (self._seen(batch, x, generator) for x in (self._first(batch, generator), batch.x_whole))
        chosen = draw_order(len(a), generator=generator, device=a.device)[: recipe.sample]
        own, none = None, torch.zeros_like(chosen, dtype=torch.bool)
        if recipe.noise:
            own = self.projector(self.smoothed(self.adapted(batch.x_noise), edges, weight)[chosen])
            none = (batch.x_noise[chosen] == 0).all(1)
        terms = {"contrast": _contrast(self.projector(a[chosen]), self.projector(b[chosen]), own, none, recipe)}
        if recipe.orthogonality:
            signal, noise = self.adapted(batch.x), self.adapted(batch.x_noise)
            terms["orthogonality"] = recipe.orthogonality * F.cosine_similarity(signal, noise).square().mean()
        if recipe.smoothness:
            terms["smoothness"] = recipe.smoothness * rayleigh_quotient(a - a.mean(0), edges, weight)
        return terms

    def embed(self, batch: Data) -> Tensor:
        """Smoothed along edges and along the nearest neighbours in meaning, ``[N, LSA + F]``."""
        recipe, words = self.recipe, batch.get("x_words")
        beside = [] if words is None else [words]
        joint = torch.cat([*beside, self.adapted(batch.x)], 1)
        out = unit_rows(self.smoothed(joint, batch.edge_index, batch.get("edge_weight")))
        if recipe.share:
            # who is near is decided by what was said, before any training
            like = torch.cat([*beside, batch.x], 1)
            near = unit_rows(along_neighbours(joint, like, recipe.k))
            out = (1 - recipe.share) * out + recipe.share * near
        return out

    def _seen(self, batch: Data, x: Tensor, generator: torch.Generator) -> Tensor:
        """Z of one random view of the graph."""
        seen = Data(x=x, edge_index=batch.edge_index)
        if batch.get("edge_weight") is not None:
            seen.edge_weight = batch.edge_weight
        view = self.edges(self.entries(seen, generator), generator)
        return self.smoothed(self.adapted(view.x), view.edge_index, view.get("edge_weight"))

    def _first(self, batch: Data, generator: torch.Generator) -> Tensor:
        if self.recipe.view != "crop":
            return batch.x
        kept = draw_uniform(len(batch.sentences), generator=generator, device=batch.x.device) < 0.5
        rows = torch.zeros_like(batch.x).index_add(0, batch.sentence_owner[kept], batch.sentences[kept])
        cut = unit_rows(rows)
        return torch.where((cut == 0).all(1, keepdim=True), batch.x, cut)


def _contrast(a: Tensor, b: Tensor, own: Tensor | None, none: Tensor, recipe: SdmScr) -> Tensor:
    """Each row against the rows of the other view, and against its own noise unless it has none."""
    a, b = F.normalize(a, dim=1), F.normalize(b, dim=1)
    scores = a @ b.T / recipe.temperature
    sides: Sequence[Tensor] = [scores, scores.T]
    if own is not None:
        own = F.normalize(own, dim=1)
        extra = [(side * own).sum(1) / recipe.temperature + math.log(recipe.noise) for side in (a, b)]
        extra = [one.masked_fill(none, -torch.inf) for one in extra]
        sides = [torch.cat([pairs, one[:, None]], 1) for pairs, one in zip(sides, extra, strict=True)]
    true = torch.arange(len(a), device=a.device)
    return torch.stack([F.cross_entropy(side, true) for side in sides]).mean()


@dataclass
class _Read:
    """What came of the texts: rows of signal, noise and whole; of single sentences, and whose they are, for crops."""

    signal: Tensor
    noise: Tensor
    whole: Tensor
    undecided: int
    cut: tuple[Tensor, Tensor] | None = None


_READ: Recalled[_Read] = Recalled(count=2)
_WORDS: Recalled[Tensor] = Recalled(count=2)
