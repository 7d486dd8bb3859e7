"""What graphcl raises: every message is one line that says what is wrong and how to mend it.

| class | the fault lies in | exit code of the command line |
|---|---|---|
| `RequestError` | what was asked for (a name, a value, a path) | 2 |
| `EmbeddingError` | embeddings that no loss is defined on | 2; 1 when training made them |
| `DataError` | a graph or a raw file | 2 |
| `MissingExtraError` | the installation: an optional library is absent | 2 |
| `RunFailedError` | the computation itself (it diverged, say) | 1 |
| `EndpointError` | a server that gave no usable answer, or a budget that is spent: worth another try | 1 |
"""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "DataError",
    "EmbeddingError",
    "EndpointError",
    "GraphclError",
    "MissingExtraError",
    "RequestError",
    "RunFailedError",
    "UnfollowedError",
    "UnknownNameError",
]


class GraphclError(Exception):
    """Root of everything graphcl raises on purpose."""


class RequestError(GraphclError, ValueError):
    """The request was wrong: an unknown name, a value out of range, a path that cannot be written."""


class UnknownNameError(RequestError):
    """A name that is not among the known ones; the message offers the nearest.

    Example:
        >>> print(UnknownNameError("method", "grcae", ["grace", "dgi"]))
        unknown method 'grcae': did you mean 'grace'? Known: dgi, grace
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        names = sorted(known)
        close = get_close_matches(name.lower().replace("_", "-"), names, n=1, cutoff=0.5)
        guess = f" did you mean '{close[0]}'?" if close else ""
        listed = ", ".join(names) if names else "none"
        super().__init__(f"unknown {kind} '{name}':{guess} Known: {listed}{hint}")


class UnfollowedError(RequestError):
    """A loss whose gradient does not reach what an adversary would change."""


class EmbeddingError(RequestError):
    """Embeddings that a loss is not defined on: NaN, infinite, or without a direction where one is needed.

    Args:
        message: what is wrong.
        finite: whether the values are numbers at all; if not, training has diverged.
    """

    def __init__(self, message: str, *, finite: bool = False) -> None:
        super().__init__(message)
        self.finite = finite


class DataError(GraphclError, ValueError):
    """A graph or a raw file that cannot be used as it is."""


class MissingExtraError(GraphclError, ImportError):
    """An optional library is not installed.

    Example:
        >>> print(MissingExtraError("matplotlib", "plots"))
        matplotlib is not installed: pip install 'graphcl[plots]'
    """

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"{library} is not installed: pip install 'graphcl[{extra}]'")


class EndpointError(GraphclError, RuntimeError):
    """A server that gave no usable answer, or a budget that is spent; what was answered is kept for another try."""


class RunFailedError(GraphclError, RuntimeError):
    """A computation that could not be finished, such as a loss that became NaN."""
