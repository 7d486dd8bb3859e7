"""Random views of a graph: PyG transforms that take a generator and never change their input."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
