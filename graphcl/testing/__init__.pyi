"""Written by tools/stubs.py; do not edit."""

from .attacks import attacked_model as attacked_model
from .attacks import check_adversary as check_adversary
from .channels import check_filter as check_filter
from .channels import check_gate as check_gate
from .parting import check_decoupler as check_decoupler
from .parts import CONTRACTS as CONTRACTS
from .parts import check as check
from .parts import check_dataset as check_dataset
from .parts import check_objective as check_objective
from .parts import check_probe as check_probe
from .parts import check_recipe as check_recipe
from .promises import ContractError as ContractError
from .promises import Promises as Promises
from .promises import check_config as check_config
from .promises import leaves_global_random_state as leaves_global_random_state
from .promises import same_graph as same_graph
from .promises import sample_graph as sample_graph
from .promises import tensors_of as tensors_of
from .recommending import check_interactions as check_interactions
from .recommending import check_recommender as check_recommender
from .sources import check_source as check_source
from .sources import moved_texts as moved_texts
from .sources import sample_texts as sample_texts
from .views import check_augmenter as check_augmenter

__all__ = [
    "CONTRACTS",
    "ContractError",
    "Promises",
    "attacked_model",
    "check",
    "check_adversary",
    "check_augmenter",
    "check_config",
    "check_dataset",
    "check_decoupler",
    "check_filter",
    "check_gate",
    "check_interactions",
    "check_objective",
    "check_probe",
    "check_recipe",
    "check_recommender",
    "check_source",
    "leaves_global_random_state",
    "moved_texts",
    "same_graph",
    "sample_graph",
    "sample_texts",
    "tensors_of",
]
