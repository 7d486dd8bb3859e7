"""What each module of Python's own library imports: interactions that every installation brings along."""

import sys
from collections.abc import Iterable

import numpy as np
import torch

from graphcl.data.interaction_spec import InteractionSpec
from graphcl.data.interactions import Interactions
from graphcl.data.python_source import stdlib_sources
from graphcl.data.spec import Files, Layout
from graphcl.errors import DataError

__all__ = ["PYTHON_IMPORTS", "import_pairs"]

_TESTS = frozenset(["test", "tests", "idle_test"])


def import_pairs(files: Files | None = None) -> Interactions:
    """The modules of the running Python's library with the top-level modules they import, wherever in their source.

    Tests are left out, and so are imports from a module's own package (its name would tell) and of anything that is
    not in the library. A module that imports nothing else is no user. Source is parsed, never imported.

    Args:
        files: ignored.

    Returns:
        Users (dotted module names) and items (top-level modules) in the order of their names; what an item says is the
        first paragraph of its docstring, or its name.

    Raises:
        DataError: the library is not there as source files.

    Example:
        >>> seen = import_pairs()
        >>> number = {name: k for k, name in enumerate(seen.item_ids.tolist())}
        >>> seen.matrix[seen.user_numbers(["json.decoder"]).item(), number["re"]].item()
        1.0
    """
    modules = {
        name: module for name, module in stdlib_sources("python-imports").items() if not _TESTS & set(name.split("."))
    }
    imported = {name: _imported(name, (base for base, _ in module.imports)) for name, module in modules.items()}
    users = sorted(name for name, items in imported.items() if items)
    items = sorted(set().union(*imported.values()))
    if not users:
        raise DataError("python-imports: no module of the library imports another")
    place = {name: number for number, name in enumerate(items)}
    pairs = torch.tensor([(number, place[item]) for number, user in enumerate(users) for item in imported[user]])
    summaries = {name: modules[name].summary if name in modules else "" for name in items}
    return Interactions(
        users=pairs[:, 0],
        items=pairs[:, 1],
        num_users=len(users),
        num_items=len(items),
        user_ids=np.array(users, dtype=object),
        item_ids=np.array(items, dtype=object),
        item_text=tuple(text or name for name, text in summaries.items()),
    )


def _imported(name: str, bases: Iterable[str]) -> set[str]:
    return {base.partition(".")[0] for base in bases} & sys.stdlib_module_names - {name.partition(".")[0]}


PYTHON_IMPORTS = InteractionSpec(
    name="python-imports",
    title="Python imports",
    layouts=(Layout(read=import_pairs),),
    counts=None,
    licence="PSF-2.0",
    citation="Python Software Foundation. The Python Standard Library. docs.python.org/3/library.",
    source="the library of the running Python",
    text=True,
    note=(
        "users are modules of the standard library without its tests, items the top-level modules they import from "
        "outside their own package; an item says the first paragraph of its docstring, or its name"
    ),
    traps=(
        "The content depends on the Python version, so results are comparable only at the same fingerprint.",
        "Popularity goes far: every third module imports `sys`, and as many `os`.",
    ),
)
