"""Written by tools/stubs.py; do not edit."""

from .report import Cell as Cell
from .report import Column as Column
from .report import Report as Report
from .report import summarise as summarise
from .run import LEGACY_EVERY as LEGACY_EVERY
from .run import Record as Record
from .run import Run as Run
from .run import Watch as Watch
from .run import execute as execute
from .run import nested as nested
from .runner import pending as pending
from .runner import run_all as run_all
from .store import Store as Store
from .suite import Suite as Suite
from .suite import Task as Task
from .suite import find_suite as find_suite
from .suite import suites as suites

__all__ = [
    "Cell",
    "Column",
    "LEGACY_EVERY",
    "Record",
    "Report",
    "Run",
    "Store",
    "Suite",
    "Task",
    "Watch",
    "execute",
    "find_suite",
    "nested",
    "pending",
    "run_all",
    "suites",
    "summarise",
]
