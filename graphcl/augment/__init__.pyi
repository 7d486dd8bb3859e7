"""Written by tools/stubs.py; do not edit."""

from .adaptive import AdaptiveEdgeDropout as AdaptiveEdgeDropout
from .adaptive import AdaptiveFeatureMask as AdaptiveFeatureMask
from .adaptive import Centrality as Centrality
from .augmenter import Augmentation as Augmentation
from .augmenter import Augmenter as Augmenter
from .composition import Chain as Chain
from .composition import OneOf as OneOf
from .composition import Ramp as Ramp
from .composition import Scheduled as Scheduled
from .composition import Sometimes as Sometimes
from .diffusion import HeatDiffusion as HeatDiffusion
from .diffusion import MarkovDiffusion as MarkovDiffusion
from .diffusion import PPRDiffusion as PPRDiffusion
from .edge_dropper import LearnedEdgeDropout as LearnedEdgeDropout
from .edges import EdgeAddition as EdgeAddition
from .edges import EdgeDropout as EdgeDropout
from .edges import EdgeRewiring as EdgeRewiring
from .edges import MessageDropout as MessageDropout
from .emphasis import HighFrequencyEmphasis as HighFrequencyEmphasis
from .emphasis import LowFrequencyEmphasis as LowFrequencyEmphasis
from .error_passing import ErrorPassingEdgeAddition as ErrorPassingEdgeAddition
from .error_passing import ErrorPassingEdgeDropout as ErrorPassingEdgeDropout
from .features import AtomMask as AtomMask
from .features import FeatureDropout as FeatureDropout
from .features import FeatureMask as FeatureMask
from .features import FeatureMixup as FeatureMixup
from .features import FeatureSharpening as FeatureSharpening
from .features import FeatureShuffle as FeatureShuffle
from .features import FeatureSmoothing as FeatureSmoothing
from .features import GaussianNoise as GaussianNoise
from .features import NodeFeatureMask as NodeFeatureMask
from .features import SignAlignedNoise as SignAlignedNoise
from .gates import EdgeView as EdgeView
from .gates import PairScore as PairScore
from .learned import Direction as Direction
from .learned import LearnedAugmenter as LearnedAugmenter
from .learned import LearnedChain as LearnedChain
from .learned import LearnedView as LearnedView
from .learned import reverse_gradient as reverse_gradient
from .local import CommunitySubgraph as CommunitySubgraph
from .local import PPRSubgraph as PPRSubgraph
from .low_rank import LowRankView as LowRankView
from .low_rank import low_rank_factors as low_rank_factors
from .nodes import EgoNet as EgoNet
from .nodes import HalfHop as HalfHop
from .nodes import NodeDropout as NodeDropout
from .nodes import RandomWalkSubgraph as RandomWalkSubgraph
from .policy import AugmentationPolicy as AugmentationPolicy
from .policy import PolicyView as PolicyView
from .positive_noise import LearnedEdgeNoise as LearnedEdgeNoise
from .positive_noise import LearnedFeatureNoise as LearnedFeatureNoise
from .similarity import HeterophilicEdges as HeterophilicEdges
from .similarity import HomophilicEdges as HomophilicEdges
from .similarity import JaccardEdges as JaccardEdges
from .similarity import KNNGraph as KNNGraph
from .similarity import edge_jaccard as edge_jaccard
from .similarity import edge_similarity as edge_similarity
from .spectrum import SpectralPerturbation as SpectralPerturbation
from .spectrum import SpectralShift as SpectralShift

__all__ = [
    "AdaptiveEdgeDropout",
    "AdaptiveFeatureMask",
    "AtomMask",
    "Augmentation",
    "AugmentationPolicy",
    "Augmenter",
    "Centrality",
    "Chain",
    "CommunitySubgraph",
    "Direction",
    "EdgeAddition",
    "EdgeDropout",
    "EdgeRewiring",
    "EdgeView",
    "EgoNet",
    "ErrorPassingEdgeAddition",
    "ErrorPassingEdgeDropout",
    "FeatureDropout",
    "FeatureMask",
    "FeatureMixup",
    "FeatureSharpening",
    "FeatureShuffle",
    "FeatureSmoothing",
    "GaussianNoise",
    "HalfHop",
    "HeatDiffusion",
    "HeterophilicEdges",
    "HighFrequencyEmphasis",
    "HomophilicEdges",
    "JaccardEdges",
    "KNNGraph",
    "LearnedAugmenter",
    "LearnedChain",
    "LearnedEdgeDropout",
    "LearnedEdgeNoise",
    "LearnedFeatureNoise",
    "LearnedView",
    "LowFrequencyEmphasis",
    "LowRankView",
    "MarkovDiffusion",
    "MessageDropout",
    "NodeDropout",
    "NodeFeatureMask",
    "OneOf",
    "PPRDiffusion",
    "PPRSubgraph",
    "PairScore",
    "PolicyView",
    "Ramp",
    "RandomWalkSubgraph",
    "Scheduled",
    "SignAlignedNoise",
    "Sometimes",
    "SpectralPerturbation",
    "SpectralShift",
    "edge_jaccard",
    "edge_similarity",
    "low_rank_factors",
    "reverse_gradient",
]
