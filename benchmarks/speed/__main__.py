"""One command from nothing to a table of speed ratios and peak memory: `python -m benchmarks.speed`."""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks.speed.comparisons import COMPARISONS
from benchmarks.speed.harness import FOLDER, Comparison, Run, machine, measure, table, versions_of
from benchmarks.speed.peers import PeerError, interpreter


class _UnavailableError(Exception):
    """Something that all sides need is missing."""


def _arguments() -> argparse.Namespace:
    names = [comparison.name for comparison in COMPARISONS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=names, help=f"some of: {', '.join(names)}")
    parser.add_argument("--rounds", type=int, default=5, help="times that each side is run (default 5)")
    parser.add_argument("--threads", type=int, default=2, help="threads of each side (default 2)")
    also = "also write the table there, and add raw runs to its .jsonl; comparisons in it are not repeated"
    parser.add_argument("--out", type=Path, metavar="FILE", help=also)
    asked = parser.parse_args()
    if asked.rounds < 1 or asked.threads < 1:
        parser.error("--rounds and --threads: input should be 1 or more")
    return asked


def _written(graph: str, folder: Path) -> Path:
    """A data set as a file that any environment can read; a process of its own keeps this one small."""
    target = folder / f"{graph}.npz"
    if not target.exists():
        command = [sys.executable, str(FOLDER / "export_graph.py"), graph, str(target)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stderr.strip(), file=sys.stderr)
            raise _UnavailableError(f"no data set {graph}: name a folder with its raw files in GRAPHCL_MIRROR")
    return target


def _rounds(comparison: Comparison, rounds: int, threads: int, folder: Path) -> Iterator[Run]:
    """All runs of a comparison, alternating between its sides; a side that failed is not run again."""
    try:
        places = {"graph": str(_written(comparison.graph, folder))} if comparison.graph else {}
    except _UnavailableError as error:
        for side in comparison.sides:
            yield Run(comparison.name, side.name, 1, status=f"failed: {error}")
        return
    failed: set[str] = set()
    for number in range(1, rounds + 1):
        for side in comparison.sides:
            if side.name in failed:
                continue
            try:
                python = str(interpreter(side.peer)) if side.peer else sys.executable
                run = measure(comparison.name, side, number, python, threads, places)
            except PeerError as error:
                print(error, file=sys.stderr)
                run = Run(comparison.name, side.name, number, status=f"failed: no environment {side.peer}")
            if run.status != "ok":
                failed.add(side.name)
            yield run


def _counted(runs: list[Run]) -> str:
    """How many rounds the comparisons had; a file may hold those of several invocations."""
    counts = {max(run.round for run in runs if run.comparison == name) for name in {run.comparison for run in runs}}
    return " to ".join(str(count) for count in sorted({min(counts), max(counts)})) if counts else "0"


def main() -> None:
    """Run what was asked for and print the table."""
    asked = _arguments()
    chosen = [comparison for comparison in COMPARISONS if not asked.only or comparison.name in asked.only]
    head = machine(asked.threads)
    raw = asked.out.with_suffix(".jsonl") if asked.out else None
    runs: list[Run] = []
    if raw:
        raw.parent.mkdir(parents=True, exist_ok=True)
        runs = [Run(**json.loads(line)) for line in raw.read_text().splitlines()] if raw.exists() else []
    # what the file holds is not measured again: delete its lines to do so
    known = {run.comparison for run in runs}
    chosen = [comparison for comparison in chosen if comparison.name not in known]
    with tempfile.TemporaryDirectory() as folder:
        for comparison in chosen:
            for run in _rounds(comparison, asked.rounds, asked.threads, Path(folder)):
                runs.append(run)
                said = ", ".join(f"{value:.3g} s" for value in run.seconds) if run.status == "ok" else run.status
                print(f"{run.comparison}, round {run.round}, {run.side}: {said}", file=sys.stderr)
                if raw:
                    with raw.open("a") as file:
                        file.write(json.dumps(asdict(run)) + "\n")
    measured = {run.comparison for run in runs}
    rows = table([comparison for comparison in COMPARISONS if comparison.name in measured], runs)
    print(rows)
    if asked.out:
        about = "\n".join(f"* {line}" for line in [*head, f"rounds: {_counted(runs)}", *versions_of(runs)])
        asked.out.write_text(f"{about}\n\n{rows}\n")


if __name__ == "__main__":
    main()
