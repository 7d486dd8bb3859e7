"""Written by tools/stubs.py; do not edit."""

from .asymmetric import AsymmetricInfoNCE as AsymmetricInfoNCE
from .asymmetric import asymmetric_info_nce as asymmetric_info_nce
from .contrast import DebiasedInfoNCE as DebiasedInfoNCE
from .contrast import DecoupledInfoNCE as DecoupledInfoNCE
from .contrast import HardInfoNCE as HardInfoNCE
from .contrast import InfoNCE as InfoNCE
from .contrast import NTXent as NTXent
from .contrast import decoupled_info_nce as decoupled_info_nce
from .contrast import hard_info_nce as hard_info_nce
from .contrast import info_nce as info_nce
from .contrast import sampled_info_nce as sampled_info_nce
from .cosine import BootstrapCosine as BootstrapCosine
from .cosine import ScaledCosineError as ScaledCosineError
from .cosine import bootstrap_cosine as bootstrap_cosine
from .cosine import scaled_cosine_error as scaled_cosine_error
from .hypersphere import AlignmentUniformity as AlignmentUniformity
from .hypersphere import alignment as alignment
from .hypersphere import uniformity as uniformity
from .jensen_shannon import NodeGraphJSD as NodeGraphJSD
from .jensen_shannon import NodeNodeJSD as NodeNodeJSD
from .jensen_shannon import node_graph_jsd as node_graph_jsd
from .jensen_shannon import node_node_jsd as node_node_jsd
from .margin import BoundedTriplet as BoundedTriplet
from .margin import TripletMargin as TripletMargin
from .margin import distance_bound as distance_bound
from .margin import row_distances as row_distances
from .margin import triplet_margin as triplet_margin
from .mixture import BetaMixture as BetaMixture
from .mixture import MixtureInfoNCE as MixtureInfoNCE
from .mixture import fit_beta_mixture as fit_beta_mixture
from .mixture import mixture_info_nce as mixture_info_nce
from .mixture import sampled_similarities as sampled_similarities
from .multi_positive import MultiPositiveNCE as MultiPositiveNCE
from .multi_positive import multi_positive_nce as multi_positive_nce
from .node_graph import NodeGraphBCE as NodeGraphBCE
from .node_graph import node_graph_bce as node_graph_bce
from .objective import Objective as Objective
from .redundancy import BarlowTwins as BarlowTwins
from .redundancy import CCA as CCA
from .redundancy import VICReg as VICReg
from .redundancy import barlow_twins as barlow_twins
from .redundancy import cca as cca
from .redundancy import vicreg as vicreg
from .spectral import SpectralContrast as SpectralContrast
from .spectral import spectral_contrast as spectral_contrast
from .supervised import SupCon as SupCon
from .supervised import sup_con as sup_con

__all__ = [
    "AlignmentUniformity",
    "AsymmetricInfoNCE",
    "BarlowTwins",
    "BetaMixture",
    "BootstrapCosine",
    "BoundedTriplet",
    "CCA",
    "DebiasedInfoNCE",
    "DecoupledInfoNCE",
    "HardInfoNCE",
    "InfoNCE",
    "MixtureInfoNCE",
    "MultiPositiveNCE",
    "NTXent",
    "NodeGraphBCE",
    "NodeGraphJSD",
    "NodeNodeJSD",
    "Objective",
    "ScaledCosineError",
    "SpectralContrast",
    "SupCon",
    "TripletMargin",
    "VICReg",
    "alignment",
    "asymmetric_info_nce",
    "barlow_twins",
    "bootstrap_cosine",
    "cca",
    "decoupled_info_nce",
    "distance_bound",
    "fit_beta_mixture",
    "hard_info_nce",
    "info_nce",
    "mixture_info_nce",
    "multi_positive_nce",
    "node_graph_bce",
    "node_graph_jsd",
    "node_node_jsd",
    "row_distances",
    "sampled_info_nce",
    "sampled_similarities",
    "scaled_cosine_error",
    "spectral_contrast",
    "sup_con",
    "triplet_margin",
    "uniformity",
    "vicreg",
]
