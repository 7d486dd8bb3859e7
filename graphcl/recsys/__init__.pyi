"""Written by tools/stubs.py; do not edit."""

from . import adapters as adapters
from . import methods as methods
from .propagated_ranker import PropagatedRanker as PropagatedRanker
from .propagated_ranker import contrast_rows as contrast_rows
from .propagation import BipartiteOperator as BipartiteOperator
from .propagation import combined as combined
from .propagation import mean_of_layers as mean_of_layers
from .propagation import same_orthant_noise as same_orthant_noise
from .recommender import EmbeddingRecommender as EmbeddingRecommender
from .recommender import Look as Look
from .recommender import Ranker as Ranker
from .recommender import RankerTraining as RankerTraining
from .recommender import Recommender as Recommender
from .recommender import Selected as Selected
from .recommender import fit_selected as fit_selected
from .recommender import small as small
from .samplers import NegativeSampler as NegativeSampler
from .samplers import Negatives as Negatives
from .samplers import Triples as Triples
from .similarity import ItemSimilarity as ItemSimilarity
from .similarity import UserSimilarity as UserSimilarity
from .similarity import inverse_powers as inverse_powers
from .similarity import largest_of_rows as largest_of_rows
from .similarity import largest_products as largest_products

__all__ = [
    "BipartiteOperator",
    "EmbeddingRecommender",
    "ItemSimilarity",
    "Look",
    "NegativeSampler",
    "Negatives",
    "PropagatedRanker",
    "Ranker",
    "RankerTraining",
    "Recommender",
    "Selected",
    "Triples",
    "UserSimilarity",
    "adapters",
    "combined",
    "contrast_rows",
    "fit_selected",
    "inverse_powers",
    "largest_of_rows",
    "largest_products",
    "mean_of_layers",
    "methods",
    "same_orthant_noise",
    "small",
]
