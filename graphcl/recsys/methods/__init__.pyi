"""Written by tools/stubs.py; do not edit."""

from .direct_au import DirectAu as DirectAu
from .ease import EASE as EASE
from .ease import inverted as inverted
from .gf_cf import GFCF as GFCF
from .hccf import Hccf as Hccf
from .ials import IALS as IALS
from .ials import least_squares as least_squares
from .knn import ItemKNN as ItemKNN
from .knn import UserKNN as UserKNN
from .light_gcl import LightGcl as LightGcl
from .light_gcn import LightGcn as LightGcn
from .matrix_factorisation import MfBpr as MfBpr
from .ncl import Ncl as Ncl
from .popularity import Popularity as Popularity
from .rlm_rec import RlmRec as RlmRec
from .rp3beta import RP3Beta as RP3Beta
from .sgl import Sgl as Sgl
from .sim_gcl import SimGcl as SimGcl
from .slim import SLIM as SLIM
from .xsim_gcl import XSimGcl as XSimGcl

__all__ = [
    "DirectAu",
    "EASE",
    "GFCF",
    "Hccf",
    "IALS",
    "ItemKNN",
    "LightGcl",
    "LightGcn",
    "MfBpr",
    "Ncl",
    "Popularity",
    "RP3Beta",
    "RlmRec",
    "SLIM",
    "Sgl",
    "SimGcl",
    "UserKNN",
    "XSimGcl",
    "inverted",
    "least_squares",
]
