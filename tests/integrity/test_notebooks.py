"""Notebooks run from top to bottom on embedded data, and each is in step with the script it is paired with."""

from pathlib import Path

import jupytext
import pytest

from tests.forked import run_script

FOLDER = Path(__file__).parents[2] / "notebooks"
SCRIPTS = sorted(FOLDER.glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_script_runs(script: Path, tmp_path: Path) -> None:
    assert run_script(script, tmp_path, GRAPHCL_MIRROR="", GRAPHCL_CACHE=str(tmp_path)) == ""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_notebook_holds_the_same_cells(script: Path) -> None:
    mine, paired = jupytext.read(script), jupytext.read(script.with_suffix(".ipynb"))
    assert [(c.cell_type, c.source) for c in mine.cells] == [(c.cell_type, c.source) for c in paired.cells]


def test_notebooks_are_committed_without_outputs() -> None:
    for path in FOLDER.glob("*.ipynb"):
        for cell in jupytext.read(path).cells:
            assert not cell.get("outputs"), f"{path.name} holds outputs; run `make notebooks`"


def test_every_notebook_has_a_script() -> None:
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == {path.stem for path in SCRIPTS} != set()
