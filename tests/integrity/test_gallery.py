"""The pages about augmenters: the gallery is complete (`make check` keeps it up to date), the script in the guide does what it says."""

import dataclasses
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from graphcl.catalogue import entries

ROOT = Path(__file__).parents[2]
GALLERY = ROOT / "docs" / "gallery.md"
PICTURES = ROOT / "docs" / "gallery"
NAMES = [name for name, cls in entries("augmenters").items() if cls.__module__.startswith("graphcl.")]


def test_the_check_sees_what_is_out_of_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("gallery", ROOT / "tools" / "gallery.py")
    assert spec
    assert spec.loader
    tool = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gallery", tool)
    spec.loader.exec_module(tool)
    monkeypatch.setattr(tool, "PAGE", tmp_path / "gallery.md")
    monkeypatch.setattr(tool, "PICTURES", tmp_path)
    for name in NAMES:
        (tmp_path / f"{name}.svg").touch()
    assert tool.faults() == ["docs/gallery.md is out of date"]
    tool.PAGE.write_text(tool.page())
    assert tool.faults() == []
    (tmp_path / "edge-dropout.svg").rename(tmp_path / "edge-drop.svg")
    assert tool.faults() == ["docs/gallery/edge-dropout.svg is missing", "docs/gallery/edge-drop.svg is of nothing"]
    monkeypatch.setitem(tool.SETTINGS, "edge-drop", {"rate": 0.5})
    assert tool.faults()[2:] == ["tools/gallery.py: no augmenter 'edge-drop'"]


@pytest.mark.parametrize("name", NAMES)
def test_an_augmenter_has_its_section_and_its_picture(name: str) -> None:
    page = GALLERY.read_text()
    assert page.count(f"\n### {name}\n") == 1
    section = page.split(f"\n### {name}\n")[1].split("\n## ")[0].split("\n### ")[0]
    cls = entries("augmenters")[name]
    assert section.startswith(f"\n`{cls.__name__}`: ")
    assert f"](gallery/{name}.svg)" in section
    assert section.count("```math\n") == (cls.__doc__ or "").count(".. math::") > 0
    for field in dataclasses.fields(cls):
        assert f"\n| `{field.name}` |" in section
    picture = (PICTURES / f"{name}.svg").read_text()
    assert picture.rstrip().endswith("</svg>")
    assert len(picture) < 30_000


def test_the_pictures_say_when_they_were_drawn_only_by_their_content() -> None:
    for path in PICTURES.glob("*.svg"):
        assert "<dc:date>" not in path.read_text(), path.name


def test_the_page_has_no_markup_of_docstrings_left() -> None:
    page = GALLERY.read_text()
    for left in (":math:", ".. math", "operatorname"):
        assert left not in page
    assert not re.search(r"(?<!`)``(?!`)", page)


@pytest.mark.parametrize("name", ["gallery", "augmenters"])
def test_rows_of_tables_have_the_cells_of_their_head(name: str) -> None:
    width = 0
    for line in (ROOT / "docs" / f"{name}.md").read_text().splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        width = cells if not width or not cells else width
        assert cells == width, line


def test_links_of_the_overview_lead_to_sections() -> None:
    page = GALLERY.read_text()
    links = re.findall(r"^\| \[([\w-]+)\]\(#([\w-]+)\)", page, re.MULTILINE)
    assert [name for name, _ in links] == re.findall(r"^### ([\w-]+)$", page, re.MULTILINE)
    assert all(name == anchor for name, anchor in links)
    assert {name for name, _ in links} == set(NAMES)


def script() -> str:
    """The first Python of the guide, which stands alone."""
    found = re.search(r"^```python\n(.*?)^```", (ROOT / "docs" / "augmenters.md").read_text(), re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def test_the_script_in_the_guide_is_short_and_plain() -> None:
    code = script()
    assert len(code.splitlines()) <= 15
    assert max(map(len, code.splitlines())) <= 120
    imported = re.search(r"^from graphcl\.augment import (.*)$", code, re.MULTILINE)
    assert imported
    used = [name for name in imported[1].split(", ") if code.count(f"{name}(") and name != "Chain"]
    assert len(used) >= 3
    assert "num_workers=2" in code
    assert code.count("graphcl") == 1  # of graphcl nothing else is needed


def test_the_script_in_the_guide_prints_the_same_in_two_processes(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(script())
    # hash seeds differ: nothing may hang on the order of a set
    outputs = []
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "script.py"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        outputs.append(done.stdout)
    assert outputs[0] == outputs[1]
    first, second, other = outputs[0].splitlines()
    assert first == second != other
