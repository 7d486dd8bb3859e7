"""Write `benchmarks/LEADERBOARD.md` from the records below `benchmarks/results`, one table per suite.

`python tools/leaderboard.py` rewrites it, `--check` fails where it is out of date. Numbers in it are never typed.
"""

import sys
from pathlib import Path

from graphcl.bench import Store, suites, summarise

FOLDER = Path(__file__).parent.parent / "benchmarks"
TARGET = FOLDER / "LEADERBOARD.md"


def leaderboard() -> str:
    """The text of the page."""
    lines = [
        "# Leaderboard",
        "",
        "Written by `make leaderboard` from the records in `results/`; do not edit. Repeat a table with",
        "`graphcl bench run SUITE --out DIR` and `graphcl bench report DIR`.",
        "",
    ]
    for folder in sorted(path for path in (FOLDER / "results").iterdir() if path.is_dir()):
        about = suites()[folder.name].description if folder.name in suites() else ""
        lines += [f"## {folder.name}", "", f"{about}.", "", summarise(Store(folder).read()).markdown()]
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    """Write, or check with `--check`."""
    text = leaderboard()
    if "--check" not in sys.argv:
        TARGET.write_text(text)
    elif not TARGET.exists() or TARGET.read_text() != text:
        sys.exit("benchmarks/LEADERBOARD.md is out of date; run `make leaderboard`")


if __name__ == "__main__":
    main()
