"""Written by tools/stubs.py; do not edit."""

from .gcn import ACTIVATIONS as ACTIVATIONS
from .gcn import Activation as Activation
from .gcn import GCN as GCN
from .gcn import activation as activation
from .mlp import MLP as MLP

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "GCN",
    "MLP",
    "activation",
]
