"""Written by tools/stubs.py; do not edit."""

from .adjacency import edges_by_node as edges_by_node
from .adjacency import listed as listed
from .adjacency import ranked as ranked
from .centrality import degree as degree
from .centrality import eigenvector_centrality as eigenvector_centrality
from .centrality import pagerank as pagerank
from .chebyshev import chebyshev_terms as chebyshev_terms
from .chebyshev import polynomials as polynomials
from .chebyshev import polynomials_reference as polynomials_reference
from .diffuse import diffusion_edges as diffusion_edges
from .diffuse import diffusion_reference as diffusion_reference
from .diffuse import expand as expand
from .diffuse import nearness as nearness
from .diffuse import push as push
from .diffuse import sweep_cut as sweep_cut
from .diffuse import sweep_cut_reference as sweep_cut_reference
from .kernels import Heat as Heat
from .kernels import Kernel as Kernel
from .kernels import Markov as Markov
from .kernels import Teleport as Teleport
from .linear import dense_linear as dense_linear
from .linear import feature_linear as feature_linear
from .linear import feature_linear_reference as feature_linear_reference
from .linear import sparse_features as sparse_features
from .logistic import Solution as Solution
from .logistic import solve_logistic as solve_logistic
from .pairs import contains as contains
from .pairs import first_free as first_free
from .pairs import free_pairs as free_pairs
from .pairs import pair_codes as pair_codes
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
from .propagate import adjacency_operator as adjacency_operator
from .propagate import adjacency_rows as adjacency_rows
from .propagate import check_rows as check_rows
from .propagate import gcn_operator as gcn_operator
from .propagate import gcn_operator_reference as gcn_operator_reference
from .propagate import gcn_propagate as gcn_propagate
from .propagate import multiply as multiply
from .propagate import multiply_reference as multiply_reference
from .propagate import sum_operator as sum_operator
from .resolvent import pagerank_rows as pagerank_rows
from .resolvent import pagerank_rows_reference as pagerank_rows_reference
from .walk import Walk as Walk
from .walk import walk_operator as walk_operator
from .walk import walk_operator_reference as walk_operator_reference

__all__ = [
    "Heat",
    "Kernel",
    "Markov",
    "Pattern",
    "Product",
    "Solution",
    "Teleport",
    "Walk",
    "adjacency_operator",
    "adjacency_rows",
    "chebyshev_terms",
    "check_rows",
    "contains",
    "degree",
    "dense_linear",
    "diffusion_edges",
    "diffusion_reference",
    "edges_by_node",
    "eigenvector_centrality",
    "expand",
    "feature_linear",
    "feature_linear_reference",
    "first_free",
    "free_pairs",
    "gcn_operator",
    "gcn_operator_reference",
    "gcn_propagate",
    "knn_graph",
    "listed",
    "logsumexp_between",
    "logsumexp_between_reference",
    "logsumexp_within",
    "logsumexp_within_reference",
    "multiply",
    "multiply_reference",
    "nearest",
    "nearness",
    "pagerank",
    "pagerank_rows",
    "pagerank_rows_reference",
    "pair_codes",
    "pair_products",
    "plain_product",
    "polynomials",
    "polynomials_reference",
    "product_for",
    "push",
    "ranked",
    "solve_logistic",
    "sparse_features",
    "sum_operator",
    "sweep_cut",
    "sweep_cut_reference",
    "walk_operator",
    "walk_operator_reference",
]
