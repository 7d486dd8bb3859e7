"""Written by tools/stubs.py; do not edit."""

from .logistic import LinearClassifier as LinearClassifier
from .logistic import LogisticProbe as LogisticProbe
from .logistic import Normalisation as Normalisation
from .logistic import Solution as Solution
from .logistic import solve_logistic as solve_logistic
from .probe import FOLDS as FOLDS
from .probe import Fitted as Fitted
from .probe import MajorityProbe as MajorityProbe
from .probe import Metric as Metric
from .probe import Probe as Probe
from .probe import Selection as Selection
from .probe import check_embedding as check_embedding
from .probe import selection_score as selection_score
from .probe import selections as selections
from .scoring import Scores as Scores
from .scoring import accuracy as accuracy
from .scoring import probe as probe
from .scoring import roc_auc as roc_auc
from .scoring import score as score

__all__ = [
    "FOLDS",
    "Fitted",
    "LinearClassifier",
    "LogisticProbe",
    "MajorityProbe",
    "Metric",
    "Normalisation",
    "Probe",
    "Scores",
    "Selection",
    "Solution",
    "accuracy",
    "check_embedding",
    "probe",
    "roc_auc",
    "score",
    "selection_score",
    "selections",
    "solve_logistic",
]
