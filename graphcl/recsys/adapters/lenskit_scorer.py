"""Recommenders as a scorer of LensKit's pipelines.

| asked for | is given |
|---|---|
| a user with training pairs | the score of each item |
| any other user, or none | no score for any item (NaN), so that a fallback of the pipeline steps in |
| an item without training pairs, or one that is not in the data | no score |
| a history in the query | nothing else: the vectors are those that were learnt |
"""

from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from pydantic import ConfigDict

from graphcl.catalogue import find
from graphcl.config import Config, Seed, updated
from graphcl.data.interaction_files import from_lenskit
from graphcl.errors import MissingExtraError
from graphcl.evaluate.ranking import Scorer
from graphcl.recsys.recommender import EmbeddingRecommender, Recommender
from graphcl.seeding import python_state_kept

__all__ = ["LensKitConfig", "LensKitScorer"]


@dataclass(frozen=True, kw_only=True)
class LensKitConfig(Config):
    """Which recommender a `LensKitScorer` is, in values that a pipeline file can hold.

    Args:
        recommender: name in the catalogue.
        settings: changes to its defaults.
        seed: of everything that is drawn; ``None`` takes LensKit's ``TrainingOptions.rng``.
        interactions: name of the interactions that are learnt from; ``None`` for the default ones. Each pair counts
            alike, whatever its rating.
        score_unseen: score the data's users and items without training pairs too, by whatever vectors they were left
            with.

    Raises:
        UnknownNameError: no such recommender or setting.
        RequestError: a value out of range.

    Example:
        >>> LensKitConfig(recommender="xsimgcl", settings={"dim": 32}).recipe().dim
        32
    """

    # LensKit builds it from a mapping, which a strict dataclass does not take; the fields themselves stay strict
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)

    recommender: str = "xsimgcl"
    settings: dict[str, Any] = field(default_factory=dict)
    seed: Seed | None = None
    interactions: str | None = None
    score_unseen: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        # a wrong setting is refused where it is written, and not at the end of somebody's training queue
        self.recipe()

    def recipe(self) -> Recommender:
        """The recommender."""
        return updated(find("recommenders", self.recommender)(), self.settings)


# the class descends from LensKit's, and lies at the top of the module so that a pickle finds it
if find_spec("lenskit") is not None or TYPE_CHECKING:
    with python_state_kept():
        from lenskit.data import Dataset, ItemList, QueryInput, RecQuery, Vocabulary
        from lenskit.pipeline import Component
        from lenskit.training import Trainable, TrainingOptions

    class LensKitScorer(Component[ItemList], Trainable):
        """A recommender as a trainable component that scores items for a query.

        It is pickled with its pipeline, which is how LensKit saves what it has trained.

        Args:
            config: a `LensKitConfig`, or its fields as keyword arguments.

        Example:
            >>> from lenskit.data import from_interactions_df
            >>> from lenskit.pipeline import topn_pipeline
            >>> import pandas as pd
            >>> seen = pd.DataFrame({"user_id": [1, 1, 2, 2, 3], "item_id": [10, 11, 10, 12, 12]})
            >>> pipeline = topn_pipeline(LensKitScorer(recommender="popularity"), n=2)
            >>> pipeline.train(from_interactions_df(seen))
            >>> pipeline.run(query=3).ids().tolist()
            [10, 11]
        """

        config: LensKitConfig
        users: Vocabulary
        items: Vocabulary
        scorer: Scorer
        scored_users: np.ndarray
        scored_items: np.ndarray

        def train(self, data: Dataset, options: TrainingOptions) -> None:
            """Learn from a data set.

            Args:
                data: what was seen.
                options: its ``device`` (or ``LK_DEVICE``) goes before the plan's.
            """
            if hasattr(self, "scorer") and not options.retrain:
                return
            seen = from_lenskit(data, self.config.interactions)
            recipe = self.config.recipe()
            device = options.device or options.env_var("LK_DEVICE")
            if device and isinstance(recipe, EmbeddingRecommender):
                recipe = updated(recipe, {"plan": {"device": device.partition(":")[0]}})
            seed = self.config.seed
            if seed is None:
                seed = int(options.random_generator().integers(2**31))
            self.scorer = recipe.fit(seen, seed)
            self.users, self.items = data.users, data.items
            self.scored_users, self.scored_items = (
                (degrees > 0).numpy() | self.config.score_unseen for degrees in (seen.user_degrees, seen.item_degrees)
            )

        def __call__(self, query: QueryInput, items: ItemList) -> ItemList:
            """The items with scores, NaN where there is none.

            Args:
                query: the user.
                items: what is scored.
            """
            query = RecQuery.create(query)
            scores = np.full(len(items), np.nan, dtype=np.float32)
            user = None if query.user_id is None else self.users.number(query.user_id, missing=None)
            if user is None or not self.scored_users[user]:
                return ItemList(items, scores=scores)
            numbers = items.numbers(vocabulary=self.items, missing="negative")
            known = (numbers >= 0) & self.scored_items[numbers]
            found = self.scorer.score(torch.tensor([user]))[0].cpu().numpy()
            scores[known] = found[numbers[known]]
            return ItemList(items, scores=scores)

else:

    def __getattr__(name: str) -> Any:
        if name == "LensKitScorer":
            raise MissingExtraError("lenskit", "recsys")
        raise AttributeError(f"module {__name__} has no attribute {name}")
