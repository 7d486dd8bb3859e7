"""The adapter for RecBole, in an environment that has it: tests/environments/recbole.txt."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from graphcl.catalogue import entries
from graphcl.data.interaction_files import to_inter
from graphcl.data.interactions import Interactions
from graphcl.data.planted import planted_factors
from graphcl.errors import DataError, MissingExtraError, RequestError, UnknownNameError
from graphcl.evaluate.ranking import Embedded, evaluate_ranking
from graphcl.recsys import adapters
from graphcl.recsys.recommender import EmbeddingRecommender
from graphcl.seeding import Seeds

if find_spec("recbole") is not None:
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.data.interaction import Interaction
    from recbole.trainer import Trainer
    from recbole.utils import init_seed

    from graphcl.recsys.adapters import RecBoleRecommender

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

ROOT = Path(__file__).parents[2]
USERS, ITEMS, PAIRS = 60, 50, 370


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Interactions as RecBole's atomic file."""
    pytest.importorskip("recbole", reason="RecBole is not installed: tests/environments/recbole.txt")
    root = tmp_path_factory.mktemp("data")
    (root / "planted").mkdir()
    to_inter(planted_factors(USERS, ITEMS, PAIRS, factors=3), root / "planted" / "planted.inter")
    return root


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", sys.argv[:1])
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    # RecBole writes its logs where it stands
    monkeypatch.chdir(tmp_path)


@pytest.mark.skipif(find_spec("recbole") is not None, reason="RecBole is installed")
def test_what_is_missing_is_said():
    with pytest.raises(MissingExtraError, match=r"recbole is not installed: pip install 'graphcl\[recbole\]'"):
        _ = adapters.RecBoleRecommender


def configured(folder, recommender="lightgcn", settings=None, **more):
    keys = {
        "data_path": str(folder),
        "checkpoint_dir": "saved",
        "load_col": {"inter": ["user_id", "item_id"]},
        "graphcl_recommender": recommender,
        "graphcl_settings": settings or {},
        "epochs": 2,
        "learning_rate": 0.02,
        "train_batch_size": 64,
        "use_gpu": False,
        "show_progress": False,
        "topk": [5, 10],
        "valid_metric": "NDCG@10",
        "metrics": ["Recall", "NDCG", "Precision"],
        "metric_decimal_place": 8,
        "seed": 3,
    }
    config = Config(RecBoleRecommender, "planted", config_dict={**keys, **more})
    init_seed(config["seed"], config["reproducibility"])
    return config


def prepared(*args, **more):
    config = configured(*args, **more)
    parts = data_preparation(config, create_dataset(config))
    return config, RecBoleRecommender(config, parts[0].dataset).to(config["device"]), parts


def trained(*args, **more):
    config, model, parts = prepared(*args, **more)
    trainer = Trainer(config, model)
    trainer.fit(parts[0], parts[1], verbose=False)
    return trainer, model, parts


def interactions(part):
    users, items = (part.dataset.inter_feat[name].cpu() - 1 for name in ("user_id", "item_id"))
    return Interactions(
        users=users, items=items, num_users=part.dataset.user_num - 1, num_items=part.dataset.item_num - 1
    )


def everybody(model):
    users = torch.arange(1, model.n_users)
    return model.full_sort_predict(Interaction({"user_id": users})).view(len(users), model.n_items)


TRAINED = sorted(
    name
    for name, cls in entries("recommenders").items()
    if issubclass(cls, EmbeddingRecommender) and not cls.reads_text
)
FITTED = sorted(
    name
    for name, cls in entries("recommenders").items()
    if not issubclass(cls, EmbeddingRecommender) and not cls.reads_text
)


@pytest.mark.parametrize("name", TRAINED)
def test_every_recommender_that_learns_vectors_is_trained_by_recbole(folder, name):
    trainer, model, _ = trained(folder, name, {"dim": 8}, epochs=4)
    losses = list(trainer.train_loss_dict.values())
    assert len(losses) == 4
    assert losses[-1] < losses[0]
    assert torch.isfinite(everybody(model)).all()


@pytest.mark.parametrize("name", FITTED)
def test_any_other_recommender_is_fitted_when_it_is_built(folder, name):
    trainer, model, parts = trained(folder, name, epochs=1)
    scorer = entries("recommenders")[name]().fit(interactions(parts[0]), 3)
    assert torch.equal(everybody(model)[:, 1:], scorer.score(torch.arange(scorer.num_users)))
    assert trainer.evaluate(parts[2])["recall@10"] > 0


def test_the_loss_is_the_recommenders_own(folder):
    _, model, parts = prepared(folder, "xsimgcl", {"dim": 8})
    training = entries("recommenders")["xsimgcl"](dim=8).start(interactions(parts[0]), 3)
    generator = Seeds(3).torch("train")
    for batch in list(parts[0])[:3]:
        user, positive, negative = (batch[name] - 1 for name in ("user_id", "item_id", "neg_item_id"))
        terms = training.model.loss(Data(user=user, positive=positive, negative=negative[:, None]), generator)
        assert torch.equal(model.calculate_loss(batch), torch.stack(list(terms.values())).sum())


def test_negatives_are_unseen(folder):
    _, _, parts = prepared(folder)
    seen = interactions(parts[0])
    pairs = set(zip(seen.users.tolist(), seen.items.tolist(), strict=True))
    batches = list(parts[0])
    drawn = [
        pair for b in batches for pair in zip((b["user_id"] - 1).tolist(), (b["neg_item_id"] - 1).tolist(), strict=True)
    ]
    assert sum(len(b) for b in batches) == len(seen)
    assert not pairs & set(drawn)


def test_recbole_finds_what_graphcl_finds(folder):
    trainer, model, parts = trained(folder, "lightgcn", {"dim": 8}, epochs=5)
    found = trainer.evaluate(parts[2])
    train, validation, test = (interactions(part) for part in parts)
    users, items = model._vectors()
    expected = evaluate_ranking(Embedded(users[1:], items[1:]), test, train.joined(validation), train, (5, 10)).metrics
    for k in (5, 10):
        assert found[f"recall@{k}"] == pytest.approx(expected[f"recall@{k}"], abs=1e-6)
        assert found[f"ndcg@{k}"] == pytest.approx(expected[f"ndcg@{k}"], abs=1e-6)


@pytest.mark.parametrize("name", ["lightgcn", "popularity"])
def test_single_pairs_and_all_items_have_the_same_scores(folder, name):
    _, model, _ = prepared(folder, name)
    scores = everybody(model)
    assert scores[:, 0].tolist() == [0.0] * (model.n_users - 1)
    user, item = torch.tensor([3, 1, 3, model.n_users - 1]), torch.tensor([1, model.n_items - 1, 0, 7])
    single = model.predict(Interaction({"user_id": user, "item_id": item}))
    assert torch.allclose(single, scores[user - 1, item], atol=1e-6)


def test_scores_follow_the_parameters(folder):
    _, model, parts = prepared(folder)
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
    before = everybody(model)
    for batch in list(parts[0])[:2]:
        optimiser.zero_grad()
        model.calculate_loss(batch).backward()
        optimiser.step()
        after = everybody(model)
        assert not torch.equal(before, after)
        before = after


FRESH = """
import sys
import numpy as np, torch
from recbole.data import create_dataset, data_preparation
from recbole.data.interaction import Interaction
from recbole.trainer import Trainer
from recbole.utils import init_seed
file, out = sys.argv[1:]
sys.argv = sys.argv[:1]
config = torch.load(file)["config"]
config.compatibility_settings()  # else nothing has told NumPy the names that RecBole calls
init_seed(config["seed"], config["reproducibility"])
parts = data_preparation(config, create_dataset(config))
model = config.model_class(config, parts[0].dataset).to(config["device"])
trainer = Trainer(config, model)
found = trainer.evaluate(parts[2], model_file=file)
scores = model.full_sort_predict(Interaction({"user_id": torch.arange(1, model.n_users)}))
np.savez(out, scores=scores.detach().numpy(), found=list(found.values()))
"""


@pytest.mark.parametrize("name", ["xsimgcl", "ease"])
def test_a_checkpoint_gives_the_same_lists_in_a_fresh_process(folder, tmp_path, name):
    trainer, model, parts = trained(folder, name, {"dim": 8} if name == "xsimgcl" else {}, epochs=3)
    found = trainer.evaluate(parts[2])
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(torch.get_num_threads())}
    command = [sys.executable, "-W", "ignore", "-c", FRESH, trainer.saved_model_file, str(tmp_path / "found.npz")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "found.npz") as file:
        assert np.array_equal(file["scores"], everybody(model).flatten().detach().numpy())
        assert file["found"].tolist() == list(found.values())


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"seed": 4}, "training pairs"),
        ({"settings": {"dim": 8, "layers": 2}}, "graphcl_settings"),
        ({"recommender": "xsimgcl", "settings": {"dim": 8}}, "graphcl_recommender"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(folder, other, what):
    trainer, _, _ = trained(folder, settings={"dim": 8})
    config, model, _ = prepared(folder, **{"settings": {"dim": 8}, **other})
    before = model.ranker.table.detach().clone()
    with pytest.raises(DataError, match=f"checkpoint's {what}"):
        Trainer(config, model).resume_checkpoint(trainer.saved_model_file)
    assert torch.equal(model.ranker.table, before)


@pytest.mark.parametrize(
    "negatives",
    [
        {"distribution": "uniform", "sample_num": 1, "alpha": 1.0, "dynamic": False, "candidate_num": 0},
        {"distribution": "uniform", "sample_num": 2, "alpha": 1.0, "dynamic": False, "candidate_num": 0},
        {"distribution": "uniform", "sample_num": 1, "alpha": 1.0, "dynamic": True, "candidate_num": 3},
    ],
    ids=["one", "two", "dynamic"],
)
def test_epochs_are_counted(folder, negatives):
    _, model, _ = trained(folder, "ncl", {"dim": 8}, epochs=3, train_neg_sample_args=negatives)
    everybody(model)
    assert model.ranker.epochs == 3


def test_training_goes_on_from_a_checkpoint(folder):
    first, _, _ = trained(folder, "ncl", {"dim": 8}, epochs=3)
    config, model, parts = prepared(folder, "ncl", {"dim": 8}, epochs=5)
    trainer = Trainer(config, model)
    trainer.resume_checkpoint(first.saved_model_file)
    assert model.ranker.epochs == trainer.start_epoch > 0
    trainer.fit(parts[0], parts[1], verbose=False)
    everybody(model)
    assert model.ranker.epochs == 5


def test_what_is_wrong_is_said(folder):
    with pytest.raises(UnknownNameError, match="did you mean 'xsimgcl'"):
        prepared(folder, "xsimgc")
    with pytest.raises(UnknownNameError, match="dimm"):
        prepared(folder, "xsimgcl", {"dimm": 8})
    with pytest.raises(RequestError, match="learning_rate"):
        prepared(folder, "xsimgcl", {"plan": {"lr": 0.1}})
    with pytest.raises(RequestError, match="mapping"):
        prepared(folder, "xsimgcl", [1])
    texts = [
        name
        for name, cls in entries("recommenders").items()
        if issubclass(cls, EmbeddingRecommender) and cls.reads_text
    ]
    for name in texts:
        with pytest.raises(DataError, match="item_text"):
            prepared(folder, name)


def test_xsimgcl_is_the_default(folder):
    _, model, _ = prepared(folder, None, None)
    assert type(model.ranker).__name__ == "_XSimGcl"
