"""Vectors of 100 texts by the small encoder: the bare call of its library, and the source with an empty cache."""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from harness import report
from inputs import arguments, difference
from sentence_transformers import SentenceTransformer
from torch import Tensor
from torch_geometric.data import Data

import graphcl
from graphcl.features import MiniLM, texts_of

COUNT, BATCH, TURNS = 100, 32, 5


def seconds(step: Callable[[], None]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def main() -> None:
    """Measure one of them; texts are the longest docstrings of Python's own library."""
    parser = arguments(warmup=1, repeats=1)
    parser.add_argument("way", choices=["sentence-transformers", "graphcl", "graphcl-again"])
    asked = parser.parse_args()
    graph, _ = graphcl.load("python-stdlib")
    texts = sorted(set(texts_of(graph)), key=lambda text: (-len(text), text))[: 8 * COUNT : 8]
    data = Data(text=texts, edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=len(texts))
    source, found = MiniLM(batch_size=BATCH), list[Tensor]()
    bare = SentenceTransformer(str(source.folder()), device="cpu", local_files_only=True)
    bare.max_seq_length = source.max_length

    def library() -> None:
        found.append(torch.from_numpy(bare.encode(texts, batch_size=BATCH, show_progress_bar=False)))

    def ours() -> None:
        found.append(source(data))

    def anew() -> None:
        for path in Path(os.environ["GRAPHCL_CACHE"]).rglob("*.sqlite"):
            path.unlink()
        ours()

    with tempfile.TemporaryDirectory() as folder:
        os.environ["GRAPHCL_CACHE"] = folder
        # both models are loaded and warm before the clock runs; of these texts nothing is in the cache
        source(Data(text=["warm"], edge_index=data.edge_index, num_nodes=1))
        bare.encode(["warm"], show_progress_bar=False)
        if asked.way == "graphcl-again":
            ours()
        step = {"sentence-transformers": library, "graphcl": anew, "graphcl-again": ours}[asked.way]

        def told() -> str:
            tokens = sum(min(len(row), source.max_length) for row in bare.tokenizer(texts)["input_ids"])
            mine = found[-1]
            library()
            said = f"{len(texts)} texts, {tokens:,} tokens; off by {difference(mine, found[-1]):.1e}"
            if asked.way != "graphcl":
                return said
            # processes that follow each other meet another machine each; these two take turns in one of them
            ratios = [seconds(library) / seconds(anew) for _ in range(TURNS)]
            return f"{said}; in turn with the bare call {statistics.median(ratios):.2f}"

        report(step, asked.warmup, asked.repeats, told)


if __name__ == "__main__":
    main()
