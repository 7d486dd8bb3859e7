"""What a recommender is: a paper as data, which is fitted to interactions and then scores items for users."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphcl.config import Config, NonNegative, Size, merged, updated
from graphcl.data.interaction_spec import InteractionSpec
from graphcl.data.interactions import Interactions
from graphcl.data.spec import DatasetSpec
from graphcl.errors import DataError, RequestError, RunFailedError
from graphcl.evaluate.ranking import Embedded, Scorer, evaluate_ranking
from graphcl.methods.recipe import Method, Paper
from graphcl.plan import Plan
from graphcl.recsys.samplers import Negatives, Triples
from graphcl.seeding import Seeds, Stream
from graphcl.train import Step, train

__all__ = [
    "EmbeddingRecommender",
    "Look",
    "Ranker",
    "RankerTraining",
    "Recommender",
    "Selected",
    "fit_selected",
    "small",
]

SELECTED_BY = "ndcg@20"
"""What is looked at on validation."""


def small(**changes: Any) -> dict[str, Mapping[str, Any]]:
    """Presets for the small sets of the suite ``recommendation``, for which papers have no settings: ours.

    Chosen by the validation part of a draw that no table uses, among few and by what two cores can do in an evening:
    ``benchmarks/recommendation_search.jsonl`` has what was tried and what it gave. Half of the rate, for one,
    finds 0.4 points more NDCG@20 for LightGCN on MovieLens-100K, in one and a half times the time.

    Args:
        changes: of one recommender, beside those.

    Example:
        >>> small(weight=0.05)["ml-100k"]["plan"]
        {'lr': 0.01, 'batch_size': 8192}
    """
    batches = {"lastfm": 8192, "ml-100k": 8192, "ml-1m": 8192, "planted-factors": 2048, "python-imports": 2048}
    return {
        name: merged({"plan": {"lr": 0.01, "batch_size": batch}, "looks": 5}, changes)
        for name, batch in batches.items()
    }


@dataclass(frozen=True, kw_only=True)
class Recommender(Config, ABC):
    """Hyper-parameters of one paper."""

    paper: ClassVar[Paper | None] = None
    """The source; ``None`` for what has none."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Settings by data set, as changes to the defaults: from the literature where it has some, else ours by validation
    (`small`, and what stands for the same data sets)."""
    control: ClassVar[bool] = False
    """Whether it is a baseline: it learns no vectors by contrast or gradient."""
    standing: ClassVar[bool] = True
    """Of a baseline: whether it belongs into every table, or only where a suite names it."""
    reads_text: ClassVar[bool] = False
    """Whether it wants `Interactions.item_text`."""
    supervised: ClassVar[bool] = False
    """Never: there are no labels beside the interactions."""
    probe: ClassVar[str] = "full-ranking"
    """What scores it."""

    @classmethod
    def kind(cls) -> Literal["method", "supervised", "control"]:
        """What its rows are in a table: a ``method`` or a ``control``."""
        return "control" if cls.control else "method"

    @classmethod
    def takes(cls, spec: DatasetSpec | InteractionSpec) -> bool:
        """Whether it can be fitted to a data set."""
        return isinstance(spec, InteractionSpec) and (spec.text or not cls.reads_text)

    @classmethod
    def preset(cls, dataset: str, changes: Mapping[str, Any] | None = None) -> Self:
        """The settings made for a data set (the defaults where there are none), with changes merged in."""
        return updated(updated(cls(), cls.presets.get(dataset, {})), changes or {})

    def pinned(self) -> Self:
        """The same, with what lies outside of the settings (a file, a checkpoint) noted in them by content."""
        return self

    @abstractmethod
    def fit(self, train: Interactions, seed: int = 0) -> Scorer:
        """Learn from all of these interactions.

        Args:
            train: what was seen.
            seed: of everything that is drawn.

        Returns:
            What scores every item for a user; users and items without interactions have scores too.
        """


class Ranker(Method):
    """A vector for each user and item, and a loss over triples.

    Args:
        seen: what is learnt from.
        dim: width of the vectors.
        penalty: weight of the squared length of the learnt vectors in a batch, half of it and by pair.
    """

    def __init__(self, seen: Interactions, dim: int, penalty: float) -> None:
        super().__init__()
        self.num_users, self.num_items, self.penalty = seen.num_users, seen.num_items, penalty
        tables = [nn.init.xavier_uniform_(torch.empty(count, dim)) for count in (seen.num_users, seen.num_items)]
        self.table = nn.Parameter(torch.cat(tables))

    @abstractmethod
    def vectors(self) -> Tensor:
        """What is ranked by: ``[U + I, D]``, users first; a score is the product of two rows."""

    def embed(self, batch: Data) -> Tensor:
        """The same."""
        return self.vectors()

    @abstractmethod
    def loss(self, batch: Data, generator: torch.Generator, part: str = "model") -> dict[str, Tensor]:
        """Terms over triples: ``user [B]``, ``positive [B]``, ``negative [B, M]``."""

    def rank_terms(self, x: Tensor, batch: Data) -> dict[str, Tensor]:
        r"""Bayesian personalised ranking of a batch, and the penalty of what is learnt.

        .. math:: L = -\frac1B \sum \ln \sigma(x_u^\top x_i - x_u^\top x_j)
            + \frac{\lambda}{2B} \sum \|e_u\|^2 + \|e_i\|^2 + \|e_j\|^2

        Where there are several negatives, that with the highest score is taken.

        Reference:
            Rendle et al., BPR: Bayesian personalized ranking from implicit feedback, UAI 2009; hardest of several:
            Zhang et al., Optimizing top-n collaborative filtering via dynamic negative item sampling, SIGIR 2013.
        """
        user, positive = x[batch.user], x[batch.positive + self.num_users]
        negatives = batch.negative
        if negatives.size(1) > 1:
            with torch.no_grad():
                scores = (x[negatives + self.num_users] @ user[:, :, None])[:, :, 0]
            negatives = negatives.gather(1, scores.argmax(1, keepdim=True))
        other = negatives[:, 0]
        gap = (user * (positive - x[other + self.num_users])).sum(1)
        terms = {"rank": nn.functional.softplus(-gap).mean()}
        if self.penalty:
            rows = torch.cat([batch.user, batch.positive + self.num_users, other + self.num_users])
            terms["penalty"] = self.penalty_of(rows, batch.user.numel())
        return terms

    def penalty_of(self, rows: Tensor, pairs: int) -> Tensor:
        """The weighted half of the squared length of some learnt vectors, by pair of the batch."""
        return self.penalty / 2 * self.table[rows].square().sum() / pairs

    def both(self, batch: Data) -> tuple[Tensor, Tensor]:
        """The users of a batch and the items that they have, each once: rows of the vectors."""
        return batch.user.unique(), batch.positive.unique() + self.num_users


@dataclass
class RankerTraining:
    """A model and the steps still to come."""

    model: Ranker
    steps: Iterator[Step]
    steps_per_epoch: int

    @torch.no_grad()
    def scorer(self) -> Embedded:
        """What the model ranks by as it is now, on the CPU.

        Raises:
            RunFailedError: it holds NaN or infinite values.
        """
        mode = self.model.training
        self.model.eval()
        try:
            x = self.model.vectors().detach().cpu()
        finally:
            self.model.train(mode)
        if not torch.isfinite(x).all():
            raise RunFailedError("the vectors hold NaN or infinite values; lower plan.lr or train for fewer epochs")
        return Embedded(x[: self.model.num_users].clone(), x[self.model.num_users :].clone())


@dataclass(frozen=True, kw_only=True)
class EmbeddingRecommender(Recommender):
    """What all recommenders with learnt vectors share.

    A class that names no presets of its own takes those of `small`.

    Args:
        dim: width of the vectors.
        penalty: weight of the squared length of the vectors of a batch (the papers' L2 regularisation).
        negatives: how the items that a user has not seen are drawn.
        candidates: of each pair, where negatives are ``hard``.
        look_every: epochs between two looks at validation.
        looks: so many looks without a new best end the training; the vectors of the best are taken. Without a
            validation part all epochs are trained and the last vectors are taken.
        plan: epochs, rate, and pairs in a batch.
    """

    dim: Size = 64
    penalty: NonNegative = 1e-4
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = small()

    negatives: Negatives = "uniform"
    candidates: Size = 8
    look_every: Size = 5
    looks: Size = 10
    plan: Plan = Plan(epochs=500, lr=1e-3, batch_size=2048)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.plan.patience is not None:
            raise RequestError("plan.patience watches the training loss; recommenders stop by validation: set `looks`")

    @abstractmethod
    def assemble(self, seen: Interactions) -> Ranker:
        """The model; called with the global random state lent."""

    def start(self, train_on: Interactions, seed: int = 0) -> RankerTraining:
        """Build the model and stand ready to train.

        Args:
            train_on: what is learnt from.
            seed: of initialisation, batches and views.

        Raises:
            DataError: nothing to learn from, or something that the recommender needs is not there.
            RequestError: the plan asks for a device that is not there.
        """
        if self.reads_text and train_on.item_text is None:
            raise DataError(
                f"{type(self).__name__} reads what is said about items, and these have no item_text; give it to "
                "`Interactions`, or put the file of the items beside that of the pairs"
            )
        seeds = Seeds(seed)
        batches = Triples(
            train_on, self.plan.batch_size or len(train_on), seeds.torch("batches"), self.negatives, self.candidates
        )
        with Stream(seeds.torch("build")):
            model = self.assemble(train_on).to(self.plan.torch_device())
        return RankerTraining(model, train(model, batches, self.plan, seeds.torch("train")), len(batches))

    def fit(self, train: Interactions, seed: int = 0) -> Embedded:
        """Train all epochs; `fit_selected` stops by validation."""
        training = self.start(train, seed)
        for _ in training.steps:
            pass
        return training.scorer()


@dataclass(frozen=True)
class Look:
    """What validation said after an epoch."""

    epoch: int
    score: float


@dataclass(frozen=True)
class Selected:
    """A fitted recommender, and how its epoch was chosen.

    Args:
        scorer: what ranks.
        epoch: whose vectors these are; ``None`` for what has no epochs.
        looks: at validation, in order; none where there is no validation part.
    """

    scorer: Scorer
    epoch: int | None = None
    looks: tuple[Look, ...] = ()


def fit_selected(
    recipe: Recommender,
    train_on: Interactions,
    validation: Interactions | None = None,
    seed: int = 0,
    watch: Callable[[Step, Plan], None] | None = None,
) -> Selected:
    """Fit, and take the epoch that ranks the validation part best by NDCG@20; the test part is not in reach.

    Args:
        recipe: what to fit.
        train_on: what is learnt from.
        validation: what is looked at every `EmbeddingRecommender.look_every` epochs; ``None``, or nothing in it, trains
            to the end of the plan.
        seed: of everything that is drawn.
        watch: called after each training step.

    Raises:
        RunFailedError: the training diverged.

    Example:
        >>> from graphcl.recsys.methods import Popularity
        >>> seen = Interactions(users=[0, 1, 1], items=[0, 0, 1], num_users=2, num_items=3)
        >>> fit_selected(Popularity(), seen).scorer.score(torch.tensor([0])).argmax().item()
        0
    """
    if not isinstance(recipe, EmbeddingRecommender):
        return Selected(recipe.fit(train_on, seed))
    training = recipe.start(train_on, seed)
    looking = validation is not None and len(validation) > 0
    looks: list[Look] = []
    best: Embedded | None = None
    best_look = Look(0, float("-inf"))
    for step in training.steps:
        if watch is not None:
            watch(step, recipe.plan)
        if not looking or step.n % training.steps_per_epoch:
            continue
        if step.epoch % recipe.look_every and step.epoch != recipe.plan.epochs:
            continue
        assert validation is not None
        scorer = training.scorer()
        found = evaluate_ranking(scorer, validation, seen=train_on, train=train_on, cutoffs=(20,))
        looks.append(Look(step.epoch, found.metrics[SELECTED_BY]))
        if looks[-1].score > best_look.score:
            best, best_look = scorer, looks[-1]
        elif sum(look.epoch > best_look.epoch for look in looks) >= recipe.looks:
            break
    if best is None:
        return Selected(training.scorer(), recipe.plan.epochs)
    return Selected(best, best_look.epoch, tuple(looks))
