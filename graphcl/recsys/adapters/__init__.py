"""Recommenders in other people's frameworks, and their vectors in a form that is served: one file each.

None of the frameworks is needed to import this package. What builds on one that is not installed says so when it is
asked for.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
