"""Written by tools/stubs.py; do not edit."""

from .contrast import HardInfoNCE as HardInfoNCE
from .contrast import InfoNCE as InfoNCE
from .contrast import hard_info_nce as hard_info_nce
from .contrast import info_nce as info_nce
from .contrast import sampled_info_nce as sampled_info_nce
from .node_graph import NodeGraphBCE as NodeGraphBCE
from .node_graph import node_graph_bce as node_graph_bce
from .objective import Objective as Objective
from .redundancy import CCA as CCA
from .redundancy import cca as cca

__all__ = [
    "CCA",
    "HardInfoNCE",
    "InfoNCE",
    "NodeGraphBCE",
    "Objective",
    "cca",
    "hard_info_nce",
    "info_nce",
    "node_graph_bce",
    "sampled_info_nce",
]
