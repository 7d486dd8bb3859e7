"""Write `benchmarks/LEADERBOARD.md` from the records below `benchmarks/results`, one chapter per suite.

`python tools/leaderboard.py` rewrites it, `--check` fails where it is out of date. Numbers in it are never typed.
"""

import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from graphcl.bench.attack import Attack
from graphcl.bench.bias import bias_section, legacy_bias
from graphcl.bench.fidelity import compare_with_published
from graphcl.bench.ranks import LEVELS, rank_section
from graphcl.bench.report import PROBELESS, Report, summarise
from graphcl.bench.robustness import robustness_sections
from graphcl.bench.run import Record
from graphcl.bench.section import Section
from graphcl.bench.store import Store
from graphcl.bench.suite import Suite, suites
from graphcl.catalogue import entries
from graphcl.config import decode
from graphcl.data.loading import find_dataset

FOLDER = Path(__file__).parent.parent / "benchmarks"
TARGET = FOLDER / "LEADERBOARD.md"

BOARD = (
    *("cora", "citeseer", "pubmed", "amazon-photo", "amazon-computers", "coauthor-physics"),
    *("chameleon", "squirrel", "chameleon-filtered", "texas", "wisconsin", "minesweeper"),
    *("mutag", "proteins", "nci1", "dd", "imdb-binary", "imdb-multi", "collab", "reddit-binary"),
)
"""Data sets on which every method belongs; where one has no record it is named."""


def leaderboard(results: Path = FOLDER / "results") -> str:
    """The text of the page."""
    records = {path.name: Store(path).read() for path in sorted(results.iterdir()) if path.is_dir()}
    records = {name: found for name, found in records.items() if found}
    chapters = [_chapter(name, found) for name, found in records.items()]
    every = [record for found in records.values() for record in found]
    return "\n".join([_HEAD, *chapters, _together(every)]).rstrip() + "\n"


_HEAD = """# Leaderboard

Written by `make leaderboard` from the records in `results/`; do not edit. Repeat a table with
`graphcl bench run SUITE --out DIR` and `graphcl bench report DIR`.
"""


def _chapter(name: str, records: list[Record]) -> str:
    report = summarise(records)
    suite = suites().get(name)
    about = f"{suite.description}.\n" if suite is not None else ""
    tables = [_table(report, probe) for probe in sorted({column.probe for column in report.columns}, key=_usual_first)]
    sections = [*robustness_sections(report), report.costs(), _not_run(suite, report, records)]
    written = [section.markdown() for section in sections if section is not None]
    return "\n".join([f"## {name}", "", about, *tables, *written])


def _usual_first(probe: str) -> tuple[bool, str]:
    return probe != "logistic", probe


def _table(whole: Report, probe: str) -> str:
    """What one probe says: the table, what a control beats, and ranks."""
    report = whole.of_probe(probe)
    sections = [report.beaten_by_controls(), *(rank_section(report, level) for level in LEVELS)]
    written = [section.markdown() for section in sections if section is not None]
    return "\n".join([f"### Probe: {probe}", "", report.markdown(), *written])


def _not_run(suite: Suite | None, report: Report, records: list[Record]) -> Section | None:
    """The cells of a suite that have no record, or fewer seeds than it asks for; by name."""
    if suite is None:
        return _listed("Not run", {report.place(column): rows for column, rows in report.missing.items()})
    done = {record["run_id"] for record in records if record["status"] != "error"}
    wanted: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for run in suite.runs():
        probe = run.probe["name"]
        place = f"{run.dataset} · {run.split}" + (f" · {probe}" if probe not in ("logistic", *PROBELESS) else "")
        if run.attack is not None:
            attack = decode(Attack, run.attack)
            place += f" · {attack.family} {attack.strength:g}"
        wanted[place, run.method].append(run.id in done)
    missing: dict[str, list[str]] = defaultdict(list)
    for (place, method), there in wanted.items():
        if not all(there):
            some = f" ({sum(there)} of {len(there)} seeds)" if any(there) else ""
            missing[place].append(method + some)
    return _listed("Not run", missing)


def _listed(title: str, missing: dict[str, list[str]]) -> Section | None:
    if not missing:
        return None
    rows = tuple((where, ", ".join(sorted(names))) for where, names in missing.items())
    return Section(title, ("cell", "methods"), rows)


def _together(records: list[Record]) -> str:
    """What all suites say together: published numbers, the bias of selection on test, and what nobody has run."""
    recipes = entries("methods")
    methods = [name for name, recipe in recipes.items() if not recipe.control]
    lines = ["## All suites together", ""]
    if records:
        report = summarise(records)
        fidelity = compare_with_published(report, methods=methods)
        sections = [*fidelity.sections, bias_section(report, legacy_bias(report))]
        lines += [section.markdown() for section in sections if section is not None]
    section = _listed("Without a score", _absent(records, methods))
    return "\n".join([*lines, *([section.markdown()] if section is not None else [])])


def _absent(records: Iterable[Record], methods: list[str]) -> dict[str, list[str]]:
    """Methods without an honest score, by data set of the board."""
    recipes = entries("methods")
    scored = {
        (record["run"]["method"], record["run"]["dataset"])
        for record in records
        if record["status"] == "ok" and not record["selection"]["legacy"] and not record["run"].get("attack")
    }
    absent = {}
    for dataset in BOARD:
        able = [method for method in methods if recipes[method].takes(find_dataset(dataset))]
        lacking = [method for method in able if (method, dataset) not in scored]
        if lacking:
            absent[dataset] = ["every method"] if lacking == able else lacking
    return absent


def main() -> None:
    """Write, or check with `--check`."""
    text = leaderboard()
    if "--check" not in sys.argv:
        TARGET.write_text(text)
    elif not TARGET.exists() or TARGET.read_text() != text:
        sys.exit("benchmarks/LEADERBOARD.md is out of date; run `make leaderboard`")


if __name__ == "__main__":
    main()
