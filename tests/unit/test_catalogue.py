"""Names for parts: found by looking, never skipped, never ambiguous."""

import sys
from importlib.metadata import EntryPoint

import pytest

from graphcl import catalogue
from graphcl.augment.augmenter import Augmenter
from graphcl.catalogue import KINDS, Kind, entries, find, kebab, kind_of
from graphcl.errors import RequestError, UnknownNameError
from graphcl.methods.grace import Grace

PART = """
from dataclasses import dataclass
from graphcl.augment.augmenter import Augmenter

@dataclass(frozen=True)
class {name}(Augmenter):
    def forward(self, data, generator=None):
        return data
"""


@pytest.fixture
def kind(tmp_path, monkeypatch):
    """A catalogue over a package that the test writes, under a name no other test uses."""
    package = f"parts_{tmp_path.name.replace('-', '_')}"
    folder = tmp_path / package
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(KINDS, "parts", Kind(package, "graphcl.augment.augmenter:Augmenter", "part"))
    entries.cache_clear()
    yield folder
    entries.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("EdgeDropout", "edge-dropout"),
        ("InfoNCE", "info-nce"),
        ("PPRDiffusion", "ppr-diffusion"),
        ("CCA", "cca"),
        ("CcaSsg", "cca-ssg"),
        ("NodeGraphBCE", "node-graph-bce"),
        ("Raw", "raw"),
        ("snake_case", "snake-case"),
    ],
)
def test_kebab(name, expected):
    assert kebab(name) == expected


def test_the_catalogues_hold_what_the_packages_define():
    # a part that is added later needs no edit here
    assert set(entries("methods")) >= {
        "cca-ssg", "dgi", "grace", "majority", "propagated", "propagated-high", "random-init", "raw",
    }  # fmt: skip
    assert set(entries("augmenters")) >= {"chain", "edge-dropout", "feature-mask", "feature-shuffle"}
    assert set(entries("objectives")) >= {"cca", "info-nce", "node-graph-bce"}
    assert set(entries("probes")) >= {"logistic", "majority"}
    assert set(entries("datasets")) >= {"karate", "digits-knn", "cora", "csbm-homophilic", "minesweeper", "proteins"}
    assert not {"augmenter", "config", "objective", "recipe", "probe"} & {
        name for kind in KINDS for name in entries(kind)
    }


def test_entries_are_sorted_and_named_as_they_say():
    for name in KINDS:
        found = entries(name)
        assert list(found) == sorted(found)
    assert all(spec.name == name for name, spec in entries("datasets").items())
    assert find("methods", "grace") is Grace


def test_an_unknown_name_offers_the_nearest():
    with pytest.raises(UnknownNameError) as caught:
        find("augmenters", "edge_dropuot")
    known = ", ".join(entries("augmenters"))
    assert str(caught.value) == f"unknown augmenter 'edge_dropuot': did you mean 'edge-dropout'? Known: {known}"


def test_a_name_like_nothing_known_gets_no_guess():
    with pytest.raises(UnknownNameError) as caught:
        find("probes", "zzz")
    assert str(caught.value) == f"unknown probe 'zzz': Known: {', '.join(entries('probes'))}"


def test_an_unknown_catalogue_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown catalogue 'method': did you mean 'methods'"):
        kind_of("method")


def test_a_file_in_the_package_is_enough(kind):
    (kind / "mine.py").write_text(PART.format(name="MyDropout"))
    assert list(entries("parts")) == ["my-dropout"]
    assert issubclass(find("parts", "my-dropout"), Augmenter)


def test_a_stated_name_wins_and_is_not_inherited(kind):
    text = PART.format(name="First") + "    name = 'the-first'\n" + "class Second(First):\n    pass\n"
    (kind / "mine.py").write_text(text)
    assert list(entries("parts")) == ["second", "the-first"]


def test_private_abstract_and_imported_classes_are_no_entries(kind):
    (kind / "mine.py").write_text(
        "from graphcl.augment.edges import EdgeDropout\n"
        "from graphcl.augment.augmenter import Augmenter\n"
        "class _Hidden(EdgeDropout):\n    pass\n"
        "class Halfway(Augmenter):\n    pass\n"  # forward is still abstract
        "class Shown(EdgeDropout):\n    pass\n"
    )
    assert list(entries("parts")) == ["shown"]


def test_a_subpackage_is_walked_too(kind):
    (kind / "deeper").mkdir()
    (kind / "deeper" / "__init__.py").write_text("")
    (kind / "deeper" / "mine.py").write_text(PART.format(name="Deep"))
    assert list(entries("parts")) == ["deep"]


def test_two_entries_with_one_name_are_an_error(kind):
    (kind / "one.py").write_text(PART.format(name="MyDropout"))
    (kind / "two.py").write_text(PART.format(name="MyDropout"))
    with pytest.raises(RequestError) as caught:
        entries("parts")
    assert str(caught.value) == f"two parts are named 'my-dropout': rename the one in {kind.name}.two"


@pytest.mark.parametrize(
    ("text", "error"), [("import no_such_module_at_all", ImportError), ("1 / 0", ZeroDivisionError), ("(", SyntaxError)]
)
def test_a_module_that_fails_to_import_is_an_error_and_never_a_skip(kind, text, error):
    (kind / "fine.py").write_text(PART.format(name="Fine"))
    (kind / "broken.py").write_text(text)
    with pytest.raises(error):
        entries("parts")


def test_a_subpackage_that_fails_to_import_is_an_error_too(kind):
    # pkgutil.walk_packages by itself swallows this one
    (kind / "deeper").mkdir()
    (kind / "deeper" / "__init__.py").write_text("import no_such_module_at_all")
    with pytest.raises(ImportError):
        entries("parts")


def entry_point(kind, module, name):
    found = EntryPoint(name="x", value=f"{module}:{name}", group="graphcl.parts")
    return lambda group: [found] if group == "graphcl.parts" else []


def test_another_distribution_adds_by_entry_point(kind, tmp_path, monkeypatch):
    # a real one, as pip would leave it
    info = tmp_path / "their_parts-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-parts\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[graphcl.parts]\nanything = their_module:TheirDropout\n")
    (tmp_path / "their_module.py").write_text(PART.format(name="TheirDropout"))
    (kind / "mine.py").write_text(PART.format(name="Ours"))
    try:
        assert list(entries("parts")) == ["ours", "their-dropout"]
    finally:
        sys.modules.pop("their_module", None)


def test_an_entry_point_may_not_take_a_name_that_is_taken(kind, tmp_path, monkeypatch):
    (kind / "mine.py").write_text(PART.format(name="Ours"))
    (tmp_path / "rival_module.py").write_text(PART.format(name="Ours"))
    monkeypatch.setattr(catalogue, "entry_points", entry_point(kind, "rival_module", "Ours"))
    with pytest.raises(RequestError) as caught:
        entries("parts")
    assert str(caught.value) == "two parts are named 'ours': rename the one in rival_module:Ours"
    sys.modules.pop("rival_module", None)


def test_an_entry_point_to_something_else_is_refused(kind, monkeypatch):
    monkeypatch.setattr(catalogue, "entry_points", entry_point(kind, "pathlib", "Path"))
    with pytest.raises(RequestError) as caught:
        entries("parts")
    assert str(caught.value) == "entry point 'pathlib:Path' of group graphcl.parts is no Augmenter"


@pytest.mark.parametrize(("module", "name"), [("no_such_module_at_all", "X"), ("pathlib", "NoSuchClass")])
def test_an_entry_point_that_cannot_be_loaded_is_named(kind, monkeypatch, module, name):
    monkeypatch.setattr(catalogue, "entry_points", entry_point(kind, module, name))
    with pytest.raises(RequestError, match=f"^entry point '{module}:{name}' of group graphcl.parts cannot be loaded"):
        entries("parts")
