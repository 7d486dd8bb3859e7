"""A cell of a recommendation bench: fit on train, take the epoch that validation prefers, rank the whole catalogue."""

import base64
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import torch

from graphcl.bench.measure import Clock, Watch
from graphcl.bench.run import Record, Run, Trained
from graphcl.catalogue import entries, find
from graphcl.config import decode, encode
from graphcl.data.interaction_loading import find_interactions, load_interactions
from graphcl.data.interaction_spec import InteractionSpec
from graphcl.data.interaction_splits import InteractionSplit
from graphcl.data.loading import find_dataset
from graphcl.data.spec import DatasetSpec
from graphcl.errors import DataError, RequestError, UnknownNameError
from graphcl.evaluate.rank_scores import RankScores
from graphcl.evaluate.ranking import evaluate_ranking
from graphcl.recsys.recommender import SELECTED_BY, EmbeddingRecommender, Recommender, fit_selected

__all__ = ["CUTOFFS", "RankingRun", "is_ranking", "request", "spec_of", "user_scores"]

CUTOFFS = (5, 10, 20, 50)
"""Lengths of the lists that are scored."""

_STEPS = 65535
"""Values of single users are kept in so many steps from 0 to 1: two bytes each."""

_CLOSED = "no epochs: fitted to train with the settings of the run; validation is not consulted; "
_RULES = {
    True: f"the epoch with the first best {SELECTED_BY} on validation, of those looked at; test ranked once, "
    "afterwards; what was seen in train and validation is in no list",
    False: "no validation part: the end of the plan, or the closed form; test ranked once; what was seen in train is "
    "in no list",
}


def is_ranking(dataset: str) -> bool:
    """Whether a name is that of a set of interactions."""
    return dataset in entries("interactions")


@dataclass(frozen=True, kw_only=True)
class RankingRun(Run):
    """A run that fits a recommender and ranks; ``probe`` is the lengths of the lists."""

    @classmethod
    def of(
        cls,
        method: str,
        dataset: str,
        split: str | None = None,
        seed: int = 0,
        changes: Mapping[str, Any] | None = None,
        protocol: str = "honest",
        probe: str | None = None,
        preset: str | None = None,
        attack: Mapping[str, Any] | None = None,
        features: str | None = None,
    ) -> Self:
        """Resolve names and settings, as `Run.of`; refused before any work.

        Args:
            method: catalogue name of a recommender; its settings made for the data set are taken where there are some.
            dataset: catalogue name of a set of interactions.
            split: ``None`` takes the data set's default.
            seed: draws the split, the initialisation and the training.
            changes: nested changes to the settings.
            protocol: ``honest``; nothing here ever selects on test.
            probe: leave it out.
            preset: whose settings to take; ``None`` takes those for the data set.
            attack: leave it out.
            features: leave it out.
        """
        if seed < 0:
            raise RequestError(f"seed = {seed}: input should be 0 or more")
        recipe_class: type[Recommender] = find("recommenders", method)
        spec = find_interactions(dataset)
        if protocol != "honest":
            raise RequestError(
                f"{dataset} is ranked under the honest protocol alone; leave protocol = '{protocol}' out"
            )
        for what, given in (("probe", probe), ("attack", attack), ("features", features)):
            if given is not None:
                raise RequestError(
                    f"{dataset} is a set of interactions: it is ranked, and takes no {what}; leave it out"
                )
        if not recipe_class.takes(spec):
            raise RequestError(
                f"{method} reads what is said about items, and {dataset} says nothing; `graphcl data ls` marks the "
                "sets that do, such as ml-100k and python-imports"
            )
        if preset is not None and preset not in recipe_class.presets:
            raise UnknownNameError(f"preset of {method}", preset, recipe_class.presets)
        recipe = recipe_class.preset(preset or dataset, changes).pinned()
        if isinstance(recipe, EmbeddingRecommender):
            recipe.plan.torch_device()
        wanted = split or spec.default_split
        if wanted not in spec.splits:
            raise UnknownNameError(f"split of {dataset}", wanted, spec.splits)
        return cls(
            method=method,
            dataset=dataset,
            split=wanted,
            seed=seed,
            settings=encode(recipe),
            probe={"name": "full-ranking", "cutoffs": list(CUTOFFS)},
        )

    def at(self, seed: int, attack: Mapping[str, Any] | None = None) -> Self:
        """The same with another seed."""
        if attack is not None:
            raise RequestError(f"{self.dataset} is a set of interactions, and takes no attack; leave it out")
        return super().at(seed)

    @property
    def training(self) -> str:
        """Its own: validation has a part in the training."""
        return self.id

    @property
    def spec(self) -> InteractionSpec:  # type: ignore[override]
        """The facts about the interactions."""
        return find_interactions(self.dataset)

    def content(self) -> str:
        """Fingerprint of what is found here."""
        return load_interactions(self.dataset).whole.fingerprint

    def recommender(self) -> Recommender:
        """The recommender these settings describe."""
        return decode(find("recommenders", self.method), self.settings)

    @property
    def _made_with(self) -> Mapping[str, Any]:
        return self.settings

    def device(self) -> torch.device:
        """Where it is trained."""
        recipe = self.recommender()
        return recipe.plan.torch_device() if isinstance(recipe, EmbeddingRecommender) else torch.device("cpu")

    def compute(self, watch: Watch | None, clock: Clock, kept: list[Trained]) -> Record:
        """Fit, choose, rank."""
        kept.clear()
        split = load_interactions(self.dataset, self.split, self.seed)
        clock.lap("load")
        looking = len(split.val) > 0
        selected = fit_selected(self.recommender(), split.train, split.val if looking else None, self.seed, watch)
        clock.lap("train")
        parts = {}
        known = split.train.joined(split.val) if looking else split.train
        if looking:
            parts["val"] = evaluate_ranking(selected.scorer, split.val, split.train, split.train, CUTOFFS)
        parts["test"] = evaluate_ranking(selected.scorer, split.test, known, split.train, CUTOFFS)
        clock.lap("rank")
        metrics = {f"{name}/{part}": value for part, found in parts.items() for name, value in found.metrics.items()}
        return {
            "metrics": metrics,
            "metrics_per_split": {name: [value] for name, value in metrics.items()},
            "metric": SELECTED_BY,
            "per_user": {SELECTED_BY: _packed(parts["test"]), "users": len(parts["test"].users)},
            "dataset": _described(self.spec, split),
            "split": {
                "name": split.name,
                "digest": split.digest,
                "provenance": split.provenance,
                "triples": 1,
            },
            "selection": {
                "protocol": "honest",
                "rule": _rule(looking, selected.epoch),
                "legacy": False,
                "probe": {"probe": "full-ranking"},
                **({"epoch": selected.epoch} if selected.epoch is not None else {}),
                **({"looks": [asdict(look) for look in selected.looks]} if selected.looks else {}),
            },
        }


def request(method: str, dataset: str, *args: Any, **kwargs: Any) -> Run:
    """The run that is meant: of a method on a graph, or of a recommender on interactions.

    Args:
        method: catalogue name.
        dataset: catalogue name.
        args: as `Run.of`.
        kwargs: as `Run.of`.

    Raises:
        RequestError: as `Run.of`; or one of the two is for recommendation and the other is not.

    Example:
        >>> request("popularity", "planted-factors").probe["name"], request("grace", "karate").probe["name"]
        ('full-ranking', 'logistic')
    """
    ranking = is_ranking(dataset)
    if ranking and method in entries("methods"):
        raise RequestError(
            f"{method} embeds nodes or graphs, and {dataset} is a set of interactions; `graphcl ls recommenders` lists "
            "what ranks"
        )
    if not ranking and dataset in entries("datasets") and method in entries("recommenders"):
        raise RequestError(
            f"{method} ranks items for users, and {dataset} is none of the sets of interactions; `graphcl ls "
            "interactions` lists them"
        )
    if not ranking and dataset not in entries("datasets"):
        raise UnknownNameError("data set", dataset, [*entries("datasets"), *entries("interactions")])
    return (RankingRun if ranking else Run).of(method, dataset, *args, **kwargs)


def spec_of(dataset: str) -> DatasetSpec | InteractionSpec:
    """The facts about a graph or a set of interactions.

    Raises:
        UnknownNameError: neither has that name.
    """
    return find_interactions(dataset) if is_ranking(dataset) else find_dataset(dataset)


def _rule(looking: bool, epoch: int | None) -> str:
    if epoch is None:
        seen = "train and validation" if looking else "train"
        return f"{_CLOSED}test ranked once; what was seen in {seen} is in no list"
    return _RULES[looking]


def _described(spec: InteractionSpec, split: InteractionSplit) -> Record:
    whole = split.whole
    return {
        "name": spec.name,
        "fingerprint": whole.fingerprint,
        "counts": {
            "users": whole.num_users,
            "items": whole.num_items,
            "train": len(split.train),
            "val": len(split.val),
            "test": len(split.test),
            # ranked from nothing but their start, and in every mean
            "cold test users": int(((split.train.user_degrees == 0) & (split.test.user_degrees > 0)).sum()),
            "cold test items": int(((split.train.item_degrees == 0) & (split.test.item_degrees > 0)).sum()),
        },
    }


def _packed(scores: RankScores) -> str:
    values = np.rint(scores.per_user[SELECTED_BY].numpy() * _STEPS).astype("<u2")
    return base64.b64encode(zlib.compress(values.tobytes(), 9)).decode()


def user_scores(record: Record) -> np.ndarray:
    r"""NDCG@20 of each test user of a recommendation record, in the order of their numbers, for paired tests.

    .. math:: \tilde m_u = \mathrm{round}(65535\, m_u) / 65535

    Returns:
        ``float64``, one value for each user with test items.

    Raises:
        DataError: the record keeps none, or they are damaged.

    Example:
        >>> from graphcl.bench import execute
        >>> record = execute(RankingRun.of("popularity", "planted-factors"))
        >>> bool(abs(user_scores(record).mean() - record["metrics"]["ndcg@20/test"]) < 1e-5)
        True
    """
    try:
        kept = record["per_user"]
        values = np.frombuffer(zlib.decompress(base64.b64decode(kept[SELECTED_BY])), "<u2")
        if len(values) != kept["users"]:
            raise ValueError(f"{len(values)} values for {kept['users']} users")
    except (KeyError, ValueError, zlib.error) as error:
        raise DataError(f"record {record.get('run_id')}: no values of users ({error}); run it again") from None
    return values / _STEPS
