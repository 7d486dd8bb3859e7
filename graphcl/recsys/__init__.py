"""Recommendation: users and items as a graph, models that embed them, and the baselines they have to beat."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
