"""The page about a method of one's own: its file, dropped into the package, is all there is to do."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SUITE = """
methods = ["neighbour-contrast"]
seeds = 2
[[tasks]]
dataset = "karate"
[settings.neighbour-contrast]
plan.epochs = 5
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A checkout with one more file."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("graphcl", "tools"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "new-method.md").read_text(), re.M | re.S)
    (folder / "graphcl" / "methods" / "neighbour_contrast.py").write_text(code)
    return folder


STEPS = """
import contextlib, io, json, runpy, sys
from graphcl.bench import find_suite
from graphcl.cli import main

def said(*arguments):
    sys.argv = ["graphcl", *arguments]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main() == 0, arguments
    return out.getvalue()

told = {
    "listed": said("ls", "methods", "--json"),
    "shown": said("show", "neighbour-contrast", "--json"),
    "kept": said("check", "graphcl.methods.neighbour_contrast:NeighbourContrast"),
    "leaderboard": [run.dataset for run in find_suite("leaderboard").runs() if run.method == "neighbour-contrast"],
}
said("bench", "run", "own.toml", "--out", "benchmarks/results/own")
sys.argv = ["tools/leaderboard.py"]
try:
    runpy.run_path("tools/leaderboard.py", run_name="__main__")
except SystemExit as end:
    assert not end.code
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(copy):
    """What one process of that checkout says: loading takes longer than all of it."""
    (copy / "own.toml").write_text(SUITE)
    environment = {**os.environ, "PYTHONPATH": str(copy), "GRAPHCL_MIRROR": ""}
    done = subprocess.run(
        [sys.executable, "-c", STEPS], env=environment, cwd=copy, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_it_is_listed_and_shown(told):
    rows = {row["name"]: row for row in json.loads(told["listed"])}
    assert rows["neighbour-contrast"]["kind"] == "method"
    assert json.loads(told["shown"])["paper"]["title"].startswith("A method of your own")


def test_it_keeps_the_contract_of_methods(told):
    assert "renumbering the nodes renumbers the embedding" in told["kept"]


def test_it_belongs_to_suites_of_all_methods_and_to_the_leaderboard(told, copy):
    assert "cora" in told["leaderboard"]
    assert "mutag" not in told["leaderboard"]  # it embeds nodes
    assert "| neighbour-contrast" in (copy / "benchmarks" / "LEADERBOARD.md").read_text()
