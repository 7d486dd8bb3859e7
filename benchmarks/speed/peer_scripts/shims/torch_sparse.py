"""Stands in for torch_sparse, which PyGCL imports for diffusion, added edges and random walks, not for GRACE."""


class SparseTensor:
    """Never built here."""

    def __init__(self, *_: object, **__: object) -> None:
        raise NotImplementedError("this is a stand-in for torch_sparse; install it to use these parts of PyGCL")


def coalesce(*_: object, **__: object) -> None:
    """Never called here."""
    raise NotImplementedError("this is a stand-in for torch_sparse; install it to use these parts of PyGCL")
