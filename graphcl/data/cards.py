"""Cards: what the project knows of each data set, as Markdown, written from the specification alone.

``python -m graphcl.data.cards datasets`` writes one card a data set and an index. No raw file is needed, so a
card is never the outcome of somebody's machine; a test compares the folder with what this module would write.
"""

import sys
from pathlib import Path

from graphcl.catalogue import entries
from graphcl.data.interaction_spec import InteractionSpec
from graphcl.data.loading import all_datasets, find_dataset, split_names
from graphcl.data.spec import DatasetSpec, Layout, RawFile
from graphcl.errors import UnknownNameError

__all__ = ["card", "index", "write_cards"]

_MARK = "<!-- written by `python -m graphcl.data.cards datasets`: change the specification and run it -->"


def card(name: str, homophily: float | None = None) -> str:
    """The card of one data set, be it graphs or interactions.

    Args:
        name: catalogue name.
        homophily: share of edges that join equal labels, where somebody has measured it.

    Returns:
        Markdown, ending in a newline.

    Raises:
        UnknownNameError: no such data set.

    Example:
        >>> card("cora").splitlines()[2]
        '# Cora'
    """
    interactions = entries("interactions")
    if name in interactions:
        return _interactions_card(interactions[name])
    if name not in all_datasets():
        raise UnknownNameError("data set", name, [*all_datasets(), *interactions])
    spec = find_dataset(name)
    facts = {
        "name": f"`{spec.name}`",
        "what": spec.note,
        "level": spec.level,
        **({"text": "each node says something"} if spec.text else {}),
        "sizes": _sizes(spec),
        "edges": "directed, as stored" if spec.directed else "undirected, stored in both directions",
        "fingerprint": f"`{spec.content}`" if spec.content else _unread(spec),
        "score": {"acc": "accuracy", "auc": "ROC-AUC"}[spec.metric],
        "licence": spec.licence,
        "citation": spec.citation,
        "source": _link(spec.source),
    }
    if homophily is not None:
        facts["homophily"] = f"{homophily:.3f}"
    return _written(spec.title, facts, _splits(spec), spec.traps, _files(spec))


def _interactions_card(spec: InteractionSpec) -> str:
    facts = {
        "name": f"`{spec.name}`",
        "what": spec.note,
        "level": spec.level,
        **({"text": "each item says something"} if spec.text else {}),
        **({"times": "each pair has one"} if spec.timed else {}),
        "sizes": _pairs(spec),
        "fingerprint": f"`{spec.content}`" if spec.content else _unread(spec),
        "score": "ranking of all items",
        "licence": spec.licence,
        "citation": spec.citation,
        "source": _link(spec.source),
    }
    kinds = {
        "given": "published test part, validation drawn by the seed",
        "given-full": "published, no validation part",
        "ratio-80-10-10": "of each user, drawn by the seed",
        "leave-one-out": f"of each user, {'the last by time' if spec.timed else 'drawn by the seed'}",
        "time-80-10-10": "one moment for all users; no seed",
    }
    splits = [f"* `{name}`: {kinds[name]}{_default(name, spec.default_split)}" for name in spec.splits]
    files = "\n\n".join(_layout(layout, number) for number, layout in enumerate(spec.layouts, 1))
    return _written(spec.title, facts, "\n".join(splits), spec.traps, files)


def _written(title: str, facts: dict[str, str], splits: str, traps: tuple[str, ...], files: str) -> str:
    table = "\n".join(f"| {what} | {fact} |" for what, fact in facts.items())
    sections = [
        f"{_MARK}\n\n# {title}\n\n| | |\n|---|---|\n{table}",
        f"## Splits\n\n{splits}",
        "## Known flaws\n\n" + ("\n".join(f"* {trap}" for trap in traps) or "None on record."),
        f"## Files\n\n{files}",
    ]
    return "\n\n".join(sections) + "\n"


def index() -> str:
    """The tables of all data sets, with links to their cards."""
    head = "| data set | level | nodes | edges | features | classes | graphs | default split | fingerprint |"
    rows = []
    for spec in all_datasets().values():
        sizes = ["depends"] * 5
        if (counts := spec.counts) is not None:
            numbers = (counts.nodes, counts.edges, counts.features, counts.classes)
            sizes = [*(f"{number:,}" for number in numbers), f"{counts.graphs:,}" if counts.graphs else "1"]
        cells = [f"[{spec.name}]({spec.name}.md)", spec.level, *sizes, f"`{spec.default_split}`"]
        cells.append(f"`{spec.content}`" if spec.content else _unread(spec))
        rows.append(f"| {' | '.join(cells)} |")
    about = (
        "Edges are stored directed edges: an undirected edge counts twice. Sizes are checked whenever a data "
        "set is read. A fingerprint stands where the graph itself has been read for this table; it covers "
        "edges, labels and which features are non-zero. Where it says *not yet read*, the sizes are those "
        "that others publish."
    )
    graphs = [head, "|" + "---|" * 9, *rows]
    return "\n".join([_MARK, "", "# Data sets", "", about, "", *graphs, "", *_interactions_index()]) + "\n"


def _interactions_index() -> list[str]:
    rows = []
    for spec in entries("interactions").values():
        sizes = ["depends"] * 4
        if (counts := spec.counts) is not None:
            test = "drawn" if counts.test is None else f"{counts.test:,}"
            sizes = [f"{counts.users:,}", f"{counts.items:,}", f"{counts.train:,}", test]
        cells = [f"[{spec.name}]({spec.name}.md)", *sizes, f"`{spec.default_split}`"]
        cells.append(f"`{spec.content}`" if spec.content else _unread(spec))
        rows.append(f"| {' | '.join(cells)} |")
    about = (
        "Pairs are those of the published training part, or all where the test part is drawn. A fingerprint covers "
        "sizes, pairs, and which pair is in which published part."
    )
    head = "| data set | users | items | pairs | test pairs | default split | fingerprint |"
    return ["## Interactions", "", about, "", head, "|" + "---|" * 7, *rows]


def write_cards(folder: Path) -> list[Path]:
    """Write all cards and the index; remove cards written earlier of data sets that are no more.

    Returns:
        The files, index first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"README.md": index(), **{f"{name}.md": card(name) for name in (*all_datasets(), *entries("interactions"))}}
    for path in folder.glob("*.md"):
        if path.name not in texts and path.read_text(encoding="utf-8").startswith(_MARK):
            path.unlink()
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return [folder / name for name in texts]


def _sizes(spec: DatasetSpec) -> str:
    counts = spec.counts
    if counts is None:
        return "depend on the machine"
    graphs = f"{counts.graphs:,} graphs, in all " if counts.graphs else ""
    return (
        f"{graphs}{counts.nodes:,} nodes, {counts.edges:,} stored edges, {counts.features:,} features, "
        f"{counts.classes} classes"
    )


def _pairs(spec: InteractionSpec) -> str:
    counts = spec.counts
    if counts is None:
        return "depend on the machine"
    parts = "" if counts.test is None else f" to train on and {counts.test:,} to test"
    return f"{counts.users:,} users, {counts.items:,} items, {counts.train:,} pairs{parts}"


def _unread(spec: DatasetSpec | InteractionSpec) -> str:
    return "depends" if spec.counts is None else "not yet read"


def _splits(spec: DatasetSpec) -> str:
    lines = []
    for name in split_names(spec):
        kind = "published" if name in spec.splits else "drawn by the seed"
        lines.append(f"* `{name}`: {kind}{_default(name, spec.default_split)}")
    return "\n".join(lines)


def _default(name: str, default: str) -> str:
    return " (default)" if name == default else ""


def _files(spec: DatasetSpec) -> str:
    parts = [_layout(layout, number) for number, layout in enumerate(spec.layouts, 1)]
    for name, split in spec.splits.items():
        if split.files:
            parts.append(f"For the split `{name}`:\n\n{_table(split.files)}")
    return "\n\n".join(parts)


def _layout(layout: Layout, number: int) -> str:
    if not layout.files:
        return "None: the data set is made on the spot."
    title = "One way" if number == 1 else "Or"
    order = "" if layout.comparable else " (other order of graphs: judged by its sizes, not by the fingerprint)"
    return f"{title}{order}:\n\n{_table(layout.files)}"


def _table(files: tuple[RawFile, ...]) -> str:
    rows = []
    for file in files:
        sums = ", ".join(f"`{checksum[:16]}`" for checksum in file.sha256) or "none on record"
        rows.append(f"| `{file.path}` | {sums} | {_link(file.url) if file.url else 'no address'} |")
    return "\n".join(["| file | SHA-256, first 16 digits | address |", "|---|---|---|", *rows])


def _link(address: str) -> str:
    return f"<{address}>" if address.startswith("http") else address


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m graphcl.data.cards FOLDER")
    write_cards(Path(sys.argv[1]))
