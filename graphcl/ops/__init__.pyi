"""Written by tools/stubs.py; do not edit."""

from .linear import feature_linear as feature_linear
from .linear import feature_linear_reference as feature_linear_reference

__all__ = [
    "feature_linear",
    "feature_linear_reference",
]
