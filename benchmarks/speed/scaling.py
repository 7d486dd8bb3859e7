"""How time and memory of InfoNCE's loss and gradient grow with the nodes: `python -m benchmarks.speed.scaling`.

A process per size and way, the small sizes first; the time is that of the fastest repeat, which other work on the
machine disturbed least. Exponents are slopes of least squares in the logarithms. Memory is what the work adds to the
process: at small sizes that is mostly libraries warming up, and graphcl keeps tiles for the gradient up to a bound
(float32 to about 5,700 nodes, bfloat16 to 8,100), so exponents are also told for large sizes alone.
"""

import argparse
import json
import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from benchmarks.speed.harness import Run, Side, machine, measure, versions_of

WIDTH = 256
NODES = tuple(2000 * 2**k for k in range(6))
FROM = (0, 8000, 16_000)
"""Least nodes of the sizes that an exponent is fitted to: all; few constant costs; nothing kept either."""
ALONE = 32_000
"""Nodes from which there is one repeat and none for warming up: the work takes many seconds."""


class Way(NamedTuple):
    """A line of the figure: the argument of `sides/contrast_loss.py`, its name, and its bound in 10⁹ bytes."""

    argument: str
    label: str
    colour: str
    marker: str
    limit_gb: float | None = None


WAYS = (
    Way("graphcl", "graphcl float32", "#0072b2", "o"),
    Way("graphcl-bf16", "graphcl bfloat16", "#009e73", "s"),
    Way("dense", "dense autograd float32", "#d55e00", "^", limit_gb=12),
)
"""Colours that are told apart without seeing red and green."""


class Point(NamedTuple):
    """What one process came to."""

    nodes: int
    seconds: float
    extra_mb: float


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.scaling", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--out", type=Path, default=Path("runs/scaling"), metavar="DIR", help="default runs/scaling")
    parser.add_argument("--nodes", type=int, nargs="+", default=NODES, metavar="N", help="2000 to 64000 by doubling")
    parser.add_argument("--threads", type=int, default=2, help="of each process (default 2)")
    return parser.parse_args()


def _run(way: Way, nodes: int, threads: int) -> Run:
    often = ("--warmup", "0", "--repeats", "1") if nodes >= ALONE else ("--warmup", "1", "--repeats", "5")
    args = (way.argument, "--nodes", str(nodes), "--width", str(WIDTH), *often)
    side = Side(way.argument, "sides/contrast_loss.py", args, limit_gb=way.limit_gb, timeout=900)
    return measure(str(nodes), side, 1, sys.executable, threads, {})


def measured(sizes: Sequence[int], threads: int, record: Path) -> dict[Way, list[Run]]:
    """All runs, each added to the record at once; a way that fails is not tried with more nodes."""
    runs: dict[Way, list[Run]] = {way: [] for way in WAYS}
    for nodes in sorted(sizes):
        for way in WAYS:
            if runs[way] and runs[way][-1].status != "ok":
                continue
            run = _run(way, nodes, threads)
            runs[way].append(run)
            print(f"{nodes} nodes, {way.label}: {_outcome(run)}", file=sys.stderr)
            with record.open("a") as file:
                file.write(json.dumps({"nodes": nodes, **asdict(run)}) + "\n")
    return runs


def points(runs: Sequence[Run]) -> list[Point]:
    """Those that succeeded."""
    good = [run for run in runs if run.status == "ok"]
    return [Point(int(run.comparison), min(run.seconds), run.peak_mb - run.base_mb) for run in good]


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float | None:
    """The slope of a straight line through the logarithms; none through fewer than two points."""
    pairs = [(math.log(size), math.log(value)) for size, value in zip(sizes, values, strict=True) if value > 0]
    return statistics.linear_regression(*zip(*pairs, strict=True)).slope if len(pairs) > 1 else None


def _exponents(found: Sequence[Point], least: int) -> tuple[float | None, float | None]:
    """Of time and of memory, over sizes from ``least`` on."""
    found = [point for point in found if point.nodes >= least]
    sizes = [point.nodes for point in found]
    return exponent(sizes, [point.seconds for point in found]), exponent(sizes, [point.extra_mb for point in found])


def _outcome(run: Run) -> str:
    if run.status != "ok":
        return run.status
    (point,) = points([run])
    return f"{point.seconds:.3g} s, {point.extra_mb:.0f} MB"


def _power(slope: float | None) -> str:
    return "–" if slope is None else f"{slope:.2f}"


def tables(runs: dict[Way, list[Run]]) -> str:
    """Time and extra memory by size, then the exponents."""
    sizes = sorted({int(run.comparison) for rows in runs.values() for run in rows})
    lines = ["| nodes | " + " | ".join(way.label for way in runs) + " |", "|---" * (len(runs) + 1) + "|"]
    for size in sizes:
        cells = [next((_outcome(run) for run in rows if run.comparison == str(size)), "–") for rows in runs.values()]
        lines.append(f"| {size:,} | " + " | ".join(cells) + " |")
    ranges = [f"N ≥ {least:,}" if least else "all N" for least in FROM]
    heads = [f"{what}, {which}" for what in ("time", "extra memory") for which in ranges]
    lines += ["", "| exponent of N | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for way, rows in runs.items():
        times, memories = zip(*(_exponents(points(rows), least) for least in FROM), strict=True)
        lines.append(f"| {way.label} | " + " | ".join(map(_power, (*times, *memories))) + " |")
    return "\n".join(lines)


def figure(runs: dict[Way, list[Run]], target: Path) -> None:
    """Time and memory against the nodes, side by side; exponents are of large sizes where there are three."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "graphcl", "font.size": 10})
    from matplotlib import pyplot as plt
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    drawn, panels = plt.subplots(1, 2, figsize=(10, 5), layout="constrained")
    sizes = sorted({int(run.comparison) for rows in runs.values() for run in rows})
    for which, (axes, title) in enumerate(zip(panels, ("seconds", "extra peak memory, MB"), strict=True)):
        for way, rows in runs.items():
            found = points(rows)
            least = max(least for least in FROM if not least or sum(p.nodes >= least for p in found) > 2)
            slope = _exponents(found, least)[which]
            label = way.label + ("" if slope is None else f", $N^{{{slope:.2f}}}$")
            label += f" from {least // 1000}k" if least else ""
            values = [point[which + 1] for point in found]
            axes.plot([p.nodes for p in found], values, color=way.colour, marker=way.marker, label=label)
        axes.set(xscale="log", yscale="log", xlabel="nodes N of each view", title=title)
        axes.xaxis.set_major_locator(FixedLocator(sizes))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1000:g}k"))
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.14))
    bounds = {way.limit_gb for way in runs if way.limit_gb is not None}
    for bound in bounds:
        panels[1].axhline(bound * 1000, color="grey", linestyle=":", linewidth=1)
        panels[1].annotate(f"bound of dense, {bound:g} GB", (sizes[-1], bound * 1000), (0, -4), ha="right", va="top",
                           textcoords="offset points", color="grey", fontsize=9)  # fmt: skip
    drawn.suptitle(f"Loss and gradient of InfoNCE, D = {WIDTH}")
    drawn.savefig(target, metadata={"Date": None})
    plt.close(drawn)


def main() -> None:
    """Measure, then write the record, the tables and the figure."""
    asked = _arguments()
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise SystemExit("the figure needs matplotlib: pip install 'graphcl[plots]'") from None
    asked.out.mkdir(parents=True, exist_ok=True)
    record = asked.out / "scaling.jsonl"
    record.write_text("")
    head = machine(asked.threads)
    runs = measured(asked.nodes, asked.threads, record)
    said = tables(runs)
    print(said)
    about = "\n".join(f"* {line}" for line in [*head, *versions_of([run for rows in runs.values() for run in rows])])
    (asked.out / "scaling.md").write_text(f"{about}\n\n{said}\n")
    figure(runs, asked.out / "scaling.svg")


if __name__ == "__main__":
    main()
