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


def graphcl(folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(folder), "GRAPHCL_MIRROR": ""}
    code = "import sys; from graphcl.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=environment, cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_it_is_listed_and_shown(copy):
    rows = {row["name"]: row for row in json.loads(graphcl(copy, "ls", "methods", "--json"))}
    assert rows["neighbour-contrast"]["kind"] == "method"
    assert "A method of your own" in graphcl(copy, "show", "neighbour-contrast")


def test_it_keeps_the_contract_of_methods(copy):
    said = graphcl(copy, "check", "graphcl.methods.neighbour_contrast:NeighbourContrast")
    assert "renumbering the nodes renumbers the embedding" in said


def test_it_belongs_to_suites_of_all_methods_and_to_the_leaderboard(copy):
    code = (
        "from graphcl.bench import find_suite\n"
        "print({run.dataset for run in find_suite('leaderboard').runs() if run.method == 'neighbour-contrast'})"
    )
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=copy, capture_output=True, text=True)
    assert "cora" in done.stdout, done.stderr[-2000:]
    assert "mutag" not in done.stdout  # it embeds nodes
    (copy / "own.toml").write_text(SUITE)
    results = copy / "benchmarks" / "results" / "own"
    assert "neighbour-contrast" in graphcl(copy, "bench", "run", "own.toml", "--out", str(results))
    done = subprocess.run(
        [sys.executable, "tools/leaderboard.py"], env=environment, cwd=copy, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    page = (copy / "benchmarks" / "LEADERBOARD.md").read_text()
    assert "| neighbour-contrast" in page
