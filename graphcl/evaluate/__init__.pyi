"""Written by tools/stubs.py; do not edit."""

from .early_stopping import EarlyStoppedProbe as EarlyStoppedProbe
from .logistic import LinearClassifier as LinearClassifier
from .logistic import LogisticProbe as LogisticProbe
from .logistic import Normalisation as Normalisation
from .probes import FOLDS as FOLDS
from .probes import Fitted as Fitted
from .probes import MajorityProbe as MajorityProbe
from .probes import Metric as Metric
from .probes import Probe as Probe
from .probes import Selection as Selection
from .probes import check_embedding as check_embedding
from .probes import selection_score as selection_score
from .probes import selections as selections
from .scoring import Scores as Scores
from .scoring import accuracy as accuracy
from .scoring import probe as probe
from .scoring import roc_auc as roc_auc
from .scoring import score as score

__all__ = [
    "EarlyStoppedProbe",
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
    "accuracy",
    "check_embedding",
    "probe",
    "roc_auc",
    "score",
    "selection_score",
    "selections",
]
