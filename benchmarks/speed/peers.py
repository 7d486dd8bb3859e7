"""Environments of the libraries we compare with, each in a folder of its own: `python -m benchmarks.speed.peers pygcl`.

Versions are those of constraints.txt where it names the library, so that both sides run the same torch and PyG and a
ratio says nothing about theirs.
"""

import argparse
import hashlib
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.speed.harness import ROOT

__all__ = ["PEERS", "PeerError", "interpreter", "packages"]

_CONSTRAINTS = ROOT / "constraints.txt"

PEERS: dict[str, tuple[tuple[str, ...], ...]] = {
    # torch first, and named again, so that nothing else fetches another; PyGCL without what it asks for. It imports
    # dgl, torch_sparse and torch_scatter without asking for them: peer_scripts/shims stands in for those
    "pygcl": (
        ("torch",),
        ("torch_geometric", "torch", "numpy", "scipy", "scikit-learn", "networkx", "tqdm"),
        ("--no-deps", "PyGCL==0.1.2"),
    ),
    # without ray, which is for its tuning alone; it fills columns in place, which pandas 3 does not do. PyG is for our
    # own inputs.py
    "recbole": (
        ("torch",),
        ("torch", "torch_geometric", "numpy", "scipy", "scikit-learn", "pandas<3", "tqdm", "pyyaml", "tensorboard"),
        ("colorlog==4.7.2", "colorama==0.4.4", "tabulate", "texttable", "psutil"),
        ("--no-deps", "recbole==1.2.1"),
    ),
    # what PyG's approximate GDC asks for; the rest comes from the environment that measures
    "numba": (("--no-deps", "numba", "llvmlite"),),
    # what Cornac's LightGCN runs on: the last version that runs on any torch
    "dgl": (("--no-deps", "dgl==1.1.3", "psutil"),),
}
"""By name, what pip is asked for, call after call."""


class PeerError(Exception):
    """An environment could not be made."""


def interpreter(name: str) -> Path:
    """The Python of a peer's environment, which is made where it is missing or was made otherwise.

    Raises:
        PeerError: an installation failed; the folder is left for inspection and tried again next time.
    """
    place = ROOT / ".peers" / name
    python, stamp = place / "bin" / "python", place / ".installed"
    wanted = hashlib.sha256(json.dumps(PEERS[name]).encode() + _CONSTRAINTS.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return python
    print(f"preparing the environment of {name} (once; torch is a large download)", file=sys.stderr)
    _call([sys.executable, "-m", "venv", "--clear", str(place)])
    for request in PEERS[name]:
        _call([str(python), "-m", "pip", "install", "--quiet", "--constraint", str(_CONSTRAINTS), *request])
    stamp.write_text(wanted)
    return python


def packages(name: str) -> Path:
    """Where the packages of a peer's environment are, for a process that borrows some of them.

    Raises:
        PeerError: an installation failed.
    """
    return next((interpreter(name).parent.parent / "lib").glob("python*/site-packages"))


def _call(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["nothing was said"]
        errors = [line for line in said if line.startswith("ERROR")] or said
        raise PeerError(f"`{Path(command[0]).name} {' '.join(command[1:])}` ended with {done.returncode}: {errors[-1]}")


def main() -> None:
    """Make the environments asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="+", choices=sorted(PEERS))
    for name in parser.parse_args().names:
        try:
            print(f"{name}: {interpreter(name).relative_to(ROOT)}")
        except PeerError as error:
            raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
