"""Written by tools/stubs.py; do not edit."""

from .cornac_recommender import CornacRecommender as CornacRecommender
from .lenskit_scorer import LensKitConfig as LensKitConfig
from .lenskit_scorer import LensKitScorer as LensKitScorer
from .recbole_recommender import RecBoleRecommender as RecBoleRecommender
from .vector_index import ExportedVectors as ExportedVectors
from .vector_index import VectorIndex as VectorIndex
from .vector_index import export_vectors as export_vectors
from .vector_index import load_vectors as load_vectors
from .vector_index import search_unseen as search_unseen
from .vector_index import to_faiss as to_faiss
from .vector_index import to_parquet as to_parquet

__all__ = [
    "CornacRecommender",
    "ExportedVectors",
    "LensKitConfig",
    "LensKitScorer",
    "RecBoleRecommender",
    "VectorIndex",
    "export_vectors",
    "load_vectors",
    "search_unseen",
    "to_faiss",
    "to_parquet",
]
