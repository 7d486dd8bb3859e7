"""Stands in for torch_scatter, which PyGCL imports for PageRank weights and graph-level sampling, not for GRACE."""


def scatter(*_: object, **__: object) -> None:
    """Never called here."""
    raise NotImplementedError("this is a stand-in for torch_scatter; install it to use these parts of PyGCL")
