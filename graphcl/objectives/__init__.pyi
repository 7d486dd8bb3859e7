"""Written by tools/stubs.py; do not edit."""

from .contrast import InfoNCE as InfoNCE
from .contrast import NodeGraphBCE as NodeGraphBCE
from .contrast import info_nce as info_nce
from .contrast import node_graph_bce as node_graph_bce
from .objective import Objective as Objective
from .redundancy import CCA as CCA
from .redundancy import cca as cca

__all__ = [
    "CCA",
    "InfoNCE",
    "NodeGraphBCE",
    "Objective",
    "cca",
    "info_nce",
    "node_graph_bce",
]
