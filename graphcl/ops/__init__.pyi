"""Written by tools/stubs.py; do not edit."""

from .linear import feature_linear as feature_linear
from .linear import feature_linear_reference as feature_linear_reference
from .logistic import Solution as Solution
from .logistic import solve_logistic as solve_logistic

__all__ = [
    "Solution",
    "feature_linear",
    "feature_linear_reference",
    "solve_logistic",
]
