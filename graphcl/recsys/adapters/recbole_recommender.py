"""Recommenders as a model of RecBole.

| key of RecBole's configuration | says |
|---|---|
| `graphcl_recommender` | which recommender, by its name in the catalogue; `xsimgcl` where it is not given |
| `graphcl_settings` | changes to its defaults, a mapping such as `{dim: 32}` |
| `seed` | the initial vectors, as `EmbeddingRecommender.start` makes them, and the views |
| any other | the training: batches, negatives, optimiser, validation and checkpoints are RecBole's |

| recommender | what RecBole's trainer does with it |
|---|---|
| one that learns vectors | steps it, batch by batch |
| any other (`popularity`, `ease`, …) | nothing: it is fitted when the model is built; set `epochs: 1` |

RecBole's number 0 stands for no user and no item; its score is 0, and RecBole never lists it.

RecBole 1.2.1 runs with NumPy below 2 alone, and its own graph models with SciPy below 1.13. Its checkpoints hold its
configuration as a pickle, which torch 2.6 and newer read where ``TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1`` is set: read only
your own. In a fresh process::

    config = torch.load(file)["config"]
    config.compatibility_settings()
    init_seed(config["seed"], config["reproducibility"])
    train, validation, test = data_preparation(config, create_dataset(config))
    model = RecBoleRecommender(config, train.dataset).to(config["device"])
    Trainer(config, model).evaluate(test, model_file=file)
"""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphcl.catalogue import find
from graphcl.config import encode, updated
from graphcl.data.interactions import Interactions
from graphcl.errors import DataError, MissingExtraError, RequestError
from graphcl.evaluate.ranking import Scorer
from graphcl.recsys.recommender import EmbeddingRecommender, Ranker, Recommender
from graphcl.seeding import Seeds, imported

__all__ = ["RecBoleRecommender"]

_TRAINED_BY = {
    "plan": "epochs, learning_rate, learner, weight_decay and train_batch_size",
    "negatives": "train_neg_sample_args",
    "candidates": "train_neg_sample_args",
    "look_every": "eval_step",
    "looks": "stopping_step",
}
"""Settings that say how to train, and what says so in RecBole."""


def _recipe(config: Any) -> Recommender:
    """The recommender that a configuration names."""
    settings = config["graphcl_settings"] or {}
    if not isinstance(settings, Mapping):
        raise RequestError(f"graphcl_settings = {settings!r}: input should be a mapping, such as {{dim: 32}}")
    cls = find("recommenders", config["graphcl_recommender"] or "xsimgcl")
    if not issubclass(cls, EmbeddingRecommender):
        return updated(cls(), settings)
    for name in settings:
        if name in _TRAINED_BY:
            raise RequestError(f"graphcl_settings.{name}: RecBole trains here; set its {_TRAINED_BY[name]}")
    return updated(cls(), {**settings, "plan": {"device": torch.device(config["device"]).type}})


# the class descends from RecBole's, and lies at the top of the module so that RecBole's checkpoints find it
if find_spec("recbole") is not None or TYPE_CHECKING:
    _GeneralRecommender: Any = imported("recbole.model.abstract_recommender").GeneralRecommender

    class RecBoleRecommender(_GeneralRecommender):
        """A recommender as a general model of RecBole, for its ``Trainer``.

        A checkpoint is the trainer's own. It fits the recommender, the settings and the training pairs that it was made
        with, and no others: vectors are propagated over these pairs when a checkpoint is read.

        Args:
            config: a RecBole ``Config``.
            dataset: the training part, ``train_data.dataset``.

        Raises:
            UnknownNameError: no such recommender or setting.
            RequestError: a value out of range, or a setting that is RecBole's here.
            DataError: the recommender reads texts, or there is nothing to learn from.

        Example:
            >>> from recbole.config import Config
            >>> from recbole.data import create_dataset, data_preparation
            >>> config = Config(RecBoleRecommender, "ml-100k", config_dict={"graphcl_settings": {"dim": 8}})
            >>> train, validation, test = data_preparation(config, create_dataset(config))
            >>> RecBoleRecommender(config, train.dataset).ranker.table.shape
            torch.Size([2625, 8])
        """

        input_type = imported("recbole.utils").InputType.PAIRWISE

        def __init__(self, config: Any, dataset: Any) -> None:
            super().__init__(config, dataset)
            recipe = _recipe(config)
            seen = Interactions(
                users=dataset.inter_feat[self.USER_ID].cpu() - 1,
                items=dataset.inter_feat[self.ITEM_ID].cpu() - 1,
                num_users=self.n_users - 1,
                num_items=self.n_items - 1,
            )
            settings = {name: value for name, value in encode(recipe).items() if name not in _TRAINED_BY}
            self._about = {
                "graphcl_recommender": config["graphcl_recommender"] or "xsimgcl",
                "graphcl_settings": settings,
                "training pairs": seen.fingerprint,
            }
            self.ranker: Ranker | None = None
            self.scorer: Scorer | None = None
            if isinstance(recipe, EmbeddingRecommender):
                self.ranker = recipe.start(seen, config["seed"]).model
            else:
                self.scorer = recipe.fit(seen, config["seed"])
                # the optimiser wants something to hold
                self.nothing = nn.Parameter(torch.zeros(1))
            self._generator = Seeds(config["seed"]).torch("train")
            self._epochs = config["epochs"]
            self._triples = len(dataset) * config["train_neg_sample_args"]["sample_num"]
            self._ended, self._taken, self._open = 0, 0, False
            self._found: tuple[Tensor, Tensor] | None = None

        def calculate_loss(self, interaction: Any) -> Tensor:
            """The loss of a batch of triples, a number.

            Args:
                interaction: a batch of RecBole's, with a negative for each pair.
            """
            if self.ranker is None:
                return 0 * self.nothing.sum()
            self._settle()
            user, positive, negative = (
                interaction[field].to(self.device) - 1 for field in (self.USER_ID, self.ITEM_ID, self.NEG_ITEM_ID)
            )
            terms = self.ranker.loss(Data(user=user, positive=positive, negative=negative[:, None]), self._generator)
            self._taken += user.numel()
            self._open, self._found = True, None
            return torch.stack(list(terms.values())).sum()

        def _settle(self) -> None:
            """Tell the model of a step that has been made since its loss was asked for; RecBole does not."""
            if self.ranker is None or not self._open:
                return
            self._open = False
            self.ranker.after_step(min(1.0, (self._ended + 1) / max(self._epochs, 1)))
            # by what was taken and not by `train()`, which RecBole's dynamic negatives call at each batch
            if self._taken >= self._triples:
                self.ranker.after_epoch()
                self._ended, self._taken = self._ended + 1, 0

        @torch.no_grad()
        def _vectors(self) -> tuple[Tensor, Tensor]:
            """Of users and of items by RecBole's numbers, with a row of zeros first."""
            assert self.ranker is not None
            self._settle()
            if self._found is None:
                mode = self.ranker.training
                self.ranker.eval()
                try:
                    x = self.ranker.vectors()
                finally:
                    self.ranker.train(mode)
                users, items = x.split([self.n_users - 1, self.n_items - 1])
                self._found = (
                    torch.cat([x.new_zeros(1, x.size(1)), users]),
                    torch.cat([x.new_zeros(1, x.size(1)), items]),
                )
            return self._found

        def predict(self, interaction: Any) -> Tensor:
            """The scores of pairs, ``[B]``.

            Args:
                interaction: users and items.
            """
            user, item = interaction[self.USER_ID].to(self.device), interaction[self.ITEM_ID].to(self.device)
            if self.ranker is None:
                different, place = user.unique(return_inverse=True)
                return self._scores(different)[place, item]
            users, items = self._vectors()
            return (users[user] * items[item]).sum(1)

        def full_sort_predict(self, interaction: Any) -> Tensor:
            """The scores of all items, ``[B * n_items]``.

            Args:
                interaction: users.
            """
            user = interaction[self.USER_ID].to(self.device)
            if self.ranker is None:
                return self._scores(user).flatten()
            users, items = self._vectors()
            return (users[user] @ items.T).flatten()

        def _scores(self, user: Tensor) -> Tensor:
            """Of a recommender that does not train, ``[B, n_items]``."""
            assert self.scorer is not None
            scores = self.scorer.score((user.cpu() - 1).clamp(min=0)).to(self.device)
            return nn.functional.pad(scores, (1, 0))

        def get_extra_state(self) -> dict[str, Any]:
            """What a checkpoint says beside the parameters."""
            self._settle()
            return {**self._about, "epochs": self._ended}

        def set_extra_state(self, state: dict[str, Any]) -> None:
            """Refuse what does not fit, and go on with the epoch.

            Args:
                state: as `get_extra_state` gave it.

            Raises:
                DataError: another recommender, other settings, or other training pairs.
            """
            for what, mine in self._about.items():
                if state[what] != mine:
                    raise DataError(f"the checkpoint's {what}: {state[what]}, and the model's: {mine}; build it alike")
            self._found, self._open, self._taken = None, False, 0
            while self.ranker is not None and self._ended < state["epochs"]:
                self.ranker.after_epoch()
                self._ended += 1

else:

    def __getattr__(name: str) -> Any:
        if name == "RecBoleRecommender":
            raise MissingExtraError("recbole", "recbole")
        raise AttributeError(f"module {__name__} has no attribute {name}")
