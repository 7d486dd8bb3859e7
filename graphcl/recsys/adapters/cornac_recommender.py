"""Recommenders as a model of Cornac's experiments.

| asked for | is given |
|---|---|
| a user and an item with training pairs | the score |
| a user alone | the scores of all items with training pairs |
| a user or item without training pairs | Cornac's ``ScoreException`` |

The rest is Cornac's: it rates those by the mean of all training ratings, ranks an unknown item with the worst known
one, and gives an unknown user the items in the reverse of their order. Scores order items and are no ratings; of
Cornac's metrics, those of rankings fit.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from graphcl.catalogue import find
from graphcl.config import updated
from graphcl.data.interactions import Interactions
from graphcl.errors import MissingExtraError, RequestError
from graphcl.evaluate.ranking import Embedded, Scorer
from graphcl.recsys.recommender import fit_selected
from graphcl.seeding import python_state_kept

__all__ = ["CornacRecommender"]


def _pairs(given: Any, num_users: int, num_items: int) -> Interactions:
    """Of a Cornac data set, without the users and items that only a later part has: they are numbered last."""
    users, items = (torch.from_numpy(np.asarray(column, dtype=np.int64)) for column in given.uir_tuple[:2])
    known = (users < num_users) & (items < num_items)
    return Interactions(users=users[known], items=items[known], num_users=num_users, num_items=num_items)


# the class descends from Cornac's, and lies at the top of the module so that a pickle finds it
if find_spec("cornac") is not None or TYPE_CHECKING:
    with python_state_kept():
        from cornac.exception import ScoreException
        from cornac.models.recommender import MEASURE_DOT, ANNMixin
        from cornac.models.recommender import Recommender as CornacModel

    class CornacRecommender(CornacModel, ANNMixin):
        """A recommender as a Cornac model.

        Where the evaluation has a validation part, it chooses the epoch (`graphcl.recsys.fit_selected`); without one
        all epochs are trained. Each pair counts alike, whatever its rating. ``save`` and ``load`` are Cornac's.

        Args:
            recommender: name in the catalogue.
            settings: changes to its defaults.
            seed: of everything that is drawn.
            name: in Cornac's tables and folders; ``None`` takes the recommender's.
            trainable: whether `fit` learns.
            verbose: as Cornac has it.

        Raises:
            UnknownNameError: no such recommender or setting.
            RequestError: a value out of range.

        Example:
            >>> from cornac.data import Dataset
            >>> seen = Dataset.from_uir([("ann", "tea", 1.0), ("ann", "milk", 1.0), ("bob", "tea", 1.0)])
            >>> model = CornacRecommender("popularity").fit(seen)
            >>> model.recommend("bob", k=1)
            ['tea']
        """

        def __init__(
            self,
            recommender: str = "xsimgcl",
            settings: Mapping[str, Any] | None = None,
            seed: int = 0,
            name: str | None = None,
            trainable: bool = True,
            verbose: bool = False,
        ) -> None:
            super().__init__(name=name or recommender, trainable=trainable, verbose=verbose)
            # Cornac's `clone` reads the arguments back by their names
            self.recommender, self.settings, self.seed = recommender, settings, seed
            self.recipe = updated(find("recommenders", recommender)(), settings or {})
            self.scorer: Scorer | None = None

        def fit(self, train_set: Any, val_set: Any = None) -> "CornacRecommender":
            """Learn from Cornac's data sets.

            Args:
                train_set: what is learnt from.
                val_set: what chooses the epoch.

            Raises:
                RequestError: a model that is not trainable, as it is after `load`, does not fit the data.
            """
            super().fit(train_set, val_set)
            sizes = train_set.num_users, train_set.num_items
            if self.trainable:
                validation = None if val_set is None else _pairs(val_set, *sizes)
                self.scorer = fit_selected(self.recipe, _pairs(train_set, *sizes), validation, self.seed).scorer
                # what scores without vectors is not offered to nearest-neighbour search
                self._ann_supported = isinstance(self.scorer, Embedded)
            elif self.scorer is None or (self.scorer.num_users, self.scorer.num_items) != sizes:
                raise RequestError(
                    f"{self.name} is not trainable and was not trained on {sizes[0]} users and {sizes[1]} items; "
                    "set trainable=True"
                )
            return self

        def score(self, user_idx: int, item_idx: int | None = None) -> Any:
            """The score of an item, or those of all known items, ``float32 [I]``.

            Args:
                user_idx: Cornac's number of the user.
                item_idx: the same of the item; ``None`` for all.

            Raises:
                ScoreException: the user or the item had no training pair.
            """
            if self.scorer is None or self.is_unknown_user(user_idx):
                raise ScoreException(f"user {user_idx} has no training pair")
            if item_idx is not None and self.is_unknown_item(item_idx):
                raise ScoreException(f"item {item_idx} has no training pair")
            scores = self.scorer.score(torch.tensor([user_idx]))[0].cpu().numpy()
            return scores if item_idx is None else scores[item_idx]

        def get_vector_measure(self) -> str:
            """Vectors are compared by their product."""
            return MEASURE_DOT

        def get_user_vectors(self) -> np.ndarray:
            """``[U, D]``."""
            return self._vectors().users.cpu().numpy()

        def get_item_vectors(self) -> np.ndarray:
            """``[I, D]``."""
            return self._vectors().items.cpu().numpy()

        def _vectors(self) -> Embedded:
            if not isinstance(self.scorer, Embedded):
                raise RequestError(f"{self.name} has no vectors: fit it first, or take a recommender that learns some")
            return self.scorer

else:

    def __getattr__(name: str) -> Any:
        if name == "CornacRecommender":
            raise MissingExtraError("cornac", "recsys")
        raise AttributeError(f"module {__name__} has no attribute {name}")
