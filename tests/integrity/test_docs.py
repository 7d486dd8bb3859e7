"""The Python of the guide and the README runs as it stands there."""

import re
from pathlib import Path

import pytest

from tests.forked import run_script

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *(
        ROOT / "docs" / f"{name}.md"
        for name in (
            "augmenters",
            "diagnostics",
            "interactions",
            "recommendation",
            "robustness",
            "spectral",
            "speed",
            "text",
        )
    ),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_snippets_of_a_page_run(page: Path, tmp_path: Path) -> None:
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL))
    assert code
    # "your GNN", which the README leaves to the reader
    given = "from graphcl.encoders import GCN\nmodel = GCN(64, [8])\n"
    script = tmp_path / "page.py"
    script.write_text(given + code)
    assert run_script(script, tmp_path, GRAPHCL_MIRROR="", GRAPHCL_CACHE=str(tmp_path)) == ""
