"""Written by tools/stubs.py; do not edit."""

from .linear import dense_linear as dense_linear
from .linear import feature_linear as feature_linear
from .linear import feature_linear_reference as feature_linear_reference
from .linear import sparse_features as sparse_features
from .logistic import Solution as Solution
from .logistic import solve_logistic as solve_logistic
from .pairwise import knn_graph as knn_graph
from .pairwise import logsumexp_between as logsumexp_between
from .pairwise import logsumexp_between_reference as logsumexp_between_reference
from .pairwise import logsumexp_within as logsumexp_within
from .pairwise import logsumexp_within_reference as logsumexp_within_reference
from .pairwise import nearest as nearest
from .pairwise import pair_products as pair_products
from .product import Product as Product
from .product import plain_product as plain_product
from .product import product_for as product_for
from .propagate import Pattern as Pattern
from .propagate import gcn_operator as gcn_operator
from .propagate import gcn_operator_reference as gcn_operator_reference
from .propagate import gcn_propagate as gcn_propagate
from .propagate import multiply as multiply
from .propagate import multiply_reference as multiply_reference

__all__ = [
    "Pattern",
    "Product",
    "Solution",
    "dense_linear",
    "feature_linear",
    "feature_linear_reference",
    "gcn_operator",
    "gcn_operator_reference",
    "gcn_propagate",
    "knn_graph",
    "logsumexp_between",
    "logsumexp_between_reference",
    "logsumexp_within",
    "logsumexp_within_reference",
    "multiply",
    "multiply_reference",
    "nearest",
    "pair_products",
    "plain_product",
    "product_for",
    "solve_logistic",
    "sparse_features",
]
