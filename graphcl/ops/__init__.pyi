"""Written by tools/stubs.py; do not edit."""

from .linear import feature_linear as feature_linear
from .linear import feature_linear_reference as feature_linear_reference
from .logistic import Solution as Solution
from .logistic import solve_logistic as solve_logistic
from .pairwise import logsumexp_between as logsumexp_between
from .pairwise import logsumexp_between_reference as logsumexp_between_reference
from .pairwise import logsumexp_within as logsumexp_within
from .pairwise import logsumexp_within_reference as logsumexp_within_reference
from .pairwise import nearest as nearest
from .pairwise import pair_products as pair_products
from .pairwise_tiles import TiledLogSumExp as TiledLogSumExp
from .pairwise_tiles import operand_type as operand_type
from .pairwise_tiles import product_for as product_for
from .pairwise_tiles import tile_size as tile_size

__all__ = [
    "Solution",
    "TiledLogSumExp",
    "feature_linear",
    "feature_linear_reference",
    "logsumexp_between",
    "logsumexp_between_reference",
    "logsumexp_within",
    "logsumexp_within_reference",
    "nearest",
    "operand_type",
    "pair_products",
    "product_for",
    "solve_logistic",
    "tile_size",
]
