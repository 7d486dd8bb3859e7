"""Written by tools/stubs.py; do not edit."""

from .adversary import Adversary as Adversary
from .adversary import Loss as Loss
from .adversary import gradient_of as gradient_of
from .adversary import value_of as value_of
from .budget import Budget as Budget
from .budget import Edits as Edits
from .clga import Clga as Clga
from .edge_space import EdgeSpace as EdgeSpace
from .features import FeatureFlips as FeatureFlips
from .features import FeaturePgd as FeaturePgd
from .features import two_values as two_values
from .random_edits import Dice as Dice
from .random_edits import RandomFeatureFlips as RandomFeatureFlips
from .random_edits import RandomFlips as RandomFlips
from .spectral_energy import Band as Band
from .spectral_energy import SpectralEnergy as SpectralEnergy
from .topology import Grbcd as Grbcd
from .topology import GreedyFlips as GreedyFlips
from .topology import PgdTopology as PgdTopology
from .topology import Prbcd as Prbcd
from .topology import SEARCHED as SEARCHED
from .topology import box_simplex as box_simplex

__all__ = [
    "Adversary",
    "Band",
    "Budget",
    "Clga",
    "Dice",
    "EdgeSpace",
    "Edits",
    "FeatureFlips",
    "FeaturePgd",
    "Grbcd",
    "GreedyFlips",
    "Loss",
    "PgdTopology",
    "Prbcd",
    "RandomFeatureFlips",
    "RandomFlips",
    "SEARCHED",
    "SpectralEnergy",
    "box_simplex",
    "gradient_of",
    "two_values",
    "value_of",
]
