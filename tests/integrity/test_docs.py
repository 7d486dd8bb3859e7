"""The Python of the guide and the README runs as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *(
        ROOT / "docs" / f"{name}.md"
        for name in ("augmenters", "diagnostics", "robustness", "spectral", "speed", "text")
    ),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_snippets_of_a_page_run(page: Path, tmp_path: Path) -> None:
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL))
    assert code
    # "your GNN", which the README leaves to the reader
    given = "from graphcl.encoders import GCN\nmodel = GCN(64, [8])\n"
    environment = {**os.environ, "GRAPHCL_MIRROR": "", "GRAPHCL_CACHE": str(tmp_path)}
    script = tmp_path / "page.py"
    script.write_text(given + code)
    done = subprocess.run([sys.executable, script], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
