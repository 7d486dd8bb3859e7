"""Write the typed stubs of the lazily loaded packages from the `__all__` of their modules.

`python tools/stubs.py` rewrites them, `python tools/stubs.py --check` fails where one is out of date.
"""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent / "graphcl"
PACKAGES = [
    "adversary",
    "augment",
    "bench",
    "data",
    "encoders",
    "evaluate",
    "features",
    "methods",
    "objectives",
    "ops",
    "recsys",
    "recsys.adapters",
    "recsys.methods",
    "spectral",
    "testing",
]
# the few names that everybody needs, straight below `graphcl`
TOP = {
    "_version": ["__version__"],
    "data.loading": ["load"],
    "data.splits": ["Split", "Triple"],
    "errors": ["DataError", "GraphclError", "RequestError", "RunFailedError"],
    "graph": ["GraphShape"],
    "plan": ["Plan"],
    "seeding": ["Seeds"],
    "train": ["embed"],
}
SUBMODULES = [
    *(package for package in PACKAGES if "." not in package),
    "batches",
    "catalogue",
    "config",
    "errors",
    "graph",
    "plan",
    "seeding",
    "train",
]


def exported(path: Path) -> list[str]:
    """The names in a module's `__all__`."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return sorted(ast.literal_eval(node.value))
    return []


def stub(imports: dict[str, list[str]], submodules: list[str]) -> str:
    """The text of one stub: relative imports, and `__all__`."""
    lines = ['"""Written by tools/stubs.py; do not edit."""', ""]
    lines += [f"from . import {name} as {name}" for name in sorted(submodules)]
    for module in sorted(imports):
        lines += [f"from .{module} import {name} as {name}" for name in imports[module]]
    names = sorted([*submodules, *(name for names in imports.values() for name in names)])
    lines += ["", "__all__ = [", *(f'    "{name}",' for name in names), "]", ""]
    return "\n".join(lines)


def stubs() -> dict[Path, str]:
    """Every stub by its path."""
    made = {ROOT / "__init__.pyi": stub(TOP, SUBMODULES)}
    for package in PACKAGES:
        folder = ROOT / package.replace(".", "/")
        modules = sorted(folder.glob("*.py"))
        imports = {path.stem: exported(path) for path in modules if path.stem != "__init__"}
        owner: dict[str, str] = {}
        for module, names in imports.items():
            for name in names:
                if owner.setdefault(name, module) != module:
                    sys.exit(f"graphcl.{package}: both {owner[name]} and {module} export {name}; rename one")
                if name in imports:
                    sys.exit(f"graphcl.{package}: {module} exports {name}, which is also a module; rename one")
        inside = [name.rpartition(".")[2] for name in PACKAGES if name.rpartition(".")[0] == package]
        made[folder / "__init__.pyi"] = stub(imports, inside)
    return made


def main() -> None:
    """Write, or check with `--check`."""
    stale = [path for path, text in stubs().items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv:
        if stale:
            sys.exit(f"out of date: {', '.join(map(str, stale))}; run `make stubs`")
        return
    for path, text in stubs().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
