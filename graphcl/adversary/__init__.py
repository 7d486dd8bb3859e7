"""Adversaries: what changes a graph within a budget so that a loss rises; they see the loss and nothing else."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
