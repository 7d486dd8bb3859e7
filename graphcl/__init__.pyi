"""Written by tools/stubs.py; do not edit."""

from . import adversary as adversary
from . import augment as augment
from . import batches as batches
from . import bench as bench
from . import catalogue as catalogue
from . import config as config
from . import data as data
from . import encoders as encoders
from . import errors as errors
from . import evaluate as evaluate
from . import features as features
from . import graph as graph
from . import methods as methods
from . import objectives as objectives
from . import ops as ops
from . import plan as plan
from . import recsys as recsys
from . import seeding as seeding
from . import spectral as spectral
from . import testing as testing
from . import train as train
from ._version import __version__ as __version__
from .data.loading import load as load
from .data.splits import Split as Split
from .data.splits import Triple as Triple
from .errors import DataError as DataError
from .errors import GraphclError as GraphclError
from .errors import RequestError as RequestError
from .errors import RunFailedError as RunFailedError
from .graph import GraphShape as GraphShape
from .plan import Plan as Plan
from .seeding import Seeds as Seeds
from .train import embed as embed

__all__ = [
    "DataError",
    "GraphShape",
    "GraphclError",
    "Plan",
    "RequestError",
    "RunFailedError",
    "Seeds",
    "Split",
    "Triple",
    "__version__",
    "adversary",
    "augment",
    "batches",
    "bench",
    "catalogue",
    "config",
    "data",
    "embed",
    "encoders",
    "errors",
    "evaluate",
    "features",
    "graph",
    "load",
    "methods",
    "objectives",
    "ops",
    "plan",
    "recsys",
    "seeding",
    "spectral",
    "testing",
    "train",
]
