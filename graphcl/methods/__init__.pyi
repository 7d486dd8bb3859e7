"""Written by tools/stubs.py; do not edit."""

from .cca_ssg import CcaSsg as CcaSsg
from .controls import Majority as Majority
from .controls import Propagated as Propagated
from .controls import PropagatedHigh as PropagatedHigh
from .controls import RandomInit as RandomInit
from .controls import Raw as Raw
from .dgi import Dgi as Dgi
from .dgi import DgiMethod as DgiMethod
from .grace import Grace as Grace
from .recipe import Method as Method
from .recipe import Paper as Paper
from .recipe import Recipe as Recipe
from .two_view import TwoView as TwoView
from .two_view import encode as encode

__all__ = [
    "CcaSsg",
    "Dgi",
    "DgiMethod",
    "Grace",
    "Majority",
    "Method",
    "Paper",
    "Propagated",
    "PropagatedHigh",
    "RandomInit",
    "Raw",
    "Recipe",
    "TwoView",
    "encode",
]
