"""Written by tools/stubs.py; do not edit."""

from .arrays import read_arrays as read_arrays
from .arrays import read_table as read_table
from .attacked import CORA_METATTACK as CORA_METATTACK
from .attacked import PUBMED_METATTACK as PUBMED_METATTACK
from .block_model import CSBM as CSBM
from .block_model import CSBM_HETEROPHILIC as CSBM_HETEROPHILIC
from .block_model import CSBM_HOMOPHILIC as CSBM_HOMOPHILIC
from .block_model import CSBM_MIXED as CSBM_MIXED
from .block_model import CSBM_MIXED_HARD as CSBM_MIXED_HARD
from .block_model import MixedCSBM as MixedCSBM
from .block_model import csbm as csbm
from .block_model import mixed_csbm as mixed_csbm
from .cards import card as card
from .cards import index as index
from .cards import write_cards as write_cards
from .checksums import raw_file as raw_file
from .geom_gcn import ACTOR as ACTOR
from .geom_gcn import CHAMELEON as CHAMELEON
from .geom_gcn import CORNELL as CORNELL
from .geom_gcn import SQUIRREL as SQUIRREL
from .geom_gcn import TEXAS as TEXAS
from .geom_gcn import WISCONSIN as WISCONSIN
from .geom_gcn import geom_gcn_split as geom_gcn_split
from .geom_gcn import read_masks as read_masks
from .heterophilous import AMAZON_RATINGS as AMAZON_RATINGS
from .heterophilous import CHAMELEON_FILTERED as CHAMELEON_FILTERED
from .heterophilous import MINESWEEPER as MINESWEEPER
from .heterophilous import QUESTIONS as QUESTIONS
from .heterophilous import ROMAN_EMPIRE as ROMAN_EMPIRE
from .heterophilous import SQUIRREL_FILTERED as SQUIRREL_FILTERED
from .heterophilous import TOLOKERS as TOLOKERS
from .interaction_files import from_adjacency_text as from_adjacency_text
from .interaction_files import from_csv as from_csv
from .interaction_files import from_frame as from_frame
from .interaction_files import from_inter as from_inter
from .interaction_files import from_lenskit as from_lenskit
from .interaction_files import from_parquet as from_parquet
from .interaction_files import to_inter as to_inter
from .interaction_loading import find_interactions as find_interactions
from .interaction_loading import load_interactions as load_interactions
from .interaction_loading import open_interactions as open_interactions
from .interaction_spec import InteractionContent as InteractionContent
from .interaction_spec import InteractionCounts as InteractionCounts
from .interaction_spec import InteractionSpec as InteractionSpec
from .interaction_spec import interaction_fingerprint as interaction_fingerprint
from .interaction_splits import INTERACTION_SPLITS as INTERACTION_SPLITS
from .interaction_splits import InteractionSplit as InteractionSplit
from .interaction_splits import draw_interactions as draw_interactions
from .interaction_splits import given as given
from .interactions import Interactions as Interactions
from .linkx import AMHERST41 as AMHERST41
from .linkx import JOHNS_HOPKINS55 as JOHNS_HOPKINS55
from .linkx import REED98 as REED98
from .loading import all_datasets as all_datasets
from .loading import find_dataset as find_dataset
from .loading import labels as labels
from .loading import load as load
from .loading import open_dataset as open_dataset
from .loading import split_names as split_names
from .npz_graphs import AMAZON_COMPUTERS as AMAZON_COMPUTERS
from .npz_graphs import AMAZON_PHOTO as AMAZON_PHOTO
from .npz_graphs import CITESEER_FULL as CITESEER_FULL
from .npz_graphs import COAUTHOR_CS as COAUTHOR_CS
from .npz_graphs import COAUTHOR_PHYSICS as COAUTHOR_PHYSICS
from .npz_graphs import CORA_ML as CORA_ML
from .npz_graphs import DBLP as DBLP
from .ogb import ATOM_CATEGORIES as ATOM_CATEGORIES
from .ogb import OGBG_MOLHIV as OGBG_MOLHIV
from .ogb import atom_categories as atom_categories
from .ogb import from_ogb as from_ogb
from .ogb import ogb_safe_load as ogb_safe_load
from .planetoid import CITESEER as CITESEER
from .planetoid import CORA as CORA
from .planetoid import PUBMED as PUBMED
from .planted import PLANTED_FACTORS as PLANTED_FACTORS
from .planted import planted_factors as planted_factors
from .python_imports import PYTHON_IMPORTS as PYTHON_IMPORTS
from .python_imports import import_pairs as import_pairs
from .python_source import Areas as Areas
from .python_source import PYTHON_PACKAGES as PYTHON_PACKAGES
from .python_source import PYTHON_STDLIB as PYTHON_STDLIB
from .python_source import source_graph as source_graph
from .recommendation import FILMTRUST as FILMTRUST
from .recommendation import GOWALLA as GOWALLA
from .recommendation import LASTFM as LASTFM
from .recommendation import ML_100K as ML_100K
from .recommendation import ML_1M as ML_1M
from .spec import Counts as Counts
from .spec import DatasetSpec as DatasetSpec
from .spec import Files as Files
from .spec import FixedSplit as FixedSplit
from .spec import Graphs as Graphs
from .spec import Layout as Layout
from .spec import Poison as Poison
from .spec import RawFile as RawFile
from .splits import RANDOM as RANDOM
from .splits import Split as Split
from .splits import Triple as Triple
from .splits import draw as draw
from .splits import is_random as is_random
from .store import cache_folder as cache_folder
from .store import describe_mismatch as describe_mismatch
from .store import find_files as find_files
from .store import locate as locate
from .store import mirrors as mirrors
from .store import obtain as obtain
from .store import set_aside as set_aside
from .store import sha256 as sha256
from .text_graphs import CITESEER_TEXT as CITESEER_TEXT
from .text_graphs import WEBKB_TEXT as WEBKB_TEXT
from .toy import DIGITS_KNN as DIGITS_KNN
from .toy import KARATE as KARATE
from .toy import digits_knn as digits_knn
from .toy import karate as karate
from .tu import COLLAB as COLLAB
from .tu import DD as DD
from .tu import ENZYMES as ENZYMES
from .tu import IMDB_BINARY as IMDB_BINARY
from .tu import IMDB_MULTI as IMDB_MULTI
from .tu import MUTAG as MUTAG
from .tu import NCI1 as NCI1
from .tu import PROTEINS as PROTEINS
from .tu import REDDIT_BINARY as REDDIT_BINARY
from .unpickle import read_pickle as read_pickle
from .wiki_cs import WIKI_CS as WIKI_CS
from .words import split_words as split_words
from .words import tf_idf as tf_idf
from .words import word_pieces as word_pieces

__all__ = [
    "ACTOR",
    "AMAZON_COMPUTERS",
    "AMAZON_PHOTO",
    "AMAZON_RATINGS",
    "AMHERST41",
    "ATOM_CATEGORIES",
    "Areas",
    "CHAMELEON",
    "CHAMELEON_FILTERED",
    "CITESEER",
    "CITESEER_FULL",
    "CITESEER_TEXT",
    "COAUTHOR_CS",
    "COAUTHOR_PHYSICS",
    "COLLAB",
    "CORA",
    "CORA_METATTACK",
    "CORA_ML",
    "CORNELL",
    "CSBM",
    "CSBM_HETEROPHILIC",
    "CSBM_HOMOPHILIC",
    "CSBM_MIXED",
    "CSBM_MIXED_HARD",
    "Counts",
    "DBLP",
    "DD",
    "DIGITS_KNN",
    "DatasetSpec",
    "ENZYMES",
    "FILMTRUST",
    "Files",
    "FixedSplit",
    "GOWALLA",
    "Graphs",
    "IMDB_BINARY",
    "IMDB_MULTI",
    "INTERACTION_SPLITS",
    "InteractionContent",
    "InteractionCounts",
    "InteractionSpec",
    "InteractionSplit",
    "Interactions",
    "JOHNS_HOPKINS55",
    "KARATE",
    "LASTFM",
    "Layout",
    "MINESWEEPER",
    "ML_100K",
    "ML_1M",
    "MUTAG",
    "MixedCSBM",
    "NCI1",
    "OGBG_MOLHIV",
    "PLANTED_FACTORS",
    "PROTEINS",
    "PUBMED",
    "PUBMED_METATTACK",
    "PYTHON_IMPORTS",
    "PYTHON_PACKAGES",
    "PYTHON_STDLIB",
    "Poison",
    "QUESTIONS",
    "RANDOM",
    "REDDIT_BINARY",
    "REED98",
    "ROMAN_EMPIRE",
    "RawFile",
    "SQUIRREL",
    "SQUIRREL_FILTERED",
    "Split",
    "TEXAS",
    "TOLOKERS",
    "Triple",
    "WEBKB_TEXT",
    "WIKI_CS",
    "WISCONSIN",
    "all_datasets",
    "atom_categories",
    "cache_folder",
    "card",
    "csbm",
    "describe_mismatch",
    "digits_knn",
    "draw",
    "draw_interactions",
    "find_dataset",
    "find_files",
    "find_interactions",
    "from_adjacency_text",
    "from_csv",
    "from_frame",
    "from_inter",
    "from_lenskit",
    "from_ogb",
    "from_parquet",
    "geom_gcn_split",
    "given",
    "import_pairs",
    "index",
    "interaction_fingerprint",
    "is_random",
    "karate",
    "labels",
    "load",
    "load_interactions",
    "locate",
    "mirrors",
    "mixed_csbm",
    "obtain",
    "ogb_safe_load",
    "open_dataset",
    "open_interactions",
    "planted_factors",
    "raw_file",
    "read_arrays",
    "read_masks",
    "read_pickle",
    "read_table",
    "set_aside",
    "sha256",
    "source_graph",
    "split_names",
    "split_words",
    "tf_idf",
    "to_inter",
    "word_pieces",
    "write_cards",
]
