"""Written by tools/stubs.py; do not edit."""

from .gat import GAT as GAT
from .gat import edge_attention as edge_attention
from .gat import looped_pattern as looped_pattern
from .gcn import ACTIVATIONS as ACTIVATIONS
from .gcn import Activation as Activation
from .gcn import GCN as GCN
from .gcn import Norm as Norm
from .gcn import activation as activation
from .gcn import normalisation as normalisation
from .gin import GIN as GIN
from .gin import Outputs as Outputs
from .gin import glorot_linears as glorot_linears
from .mlp import MLP as MLP
from .moving_average import follow as follow
from .moving_average import momentum_at as momentum_at
from .pooling import Readout as Readout
from .pooling import readout as readout
from .residual import ResidualMLP as ResidualMLP

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "GAT",
    "GCN",
    "GIN",
    "MLP",
    "Norm",
    "Outputs",
    "Readout",
    "ResidualMLP",
    "activation",
    "edge_attention",
    "follow",
    "glorot_linears",
    "looped_pattern",
    "momentum_at",
    "normalisation",
    "readout",
]
