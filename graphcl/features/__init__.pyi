"""Written by tools/stubs.py; do not edit."""

from .causal import CausalEncoder as CausalEncoder
from .causal import TokenPooling as TokenPooling
from .decoupling import Decoupled as Decoupled
from .decoupling import Decoupler as Decoupler
from .decoupling import Extractive as Extractive
from .decoupling import RandomSplit as RandomSplit
from .decoupling import Relation as Relation
from .decoupling import view_rows as view_rows
from .endpoint import Endpoint as Endpoint
from .endpoint import EndpointClient as EndpointClient
from .endpoint import EndpointEncoder as EndpointEncoder
from .endpoint import Spending as Spending
from .endpoint import UnusableAnswersError as UnusableAnswersError
from .feature_set import FeatureSet as FeatureSet
from .feature_set import Spread as Spread
from .files import FeatureFile as FeatureFile
from .files import read_features as read_features
from .judges import CausalDecoupler as CausalDecoupler
from .judges import ChatDecoupler as ChatDecoupler
from .judges import prompt_version as prompt_version
from .row_cache import CacheState as CacheState
from .row_cache import RowCache as RowCache
from .row_cache import cache_states as cache_states
from .row_cache import prune_cache as prune_cache
from .row_cache import row_key as row_key
from .row_cache import verify_cache as verify_cache
from .sentence_encoders import FromFolder as FromFolder
from .sentence_encoders import MiniLM as MiniLM
from .sentence_encoders import SentenceEncoder as SentenceEncoder
from .sentence_encoders import as_wanted as as_wanted
from .sentence_encoders import computed_on as computed_on
from .sentence_encoders import revision_of as revision_of
from .sentences import split_sentences as split_sentences
from .source import FeatureProgress as FeatureProgress
from .source import FeatureSource as FeatureSource
from .source import FeatureWatch as FeatureWatch
from .source import texts_of as texts_of
from .source import with_features as with_features
from .text_encoder import Encoded as Encoded
from .text_encoder import TextEncoder as TextEncoder
from .text_encoder import Unit as Unit
from .text_encoder import sentences_of as sentences_of
from .vocabulary import BagOfWords as BagOfWords
from .vocabulary import Lsa as Lsa
from .vocabulary import TfIdf as TfIdf

__all__ = [
    "BagOfWords",
    "CacheState",
    "CausalDecoupler",
    "CausalEncoder",
    "ChatDecoupler",
    "Decoupled",
    "Decoupler",
    "Encoded",
    "Endpoint",
    "EndpointClient",
    "EndpointEncoder",
    "Extractive",
    "FeatureFile",
    "FeatureProgress",
    "FeatureSet",
    "FeatureSource",
    "FeatureWatch",
    "FromFolder",
    "Lsa",
    "MiniLM",
    "RandomSplit",
    "Relation",
    "RowCache",
    "SentenceEncoder",
    "Spending",
    "Spread",
    "TextEncoder",
    "TfIdf",
    "TokenPooling",
    "Unit",
    "UnusableAnswersError",
    "as_wanted",
    "cache_states",
    "computed_on",
    "prompt_version",
    "prune_cache",
    "read_features",
    "revision_of",
    "row_key",
    "sentences_of",
    "split_sentences",
    "texts_of",
    "verify_cache",
    "view_rows",
    "with_features",
]
