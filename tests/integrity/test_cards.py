"""The specifications are complete, and the cards in the repository are what they say."""

import re
from pathlib import Path

import pytest

from graphcl.catalogue import entries, kebab
from graphcl.data import checksums
from graphcl.data.cards import card, index, write_cards
from graphcl.data.loading import all_datasets, split_names
from graphcl.data.splits import is_random
from graphcl.errors import UnknownNameError

FOLDER = Path(__file__).parents[2] / "datasets"
NAMES = sorted(all_datasets())
CARDS = sorted([*NAMES, *entries("interactions")])
REFRESH = "run `python -m graphcl.data.cards datasets`"


@pytest.mark.parametrize("name", CARDS)
def test_card_is_up_to_date(name):
    path = FOLDER / f"{name}.md"
    assert path.is_file(), REFRESH
    assert path.read_text(encoding="utf-8") == card(name), REFRESH


def test_index_is_up_to_date_and_no_card_is_left_over():
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == index(), REFRESH
    assert {path.stem for path in FOLDER.glob("*.md")} == {"README", *CARDS}, REFRESH


def test_writing_removes_only_its_own_old_cards(tmp_path):
    write_cards(tmp_path)
    (tmp_path / "gone.md").write_text((tmp_path / "cora.md").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "notes.md").write_text("mine")
    paths = write_cards(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*(path.name for path in paths), "notes.md"}


def test_cards_name_unread_data_and_measured_homophily():
    assert "not yet read" in card("roman-empire")
    assert "| homophily | 0.810 |" in card("cora", homophily=0.81)
    with pytest.raises(UnknownNameError, match="did you mean 'cora'"):
        card("corra")


def test_a_card_of_interactions_says_what_a_quoted_figure_must():
    text = card("gowalla")
    assert "29,858 users, 40,981 items" in text
    assert "* `given`: published test part, validation drawn by the seed (default)" in text
    assert "`26775ea3aca7f41c`" in text
    assert "depend on the machine" in card("python-imports")
    assert "* `leave-one-out`: of each user, the last by time\n" in card("ml-100k")
    assert "* `leave-one-out`: of each user, drawn by the seed\n" in card("lastfm")
    assert "[gowalla](gowalla.md) | 29,858 | 40,981 |" in index()


@pytest.mark.parametrize("name", NAMES)
def test_specification_is_complete(name):
    spec = all_datasets()[name]
    assert name == spec.name == kebab(name)
    assert all((spec.title, spec.citation, spec.source, spec.note, spec.licence))
    assert spec.default_split in split_names(spec) or is_random(spec.default_split)
    assert spec.content is None or re.fullmatch(r"[0-9a-f]{16}", spec.content)
    assert (spec.level == "graph") == (spec.counts is not None and spec.counts.graphs is not None)
    assert not any(is_random(split) for split in spec.splits)
    groups = [layout.files for layout in spec.layouts] + [split.files for split in spec.splits.values()]
    for files in groups:
        # readers find files by their bare name
        assert len({file.name for file in files}) == len(files)
        for file in files:
            assert not file.path.startswith("/")
            assert ".." not in file.path
            assert "\\" not in file.path
            assert file.url is None or file.url.startswith("https://")
            assert all(re.fullmatch(r"[0-9a-f]{64}", checksum) for checksum in file.sha256)


@pytest.mark.parametrize("name", [name for name in NAMES if not all_datasets()[name].embedded])
def test_every_data_set_from_files_has_a_way_to_be_had(name):
    spec = all_datasets()[name]
    if name.endswith("-text"):
        # tables made of a release that has other forms; the card says what must stand in them
        assert any("nodes.csv.gz" in trap for trap in spec.traps)
        return
    assert any(all(file.url for file in layout.files) for layout in spec.layouts)
    assert all(file.url for split in spec.splits.values() for file in split.files)


def test_every_recorded_checksum_belongs_to_a_file_that_is_read():
    used = {
        file.path
        for spec in all_datasets().values()
        for files in [
            *(layout.files for layout in spec.layouts),
            *(split.files for split in spec.splits.values()),
        ]
        for file in files
    } | {file.path for spec in entries("interactions").values() for layout in spec.layouts for file in layout.files}
    assert set(checksums._recorded()) - used == set()


def test_nothing_names_a_place_on_a_machine():
    for name in CARDS:
        assert not re.search(r"(?<![\w.:/<])/(home|work|tmp|root|Users)/", card(name))
