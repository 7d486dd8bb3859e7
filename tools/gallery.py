"""Write `docs/gallery.md` and a picture of each augmenter below `docs/gallery`, from the catalogue and the docstrings.

`python tools/gallery.py` rewrites them; `--check` fails where the page is out of date, or a picture is missing or of
nothing. Pictures are not compared: another matplotlib draws the same thing in other bytes.
"""

import dataclasses
import importlib
import inspect
import io
import re
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.augment import (
    EdgeAddition,
    EdgeDropout,
    FeatureMask,
    LearnedAugmenter,
    LearnedEdgeDropout,
    NodeDropout,
    Ramp,
)
from graphcl.catalogue import entries
from graphcl.graph import GraphShape

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "gallery.md"
PICTURES = ROOT / "docs" / "gallery"

# what is drawn where the defaults do nothing (compositions of nothing) or hardly show on 18 nodes
SETTINGS: dict[str, dict[str, Any]] = {
    "atom-mask": {"rate": 0.3},
    "chain": {"steps": (EdgeDropout(0.3), FeatureMask(0.3))},
    "edge-dropout": {"rate": 0.3},
    "error-passing-edge-addition": {"rate": 0.2},
    "error-passing-edge-dropout": {"rate": 0.3},
    "gaussian-noise": {"std": 0.3},
    "half-hop": {"rate": 0.15},
    "heat-diffusion": {"time": 2.0, "k": 4},
    "high-frequency-emphasis": {"strength": 1.0},
    "homophilic-edges": {"share": 0.5},
    "jaccard-edges": {"threshold": 0.2},
    "knn-graph": {"k": 3},
    "learned-chain": {"steps": (FeatureMask(0.3), LearnedEdgeDropout())},
    "low-frequency-emphasis": {"strength": 1.0},
    "low-rank-view": {"rank": 2, "k": 3},
    "markov-diffusion": {"order": 4, "k": 4},
    "one-of": {"choices": (EdgeAddition(0.3), NodeDropout(0.3))},
    "ppr-diffusion": {"k": 4},
    "ppr-subgraph": {"size": 7},
    "random-walk-subgraph": {"length": 8},
    "scheduled": {"augmenter": EdgeDropout(), "ramps": {"rate": Ramp(0.0, 0.6)}},
    "sign-aligned-noise": {"radius": 1.0},
    "sometimes": {"augmenter": EdgeDropout(0.4), "rate": 0.8},
}
WORDS = {"jaccard-edges"}
"""Drawn on features that a node has or has not."""
SEED = 6

HEAD = """\
# A gallery of augmenters

Written by `make gallery` from the docstrings; do not edit. [The guide](augmenters.md) says how they are used.

Each picture shows one graph and one view of it. Two groups of nodes; the colour of a node is the side on which its
features lie. In the view:

* an edge that is gone is dashed, one that is new is orange, an arrow is an edge of one direction only
* the width of a line is `edge_weight`, a ring around a node is a self-loop
* a node that is gone is an empty circle, one that is new is a diamond
* the strip is `x`, one row for each node; it is there where features change

In the tables: *nodes*, the view has the nodes of the graph, in their order; *undirected*, the view of an undirected
graph is undirected; *directed*, it takes directed graphs; *sparse*, `x` may be CSR; *hetero*, it takes a `HeteroData`;
*gradients*, of which attributes they pass from the view to the graph.
"""
SECTION = re.compile(r"^(Args|Raises|Returns|Shapes|Reference|Example):\s*$", re.MULTILINE)
MATH = re.compile(r"^\.\. math::[ ]*(.*(?:\n(?:[ ]+.*|(?=\n[ ]{2,})))*)", re.MULTILINE)


def sections(text: str) -> dict[str, str]:
    """A docstring taken apart: what comes before the first heading under '', the rest by heading."""
    first, *rest = SECTION.split(text)
    return {"": first, **{name: inspect.cleandoc(body) for name, body in zip(rest[::2], rest[1::2], strict=True)}}


def plain_latex(latex: str) -> str:
    """LaTeX without the one macro that GitHub refuses."""
    latex = re.sub(r"\\operatorname\*\{(\w+)\}", r"\\mathop{\\mathrm{\1}}\\limits", latex)
    return re.sub(r"\\operatorname\{(\w+)\}", r"\\mathrm{\1}", latex)


def equations(text: str) -> list[str]:
    """The display equations of a docstring, as LaTeX that stands alone."""
    found = []
    for body in MATH.findall(text):
        lines = [line.strip() for line in body.splitlines() if line.strip()]
        latex = plain_latex("\n".join(lines))
        bare = re.sub(r"\\begin\{cases\}.*?\\end\{cases\}", "", latex, flags=re.DOTALL)
        found.append(f"\\begin{{gathered}}\n{latex}\n\\end{{gathered}}" if "\\\\" in bare else latex)
    return found


def prose(text: str, *, in_table: bool = False) -> str:
    """Docstring text as Markdown, on one line; a bar would end the cell of a table."""
    line = " ".join(text.split())

    def inline(match: re.Match[str]) -> str:
        latex = plain_latex(match[1])
        latex = latex.replace("|", r"\vert ") if in_table else latex
        return f"$`{latex}`$"

    line = re.sub(r":math:`([^`]*)`", inline, line)
    return re.sub(r"``([^`]*)``", r"`\1`", line)


def described(args: str) -> dict[str, str]:
    """The Args section by parameter."""
    parts = re.split(r"^(\w+):[ ]", args, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def default_of(field: dataclasses.Field[Any]) -> str:
    """How the default of a field is written."""
    if field.default is not dataclasses.MISSING:
        return repr(field.default)
    return repr(field.default_factory()) if field.default_factory is not dataclasses.MISSING else "required"


def traits(cls: Any) -> dict[str, str]:
    """What a class says about its views, in words."""

    def flag(name: str) -> str:
        value = getattr(cls, name)
        return "as its parts" if isinstance(value, property) else "yes" if value else "no"

    if isinstance(cls.keeps_nodes, property):
        needs = gradients = "as its parts"
    else:
        needs = ", ".join(f"`{name}`" for name in cls.needs)
        needs = needs.replace("`x`", "`x` of whole numbers") if cls.takes_categories else needs
        gradients = ", ".join(f"`{name}`" for name in cls.differentiable) or "none"
        gradients += ", its parameters" if issubclass(cls, LearnedAugmenter) else ""
    return {
        "needs": needs,
        "nodes": flag("keeps_nodes"),
        "undirected": flag("keeps_symmetry"),
        "directed": flag("takes_directed"),
        "sparse": flag("takes_sparse_features"),
        "hetero": flag("takes_hetero"),
        "gradients": gradients,
    }


def table(rows: list[list[str]]) -> list[str]:
    """A Markdown table; the first row is its head."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]


def shown(name: str) -> Any:
    """The configuration that is drawn."""
    return entries("augmenters")[name](**SETTINGS.get(name, {}))


def families() -> list[tuple[str, dict[str, type]]]:
    """The modules that hold augmenters, fixed ones first, each with its members."""
    found: dict[tuple[bool, str], dict[str, type]] = {}
    for name, cls in entries("augmenters").items():
        if cls.__module__.startswith("graphcl."):
            found.setdefault((issubclass(cls, LearnedAugmenter), cls.__module__), {})[name] = cls
    return [(module, members) for (_, module), members in sorted(found.items())]


def section(name: str, cls: type) -> list[str]:
    """What the page says about one augmenter."""
    parts = sections(inspect.getdoc(cls) or "")
    summary, *_ = parts[""].split("\n\n")
    meanings = described(parts.get("Args", ""))
    fields = [field for field in dataclasses.fields(cls) if field.init]
    if missing := [field.name for field in fields if field.name not in meanings]:
        sys.exit(f"{cls.__name__}: its docstring does not say what {', '.join(missing)} is")
    lines = [f"### {name}", "", f"`{cls.__name__}`: {prose(summary)}", ""]
    for latex in equations(parts[""]):
        lines += ["```math", latex, "```", ""]
    if fields:
        rows = [[f"`{f.name}`", f"`{default_of(f)}`", prose(meanings[f.name], in_table=True)] for f in fields]
        lines += [*table([["parameter", "default", "meaning"], *rows]), ""]
    own = traits(cls)
    lines += [*table([list(own), list(own.values())]), ""]
    lines += [f"![{name}: a graph and a view of it](gallery/{name}.svg)", "", picture_note(name), ""]
    if "Reference" in parts:
        lines += [f"Reference: {prose(parts['Reference'])}", ""]
    return lines


def picture_note(name: str) -> str:
    """Which call the picture shows."""
    config = shown(name)
    note = f"Shown: `{config!r}`"
    if isinstance(config, LearnedAugmenter):
        note += ", untrained"
    elif config.at(0.5) != config:
        note += ", half way through the training"
    return note + f", seed {SEED}."


def page() -> str:
    """The text of the page."""
    lines = [HEAD]
    overview = [["augmenter", "what its view is", "nodes", "undirected", "directed", "sparse", "hetero"]]
    body: list[str] = []
    for module, members in families():
        title = module.rpartition(".")[2].replace("_", " ").capitalize()
        path = module.replace(".", "/") + ".py"
        about = inspect.getdoc(importlib.import_module(module)) or ""
        body += [f"## {title}", "", prose(about.split("\n\n")[0]), "", f"[{path}](../{path})", ""]
        for name, cls in members.items():
            summary = prose((inspect.getdoc(cls) or "").split("\n\n")[0], in_table=True)
            own = traits(cls)
            flags = [own[key] for key in ("nodes", "undirected", "directed", "sparse", "hetero")]
            overview.append([f"[{name}](#{name})", summary, *flags])
            body += section(name, cls)
    return "\n".join([*lines, *table(overview), "", *body]).rstrip() + "\n"


# --- the pictures ---------------------------------------------------------------------------------------------------

GREY, PALE, ORANGE, DARK = "#8a8f98", "#c3c7cd", "#e07b00", "#30343a"
Places = dict[int, tuple[float, float]]


def sample(categories: bool = False, words: bool = False) -> tuple[Data, Places]:
    """The graph of all pictures, and where its nodes stand: two groups of 9, features to either side of zero."""
    import networkx as nx

    graph = nx.random_partition_graph([9, 9], 0.4, 0.06, seed=29)
    places = {int(v): (float(x), float(y)) for v, (x, y) in nx.kamada_kawai_layout(graph).items()}
    generator = torch.Generator().manual_seed(7)
    ascending = torch.tensor(sorted(graph.edges())).T
    side = torch.ones(18).index_fill(0, torch.arange(9, 18), -1.0)
    x = 0.6 * side[:, None] * COLUMNS + 0.35 * torch.randn(18, 8, generator=generator)
    if categories:
        x = torch.randint(5, 9, (18, 2), generator=generator)
    if words:
        x = x.clamp(min=0)
    data = Data(x=x, edge_index=torch.cat([ascending, ascending.flip(0)], 1), n_id=torch.arange(18))
    return data, places


COLUMNS = torch.ones(8).index_fill(0, torch.arange(4, 8), -1.0)


def view_of(name: str) -> tuple[Data, Data, Places]:
    """The graph, the view that is drawn, and the places of the graph's nodes."""
    config, generator = shown(name), torch.Generator().manual_seed(SEED)
    data, places = sample(categories=config.takes_categories, words=name in WORDS)
    if isinstance(config, LearnedAugmenter):
        with torch.no_grad():
            return data, config.build(GraphShape.of(data), generator)(data, generator), places
    return data, config.at(0.5)(data, generator), places


@dataclasses.dataclass
class Drawing:
    """A graph in terms of the original nodes: ids from 18 on are nodes that the view has put in."""

    nodes: list[int]
    weights: dict[tuple[int, int], float]
    x: Tensor
    weighted: bool

    @classmethod
    def of(cls, data: Data) -> "Drawing":
        """Parallel edges are one, with their summed weight."""
        nodes, fresh = [], 18
        for v in data.n_id.tolist():
            # a node that was put in carries the number of the one it belongs to
            nodes.append(v if v not in nodes else fresh)
            fresh += nodes[-1] == fresh
        given = data.get("edge_weight")
        values = torch.ones(data.num_edges) if given is None else given.detach().flatten()
        weights: dict[tuple[int, int], float] = {}
        for u, v, w in zip(*data.edge_index.tolist(), values.tolist(), strict=True):
            pair = nodes[u], nodes[v]
            weights[pair] = weights.get(pair, 0.0) + w
        return cls(nodes, weights, data.x.detach(), given is not None)

    @property
    def pairs(self) -> set[tuple[int, int]]:
        """Joined pairs of different nodes, whatever the direction."""
        return {(min(e), max(e)) for e in self.weights if e[0] != e[1]}

    def title(self) -> str:
        """How many nodes and edges."""
        loops = sum(u == v for u, v in self.weights)
        proper = len(self.weights) - loops
        both = 2 * len(self.pairs) == proper
        count = f"{len(self.pairs)} edges" if both else f"{proper} directed edges"
        return f"{len(self.nodes)} nodes, {count}" + (f", {loops} loops" if loops else "")


def placed(view: Drawing, places: Places) -> Places:
    """Places for all nodes of the view: a new one stands between its neighbours, beside the line that joins them."""
    found, sides = dict(places), dict[tuple[int, int], int]()
    for v in view.nodes:
        if v not in found:
            near = sorted({u for pair in view.weights if v in pair for u in pair} & set(places))
            (x, y), (other_x, other_y) = places[near[0]], places[near[-1]]
            # a second one on the same line stands on its other side
            side = sides[near[0], near[-1]] = -sides.get((near[0], near[-1]), 1)
            aside = 0.13 * side
            found[v] = (x + other_x) / 2 + aside * (y - other_y), (y + other_y) / 2 + aside * (other_x - x)
    return found


def colours(x: Tensor) -> Tensor:
    """One number a node: on which side its features lie; of categories, the first."""
    return x @ COLUMNS / 8 if x.is_floating_point() else x[:, 0].float()


def draw_graph(axis: Any, view: Drawing, before: Drawing, places: Places, scale: dict[str, Any]) -> None:
    """Nodes, edges, and what is no longer there."""
    old, now, heaviest = before.pairs, view.pairs, max([1e-12, *view.weights.values()])
    lines: dict[tuple[str, float, Any], list[tuple[int, int]]] = {}
    for pair in sorted(old - now):
        lines.setdefault((PALE, 0.8, (0, (2, 2))), []).append(pair)
    for u, v in sorted(now):
        colour = GREY if (u, v) in old else ORANGE
        one_way = [pair for pair in ((u, v), (v, u)) if pair in view.weights]
        weight = max(view.weights[pair] for pair in one_way)
        width = round(0.25 + 3.0 * weight / heaviest, 2) if view.weighted else 1.1
        if len(one_way) == 2:
            lines.setdefault((colour, width, "-"), []).append((u, v))
        else:
            (a, b), arrow = one_way[0], {"arrowstyle": "-|>", "color": colour, "lw": 1.0, "mutation_scale": 7}
            axis.annotate("", places[b], places[a], arrowprops={**arrow, "shrinkA": 3, "shrinkB": 4}, zorder=2)
    for (colour, width, style), pairs in lines.items():
        # one path for all lines of a kind keeps the file small
        spots = [spot for u, v in pairs for spot in (places[u], places[v], (float("nan"),) * 2)]
        axis.plot(*zip(*spots, strict=True), color=colour, lw=width, ls=style, zorder=1 + (style == "-"))
    gone = [places[v] for v in before.nodes if v not in view.nodes]
    if gone:
        axis.scatter(*zip(*gone, strict=True), s=38, facecolors="white", edgecolors=PALE, linewidths=0.8, zorder=3)
    shades = colours(view.x).tolist()
    for marker, fresh in (("o", False), ("D", True)):
        rows = [i for i, v in enumerate(view.nodes) if (v >= 18) == fresh]
        if not rows:
            continue
        spots = [places[view.nodes[i]] for i in rows]
        size = 16 if fresh else 38
        axis.scatter(
            *zip(*spots, strict=True), c=[shades[i] for i in rows], s=size, marker=marker, linewidths=0.6,
            edgecolors=DARK, zorder=4, **scale,
        )  # fmt: skip
    loops = {v: w for (v, other), w in view.weights.items() if v == other}
    if loops:
        rings = [0.25 + 3.0 * w / heaviest if view.weighted else 1.1 for w in loops.values()]
        spots = [places[v] for v in loops]
        axis.scatter(*zip(*spots, strict=True), s=90, facecolors="none", edgecolors=ORANGE, linewidths=rings, zorder=3)


def draw(name: str, target: Path) -> None:
    """The picture of one augmenter: graph and view, and their features where these differ."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    data, seen, places = view_of(name)
    before, view = Drawing.of(data), Drawing.of(seen)
    if before.weights == view.weights and torch.equal(before.x, view.x):
        sys.exit(f"{name}: its view is the graph itself; give it a setting that shows something")
    places = placed(view, places)
    rows = [view.nodes.index(v) for v in before.nodes if v in view.nodes]
    stayed = [v for v in before.nodes if v in view.nodes]
    features = not torch.equal(before.x[stayed].float(), view.x[rows].float())
    if before.x.is_floating_point():
        scale: dict[str, Any] = {"cmap": "RdBu", "vmin": -1.2, "vmax": 1.2}
    else:
        scale = {"cmap": "tab10", "vmin": 0, "vmax": 9}
        kinds = torch.unique(torch.cat([before.x, view.x])).tolist()
        for drawing in (before, view):
            drawing.x = torch.tensor([[kinds.index(code) for code in row] for row in drawing.x.tolist()])
    with mpl.rc_context({"svg.hashsalt": "graphcl", "svg.fonttype": "none", "font.size": 8}):
        figure = Figure(figsize=(6.6 if features else 5.4, 2.5), layout="constrained")
        axes = iter(figure.subplots(1, 4 if features else 2, width_ratios=[5, 1.3] * 2 if features else [1, 1]))
        for label, drawing in (("graph", before), ("view", view)):
            axis = next(axes)
            draw_graph(axis, drawing, before, places, scale)
            axis.set_title(f"{label}: {drawing.title()}", fontsize=8)
            axis.set_axis_off()
            axis.margins(0.08)
            if features:
                strip = next(axes)
                strip.imshow(drawing.x, aspect="auto", interpolation="none", **scale)
                strip.set(title="x", xticks=[], yticks=[])
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None}, facecolor="white")
    # hundredths of a point are enough
    target.write_text(re.sub(r"(\d\.\d\d)\d+", r"\1", drawn.getvalue()))


# --- the command ----------------------------------------------------------------------------------------------------


def names() -> list[str]:
    """All augmenters of graphcl itself."""
    return [name for _, members in families() for name in members]


def faults() -> list[str]:
    """What is out of date."""
    found = []
    if not PAGE.exists() or PAGE.read_text() != page():
        found.append("docs/gallery.md is out of date")
    drawn = {path.stem for path in PICTURES.glob("*.svg")}
    found += [f"docs/gallery/{name}.svg is missing" for name in names() if name not in drawn]
    found += [f"docs/gallery/{name}.svg is of nothing" for name in sorted(drawn - set(names()))]
    found += [f"tools/gallery.py: no augmenter '{name}'" for name in SETTINGS if name not in names()]
    return found


def main() -> None:
    """Write, or check with `--check`."""
    if "--check" in sys.argv:
        if found := faults():
            sys.exit("\n".join([*found, "run `make gallery`"]))
        return
    PICTURES.mkdir(exist_ok=True)
    for path in PICTURES.glob("*.svg"):
        if path.stem not in names():
            path.unlink()
    for name in names():
        draw(name, PICTURES / f"{name}.svg")
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
