"""Written by tools/stubs.py; do not edit."""

from .bank import FilterBank as FilterBank
from .basis import ChebyshevBasis as ChebyshevBasis
from .descriptors import DESCRIPTORS as DESCRIPTORS
from .descriptors import Descriptor as Descriptor
from .descriptors import local_descriptors as local_descriptors
from .descriptors import rayleigh_quotient as rayleigh_quotient
from .descriptors import return_probabilities as return_probabilities
from .filters import BernsteinFilter as BernsteinFilter
from .filters import ChebyshevFilter as ChebyshevFilter
from .filters import CosineHigh as CosineHigh
from .filters import CosineLow as CosineLow
from .filters import GPRFilter as GPRFilter
from .filters import HeatFilter as HeatFilter
from .filters import HighPass as HighPass
from .filters import InterpolatedFilter as InterpolatedFilter
from .filters import JacobiFilter as JacobiFilter
from .filters import LowPass as LowPass
from .filters import MonotoneHigh as MonotoneHigh
from .filters import MonotoneLow as MonotoneLow
from .filters import PPRFilter as PPRFilter
from .filters import SpectralFilter as SpectralFilter
from .gates import Gate as Gate
from .gates import GateInput as GateInput
from .gates import Gating as Gating
from .gates import GlobalGate as GlobalGate
from .gates import HardGate as HardGate
from .gates import NodeGate as NodeGate
from .gates import ReliabilityGate as ReliabilityGate
from .gates import SigmoidGate as SigmoidGate
from .gates import TopKGate as TopKGate
from .operator import spectral_operator as spectral_operator

__all__ = [
    "BernsteinFilter",
    "ChebyshevBasis",
    "ChebyshevFilter",
    "CosineHigh",
    "CosineLow",
    "DESCRIPTORS",
    "Descriptor",
    "FilterBank",
    "GPRFilter",
    "Gate",
    "GateInput",
    "Gating",
    "GlobalGate",
    "HardGate",
    "HeatFilter",
    "HighPass",
    "InterpolatedFilter",
    "JacobiFilter",
    "LowPass",
    "MonotoneHigh",
    "MonotoneLow",
    "NodeGate",
    "PPRFilter",
    "ReliabilityGate",
    "SigmoidGate",
    "SpectralFilter",
    "TopKGate",
    "local_descriptors",
    "rayleigh_quotient",
    "return_probabilities",
    "spectral_operator",
]
