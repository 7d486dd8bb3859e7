"""An epoch of RecBole's LightGCN by its own trainer and data loader, and its evaluation of all test users.

RecBole 1.2.1 asks for releases of NumPy and SciPy that torch and PyG of the other side no longer come with. What it
misses in newer ones are names, which are given back here, so that both sides run the same libraries.
"""

import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from harness import report
from inputs import arguments

warnings.filterwarnings("ignore")
for name, kind in {"float_": np.float64, "complex_": np.complex128, "unicode_": np.str_}.items():
    if name not in vars(np):
        setattr(np, name, kind)
if not hasattr(sp.dok_matrix, "_update"):
    sp.dok_matrix._update = lambda self, pairs: self._dict.update(pairs)

from recbole.config import Config  # noqa: E402 - the names come first
from recbole.data import create_dataset, data_preparation  # noqa: E402
from recbole.model.general_recommender import LightGCN  # noqa: E402
from recbole.trainer import Trainer  # noqa: E402
from recbole.utils import init_seed  # noqa: E402

DIM, LAYERS, BATCH, CUTOFF = 64, 3, 2048, 20
PARTS = {"train": "train", "valid": "val", "test": "test"}


def write(path: str, folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Atomic files of the three parts, and the vectors to rank by."""
    (folder / "exported").mkdir()
    with np.load(path) as file:
        for name, part in PARTS.items():
            pairs = zip(file[f"{part}_users"].tolist(), file[f"{part}_items"].tolist())  # noqa: B905 - alike
            lines = ["user_id:token\titem_id:token", *(f"{user}\t{item}" for user, item in pairs)]
            (folder / "exported" / f"exported.{name}.inter").write_text("\n".join(lines) + "\n")
        return torch.from_numpy(file["user_vectors"]), torch.from_numpy(file["item_vectors"])


def renumbered(vectors: torch.Tensor, dataset: object, field: str) -> torch.Tensor:
    """Rows in RecBole's order, zeros first."""
    out = torch.zeros(dataset.num(field), vectors.size(1))
    for token, number in dataset.field2token_id[field].items():
        if number:
            out[number] = vectors[int(token)]
    return out


def main() -> None:
    """Measure one of them; sizes are those of `sides/recommend.py`."""
    parser = arguments(warmup=1, repeats=3)
    parser.add_argument("way", choices=["epoch", "rank"])
    parser.add_argument("interactions")
    parser.add_argument("--eval-batch", type=int, default=4096, help="scores at a time (RecBole's default: 4096)")
    asked = parser.parse_args()
    source = str(Path(asked.interactions).resolve())
    sys.argv = sys.argv[:1]
    with tempfile.TemporaryDirectory() as folder:
        # it writes logs and checkpoints where it stands
        os.chdir(folder)
        users, items = write(source, Path(folder))
        keys = {
            "data_path": folder,
            "benchmark_filename": list(PARTS),
            "load_col": {"inter": ["user_id", "item_id"]},
            "embedding_size": DIM,
            "n_layers": LAYERS,
            "train_batch_size": BATCH,
            "eval_batch_size": asked.eval_batch,
            "learning_rate": 1e-3,
            "topk": [CUTOFF],
            "valid_metric": f"NDCG@{CUTOFF}",
            "use_gpu": False,
            "show_progress": False,
            "seed": 0,
        }
        logging.disable(logging.WARNING)
        config = Config(LightGCN, "exported", config_dict=keys)
        init_seed(0, True)
        dataset = create_dataset(config)
        train, _, test = data_preparation(config, dataset)
        model = LightGCN(config, train.dataset)
        trainer = Trainer(config, model)
        if asked.way == "epoch":
            losses: list[float] = []

            def epoch() -> None:
                losses.append(trainer._train_epoch(train, len(losses)) / len(train))

            report(epoch, asked.warmup, asked.repeats, lambda: f"loss {losses[0]:.4f} → {losses[-1]:.4f}")
            return
        trainer.eval_collector.data_collect(train)
        # given vectors: what is measured is the ranking, with nothing to propagate
        model.restore_user_e = renumbered(users, dataset, "user_id")
        model.restore_item_e = renumbered(items, dataset, "item_id")
        found: list[float] = []
        report(
            lambda: found.append(trainer.evaluate(test, load_best_model=False)[f"ndcg@{CUTOFF}"]),
            asked.warmup,
            asked.repeats,
            lambda: f"ndcg {found[-1]:.4f}",
        )


if __name__ == "__main__":
    main()
