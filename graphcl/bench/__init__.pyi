"""Written by tools/stubs.py; do not edit."""

from .attack import Attack as Attack
from .attack import Victim as Victim
from .attack import attacked_graph as attacked_graph
from .attack import contrastive_loss as contrastive_loss
from .attack import difference as difference
from .attack import poisoned as poisoned
from .attack import undirected as undirected
from .bias import Bias as Bias
from .bias import bias_section as bias_section
from .bias import legacy_bias as legacy_bias
from .fidelity import Comparison as Comparison
from .fidelity import Fidelity as Fidelity
from .fidelity import Miss as Miss
from .fidelity import Verdict as Verdict
from .fidelity import compare_with_published as compare_with_published
from .fidelity import explained_misses as explained_misses
from .measure import Clock as Clock
from .measure import Watch as Watch
from .measure import environment as environment
from .measure import peak_memory as peak_memory
from .page import Page as Page
from .published import PublishedFigure as PublishedFigure
from .published import Source as Source
from .published import plain_figure as plain_figure
from .published import published_figures as published_figures
from .published import published_section as published_section
from .published import read_figures as read_figures
from .ranking import CUTOFFS as CUTOFFS
from .ranking import RankingRun as RankingRun
from .ranking import is_ranking as is_ranking
from .ranking import request as request
from .ranking import spec_of as spec_of
from .ranking import user_scores as user_scores
from .ranks import LEVELS as LEVELS
from .ranks import Ranking as Ranking
from .ranks import critical_difference as critical_difference
from .ranks import rank as rank
from .ranks import rank_section as rank_section
from .references import train_supervised as train_supervised
from .report import Cell as Cell
from .report import Column as Column
from .report import PROBELESS as PROBELESS
from .report import Report as Report
from .report import by_metric as by_metric
from .report import records_below as records_below
from .report import summarise as summarise
from .robustness import Curve as Curve
from .robustness import Family as Family
from .robustness import curves as curves
from .robustness import robustness_sections as robustness_sections
from .run import HOW_COME_BY as HOW_COME_BY
from .run import LEGACY_EVERY as LEGACY_EVERY
from .run import Record as Record
from .run import Run as Run
from .run import Trained as Trained
from .run import execute as execute
from .run import nested as nested
from .runner import pending as pending
from .runner import run_all as run_all
from .section import Section as Section
from .store import Store as Store
from .suite import Suite as Suite
from .suite import Task as Task
from .suite import find_suite as find_suite
from .suite import suites as suites
from .under_attack import evade as evade
from .under_attack import poison as poison

__all__ = [
    "Attack",
    "Bias",
    "CUTOFFS",
    "Cell",
    "Clock",
    "Column",
    "Comparison",
    "Curve",
    "Family",
    "Fidelity",
    "HOW_COME_BY",
    "LEGACY_EVERY",
    "LEVELS",
    "Miss",
    "PROBELESS",
    "Page",
    "PublishedFigure",
    "Ranking",
    "RankingRun",
    "Record",
    "Report",
    "Run",
    "Section",
    "Source",
    "Store",
    "Suite",
    "Task",
    "Trained",
    "Verdict",
    "Victim",
    "Watch",
    "attacked_graph",
    "bias_section",
    "by_metric",
    "compare_with_published",
    "contrastive_loss",
    "critical_difference",
    "curves",
    "difference",
    "environment",
    "evade",
    "execute",
    "explained_misses",
    "find_suite",
    "is_ranking",
    "legacy_bias",
    "nested",
    "peak_memory",
    "pending",
    "plain_figure",
    "poison",
    "poisoned",
    "published_figures",
    "published_section",
    "rank",
    "rank_section",
    "read_figures",
    "records_below",
    "request",
    "robustness_sections",
    "run_all",
    "spec_of",
    "suites",
    "summarise",
    "train_supervised",
    "undirected",
    "user_scores",
]
