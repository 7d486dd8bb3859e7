"""Written by tools/stubs.py; do not edit."""

from .clusters import clustering as clustering
from .clusters import matched_accuracy as matched_accuracy
from .diagnostics import Diagnostics as Diagnostics
from .diagnostics import alignment_of as alignment_of
from .diagnostics import diagnose as diagnose
from .diagnostics import effective_rank as effective_rank
from .diagnostics import frequency_profile as frequency_profile
from .diagnostics import frequency_profile_reference as frequency_profile_reference
from .diagnostics import rayleigh_quotient as rayleigh_quotient
from .diagnostics import uniformity_of as uniformity_of
from .early_stopping import EarlyStoppedProbe as EarlyStoppedProbe
from .links import LinkScores as LinkScores
from .links import LinkSplit as LinkSplit
from .links import Pairs as Pairs
from .links import Scorer as Scorer
from .links import link_prediction as link_prediction
from .links import score_links as score_links
from .links import split_links as split_links
from .logistic import LinearClassifier as LinearClassifier
from .logistic import LogisticProbe as LogisticProbe
from .logistic import Normalisation as Normalisation
from .neighbours import KNNProbe as KNNProbe
from .probes import FOLDS as FOLDS
from .probes import Fitted as Fitted
from .probes import MajorityProbe as MajorityProbe
from .probes import Metric as Metric
from .probes import Probe as Probe
from .probes import Selection as Selection
from .probes import check_embedding as check_embedding
from .probes import selection_score as selection_score
from .probes import selections as selections
from .rank_scores import RankScores as RankScores
from .rank_scores import TopK as TopK
from .rank_scores import paired_difference as paired_difference
from .rank_scores import rank_metrics as rank_metrics
from .ranking import Embedded as Embedded
from .ranking import evaluate_ranking as evaluate_ranking
from .ranking import top_k as top_k
from .robustness import area_under_curve as area_under_curve
from .robustness import evasion_loss as evasion_loss
from .robustness import margins as margins
from .scoring import Scores as Scores
from .scoring import accuracy as accuracy
from .scoring import count_classes as count_classes
from .scoring import fit_probe as fit_probe
from .scoring import macro_f1 as macro_f1
from .scoring import probe as probe
from .scoring import roc_auc as roc_auc
from .scoring import score as score
from .scoring import score_outputs as score_outputs
from .svm import ColumnNormalisation as ColumnNormalisation
from .svm import KernelSVMProbe as KernelSVMProbe
from .svm import SVMProbe as SVMProbe

__all__ = [
    "ColumnNormalisation",
    "Diagnostics",
    "EarlyStoppedProbe",
    "Embedded",
    "FOLDS",
    "Fitted",
    "KNNProbe",
    "KernelSVMProbe",
    "LinearClassifier",
    "LinkScores",
    "LinkSplit",
    "LogisticProbe",
    "MajorityProbe",
    "Metric",
    "Normalisation",
    "Pairs",
    "Probe",
    "RankScores",
    "SVMProbe",
    "Scorer",
    "Scores",
    "Selection",
    "TopK",
    "accuracy",
    "alignment_of",
    "area_under_curve",
    "check_embedding",
    "clustering",
    "count_classes",
    "diagnose",
    "effective_rank",
    "evaluate_ranking",
    "evasion_loss",
    "fit_probe",
    "frequency_profile",
    "frequency_profile_reference",
    "link_prediction",
    "macro_f1",
    "margins",
    "matched_accuracy",
    "paired_difference",
    "probe",
    "rank_metrics",
    "rayleigh_quotient",
    "roc_auc",
    "score",
    "score_links",
    "score_outputs",
    "selection_score",
    "selections",
    "split_links",
    "top_k",
    "uniformity_of",
]
