"""Written by tools/stubs.py; do not edit."""

from .augmenter import Augmenter as Augmenter
from .augmenter import Chain as Chain
from .edges import EdgeDropout as EdgeDropout
from .edges import MessageDropout as MessageDropout
from .features import FeatureMask as FeatureMask
from .features import FeatureShuffle as FeatureShuffle

__all__ = [
    "Augmenter",
    "Chain",
    "EdgeDropout",
    "FeatureMask",
    "FeatureShuffle",
    "MessageDropout",
]
