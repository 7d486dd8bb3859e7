"""Importing graphcl loads torch_geometric and next to nothing else; everything heavier waits for its first use."""

import json
import os
import subprocess
import sys

import pytest

LOADED = """
import json, sys
before = set(sys.modules)
{}
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def loaded_by(statement):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(statement)],
        capture_output=True, text=True, timeout=120, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def packages(modules):
    return {name.partition(".")[0] for name in modules}


@pytest.fixture(scope="module")
def base():
    return loaded_by("import torch, torch_geometric")


def test_importing_graphcl_loads_pyg_and_nothing_heavier(base):
    ours = loaded_by("import graphcl")
    assert packages(ours) - packages(base) == {"graphcl", "lazy_loader"}
    # of graphcl itself nothing but the front door: parts are loaded when they are first used
    assert {name for name in ours if name.partition(".")[0] == "graphcl"} == {"graphcl"}
    heavy = {
        "implicit", "lenskit", "matplotlib", "networkx", "ogb", "openai", "polars", "pydantic", "recbole", "rich",
        "scipy", "sentence_transformers", "sklearn", "transformers", "typer",
    }  # fmt: skip
    # PyG itself loads transformers where it is installed
    assert not (packages(ours) - packages(base)) & heavy


def test_using_the_library_loads_neither_the_command_line_nor_an_extra(base):
    used = loaded_by(
        "import graphcl; data, split = graphcl.load('karate'); h = graphcl.embed('dgi', data, plan={'epochs': 1}); "
        "graphcl.evaluate.probe(h, data, split)"
    )
    assert "graphcl.train" in used
    beyond = packages(used) - packages(base)
    assert not beyond & {"typer", "matplotlib", "filelock", "ogb", "transformers", "IPython"}
    assert not {"graphcl.cli", "graphcl.bench", "graphcl.testing"} & used
