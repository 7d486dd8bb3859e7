"""Time and memory of several programs that do the same work, each in a process of its own.

A process of its own, because the libraries compared need environments of their own, and because peak memory belongs
to a process. The rounds go A, B, A, B, …, so that a machine that drifts slows all alike, and ratios are taken within a
round.

Only the standard library is used: `report` is imported by the measured scripts, whatever environment they run in.
"""

import json
import os
import platform
import re
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

if __name__ == "harness":  # in the process of a side
    # PyG loads triton where it is installed, 67 MB that no side uses on the CPU and the peer's environment has not
    sys.modules.setdefault("triton", None)  # type: ignore[arg-type]

__all__ = ["Comparison", "Run", "Side", "machine", "measure", "peak_mb", "report", "table", "versions_of"]

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent

_LIBRARIES = ("graphcl", "PyGCL", "recbole", "torch", "torch_geometric")
_OUT_OF_MEMORY = re.compile(
    r"can't allocate memory|cannot allocate memory|not enough memory|bad_alloc|MemoryError", re.I
)
_MB = 10**6


# -------- in the measured process


def peak_mb(process: int | str = "self") -> float:
    """The highest resident memory of a process so far, in 10⁶ bytes; 0 where it cannot be told.

    Linux keeps ``ru_maxrss`` across exec, so a child starts with its parent's peak; ``VmHWM`` starts anew with the
    program and is preferred for that.
    """
    with suppress(OSError):
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
        if found:
            return int(found[1]) * 1024 / _MB
    if process != "self":
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / _MB


def report(step: Callable[[], object], warmup: int = 2, repeats: int = 5, note: str | Callable[[], str] = "") -> None:
    """Measure ``step`` and print one JSON line; what a measured script ends with.

    The peak is that of the steps, warm-up included and the note not: where the system allows it, the mark is set back
    to the present use first, so that a costly reading of data hides nothing. A step that raises is reported too, with
    its peak, and the error goes on.

    Args:
        step: one unit of the work compared.
        warmup: calls before those that count.
        repeats: calls that count.
        note: shown in the table; a function is called at the end (a loss, a check that both sides do the same).
    """
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    line: dict[str, Any] = {"seconds": [], "peak_mb": 0.0, "base_mb": peak_mb(), "note": "", "versions": _versions()}
    try:
        for number in range(warmup + repeats):
            began = time.perf_counter()
            step()
            if number >= warmup:
                line["seconds"].append(time.perf_counter() - began)
        line["peak_mb"] = peak_mb()
        line["note"] = note() if callable(note) else note
    except Exception as error:
        line["error"] = f"{type(error).__name__}: {error}"
        raise
    finally:
        line["peak_mb"] = line["peak_mb"] or peak_mb()
        print(json.dumps(line), flush=True)


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for name in _LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


# -------- in the calling process


@dataclass(frozen=True)
class Side:
    """One of the programs compared.

    Args:
        name: in the table.
        script: the program, relative to this folder; it calls `report` once.
        args: its arguments; ``{graph}`` stands for the path of the comparison's graph.
        peer: environment it runs in, a name in `peers.PEERS`; ``None`` is the present one.
        limit_gb: bound on its address space, in 10⁹ bytes.
        timeout: seconds after which it is ended.
    """

    name: str
    script: str
    args: tuple[str, ...] = ()
    peer: str | None = None
    limit_gb: float | None = None
    timeout: float = 600.0


@dataclass(frozen=True)
class Comparison:
    """Programs that do the same work; ratios are to the first.

    Args:
        name: as asked for with ``--only``.
        sides: the baseline first.
        graph: data set that is written to a file for all sides, so that all see the same.
    """

    name: str
    sides: tuple[Side, ...]
    graph: str | None = None


@dataclass
class Run:
    """What one process said, or how it ended; also a line of the raw record."""

    comparison: str
    side: str
    round: int
    seconds: list[float] = field(default_factory=list)
    peak_mb: float = 0.0
    base_mb: float = 0.0
    status: str = "ok"
    note: str = ""
    versions: dict[str, str] = field(default_factory=dict)


def measure(comparison: str, side: Side, number: int, python: str, threads: int, places: Mapping[str, str]) -> Run:
    """Run one side once; a failure of any kind is a result.

    Args:
        comparison: name, for the record.
        side: what to run.
        number: of the round, from 1.
        python: the interpreter.
        threads: given to it.
        places: what stands for the names in braces in ``side.args``.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONHOME"}
    environment |= {f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "MKL", "OPENBLAS")}
    environment["PYTHONPATH"] = str(FOLDER)
    command = [python, str(FOLDER / side.script), *(argument.format_map(places) for argument in side.args)]

    def limit() -> None:
        if side.limit_gb is not None:
            most = int(side.limit_gb * 10**9)
            resource.setrlimit(resource.RLIMIT_AS, (most, most))

    run = Run(comparison, side.name, number)
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
        preexec_fn=limit,
    )
    try:
        out, err = process.communicate(timeout=side.timeout)
    except subprocess.TimeoutExpired:
        run.peak_mb = peak_mb(process.pid)
        run.status = f"not done after {side.timeout:g} s"
        return run
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    said = _last_line(out)
    for name in ("seconds", "peak_mb", "base_mb", "note", "versions"):
        if name in said:
            setattr(run, name, said[name])
    if process.returncode != 0 or "error" in said or not run.seconds:
        run.status = _failure(side, process.returncode, said.get("error", ""), err)
    return run


def _last_line(out: str) -> dict[str, Any]:
    """The JSON line of `report` among whatever else a library prints."""
    for line in reversed(out.splitlines()):
        with suppress(json.JSONDecodeError):
            found = json.loads(line)
            if isinstance(found, dict) and "seconds" in found:
                return found
    return {}


def _failure(side: Side, code: int, error: str, err: str) -> str:
    if code == -signal.SIGKILL:
        return "killed by the system, most likely out of memory"
    if _OUT_OF_MEMORY.search(error) or _OUT_OF_MEMORY.search(err):
        return "out of memory" + (f" above {side.limit_gb:g} GB" if side.limit_gb is not None else "")
    lines = (error or err).strip().splitlines()
    last = (lines[0] if error else lines[-1]) if lines else f"exit status {code}, and nothing was said"
    return "failed: " + _without_places(last)


def _without_places(text: str) -> str:
    """The start of a message, without the folders of this machine: tables are published."""
    text = text.replace(str(ROOT), ".").replace(str(Path.home()), "~")
    return text if len(text) <= 160 else text[:159] + "…"


# -------- the table


def table(comparisons: Sequence[Comparison], runs: Sequence[Run]) -> str:
    """All runs as one Markdown table, a row per side; nothing that was run is left out."""
    lines = [
        "| comparison | side | seconds (min–max) | baseline / side | peak MB | extra MB | outcome |",
        "|---|---|---|---|---|---|---|",
    ]
    for comparison in comparisons:
        own = {side.name: [r for r in runs if (r.comparison, r.side) == (comparison.name, side.name)]
               for side in comparison.sides}  # fmt: skip
        baseline = own[comparison.sides[0].name]
        for side, rows in own.items():
            if rows:
                lines.append("| " + " | ".join([comparison.name, side, *_cells(baseline, rows)]) + " |")
    return "\n".join(lines)


def _cells(baseline: Sequence[Run], rows: Sequence[Run]) -> list[str]:
    good = [run for run in rows if run.status == "ok"]
    bad = [run for run in rows if run.status != "ok"]
    seconds = [value for run in good for value in run.seconds]
    reference = {run.round: statistics.median(run.seconds) for run in baseline if run.status == "ok"}
    ratios = [reference[run.round] / statistics.median(run.seconds) for run in good if run.round in reference]
    # of a failed run the peak is what it had reached before it ended
    at_least, counted = ("", good) if good else ("≥ ", bad)
    peak = max(run.peak_mb for run in counted)
    extra = max(run.peak_mb - run.base_mb for run in counted)
    known = peak > 0
    # the raw record has the others
    notes = [run.note for run in sorted(good, key=lambda run: min(run.seconds))[:1] if run.note]
    outcome = "; ".join(
        [
            *(["ok"] if good else []),
            *(f"round {run.round}: {run.status}" if good else run.status for run in bad),
            *notes,
        ]
    )
    return [
        f"{statistics.median(seconds):.3g} ({min(seconds):.3g}–{max(seconds):.3g})" if seconds else "–",
        f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})" if ratios else "–",
        f"{at_least}{peak:.0f}" if known else "–",
        f"{at_least}{extra:.0f}" if known and counted[0].base_mb else "–",
        outcome.replace("|", "/"),
    ]


def versions_of(runs: Sequence[Run]) -> list[str]:
    """A line per side with the versions it ran with."""
    said = {run.side: run.versions for run in runs if run.versions}
    return [f"{side}: " + ", ".join(f"{name} {value}" for name, value in found.items()) for side, found in said.items()]


def machine(threads: int) -> list[str]:
    """What the numbers depend on, for the head of a table."""
    model = platform.processor() or platform.machine()
    with suppress(OSError):
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
        model = found[1].strip() if found else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 10**9
    return [
        f"date: {time.strftime('%Y-%m-%d', time.gmtime())}",
        f"processor: {model}, {os.cpu_count()} logical cores, {memory:.0f} GB of memory",
        f"system: {platform.system()} {platform.machine()}, load {os.getloadavg()[0]:.1f} when it began",
        f"threads of each side: {threads}",
    ]
