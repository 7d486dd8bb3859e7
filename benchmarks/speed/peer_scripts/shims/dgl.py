"""Stands in for DGL, which PyGCL imports for one helper that no method here calls."""


class DGLGraph:
    """Named in an annotation."""


def graph(*_: object, **__: object) -> DGLGraph:
    """Never called here."""
    raise NotImplementedError("this is a stand-in for DGL; install dgl to build DGL graphs with PyGCL")
