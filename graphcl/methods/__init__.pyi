"""Written by tools/stubs.py; do not edit."""

from .ad_gcl import AdGcl as AdGcl
from .ad_gcl import AdGclMethod as AdGclMethod
from .afgrl import Afgrl as Afgrl
from .afgrl import AfgrlMethod as AfgrlMethod
from .ariel import Ariel as Ariel
from .ariel import ArielMethod as ArielMethod
from .aspect import Aspect as Aspect
from .aspect import AspectBlock as AspectBlock
from .aspect import AspectChannel as AspectChannel
from .aspect import AspectMethod as AspectMethod
from .aspect_s import AspectS as AspectS
from .aspect_s import AspectSMethod as AspectSMethod
from .bgrl import Bgrl as Bgrl
from .bgrl import BgrlMethod as BgrlMethod
from .cca_ssg import CcaSsg as CcaSsg
from .controls import Adjacency as Adjacency
from .controls import Majority as Majority
from .controls import Ppr as Ppr
from .controls import Propagated as Propagated
from .controls import PropagatedHigh as PropagatedHigh
from .controls import RandomGin as RandomGin
from .controls import RandomInit as RandomInit
from .controls import Raw as Raw
from .controls import Sharpened as Sharpened
from .controls import Structure as Structure
from .defences import Knn as Knn
from .defences import KnnJaccardPpr as KnnJaccardPpr
from .defences import KnnPpr as KnnPpr
from .defences import along_neighbours as along_neighbours
from .defences import idf_weighted as idf_weighted
from .defences import rarity as rarity
from .defences import robust_smooth as robust_smooth
from .dgi import Dgi as Dgi
from .dgi import DgiMethod as DgiMethod
from .epagcl import Epagcl as Epagcl
from .gca import Gca as Gca
from .gcl_span import GclSpan as GclSpan
from .gcl_span import GclSpanMethod as GclSpanMethod
from .grace import Grace as Grace
from .graph_acl import GraphAcl as GraphAcl
from .graph_acl import GraphAclMethod as GraphAclMethod
from .graph_barlow_twins import GraphBarlowTwins as GraphBarlowTwins
from .graph_cl import GraphCl as GraphCl
from .graph_mae import GraphMae as GraphMae
from .graph_mae import GraphMaeMethod as GraphMaeMethod
from .graph_vicreg import GraphVicreg as GraphVicreg
from .greet import Greet as Greet
from .greet import GreetMethod as GreetMethod
from .hlcl import Hlcl as Hlcl
from .hlcl import HlclMethod as HlclMethod
from .hlcl import split_edges as split_edges
from .info_graph import InfoGraph as InfoGraph
from .info_graph import InfoGraphMethod as InfoGraphMethod
from .joao import Joao as Joao
from .joao import JoaoMethod as JoaoMethod
from .mvgrl import Mvgrl as Mvgrl
from .mvgrl import MvgrlMethod as MvgrlMethod
from .mvgrl_graph import MvgrlGraph as MvgrlGraph
from .mvgrl_graph import MvgrlGraphMethod as MvgrlGraphMethod
from .polygcl import Polygcl as Polygcl
from .polygcl import PolygclMethod as PolygclMethod
from .polygcl import PolygclReadout as PolygclReadout
from .pro_gcl import ProGcl as ProGcl
from .pro_gcl import ProGclMethod as ProGclMethod
from .recipe import FeatureScale as FeatureScale
from .recipe import Method as Method
from .recipe import Paper as Paper
from .recipe import Recipe as Recipe
from .recipe import preset_for as preset_for
from .s3gcl import S3gcl as S3gcl
from .s3gcl import S3gclMethod as S3gclMethod
from .sdm_scr import SdmScr as SdmScr
from .sdm_scr import SdmScrMethod as SdmScrMethod
from .sdm_scr import TextView as TextView
from .sim_grace import SimGrace as SimGrace
from .sim_grace import SimGraceMethod as SimGraceMethod
from .sp_gcl import SpGcl as SpGcl
from .sp_gcl import SpGclMethod as SpGclMethod
from .sugrl import Sugrl as Sugrl
from .sugrl import SugrlMethod as SugrlMethod
from .supervised import SupervisedGcn as SupervisedGcn
from .supervised import SupervisedGcnJaccard as SupervisedGcnJaccard
from .supervised import SupervisedMethod as SupervisedMethod
from .supervised import SupervisedMlp as SupervisedMlp
from .two_view import TwoView as TwoView
from .two_view import encode as encode

__all__ = [
    "AdGcl",
    "AdGclMethod",
    "Adjacency",
    "Afgrl",
    "AfgrlMethod",
    "Ariel",
    "ArielMethod",
    "Aspect",
    "AspectBlock",
    "AspectChannel",
    "AspectMethod",
    "AspectS",
    "AspectSMethod",
    "Bgrl",
    "BgrlMethod",
    "CcaSsg",
    "Dgi",
    "DgiMethod",
    "Epagcl",
    "FeatureScale",
    "Gca",
    "GclSpan",
    "GclSpanMethod",
    "Grace",
    "GraphAcl",
    "GraphAclMethod",
    "GraphBarlowTwins",
    "GraphCl",
    "GraphMae",
    "GraphMaeMethod",
    "GraphVicreg",
    "Greet",
    "GreetMethod",
    "Hlcl",
    "HlclMethod",
    "InfoGraph",
    "InfoGraphMethod",
    "Joao",
    "JoaoMethod",
    "Knn",
    "KnnJaccardPpr",
    "KnnPpr",
    "Majority",
    "Method",
    "Mvgrl",
    "MvgrlGraph",
    "MvgrlGraphMethod",
    "MvgrlMethod",
    "Paper",
    "Polygcl",
    "PolygclMethod",
    "PolygclReadout",
    "Ppr",
    "ProGcl",
    "ProGclMethod",
    "Propagated",
    "PropagatedHigh",
    "RandomGin",
    "RandomInit",
    "Raw",
    "Recipe",
    "S3gcl",
    "S3gclMethod",
    "SdmScr",
    "SdmScrMethod",
    "Sharpened",
    "SimGrace",
    "SimGraceMethod",
    "SpGcl",
    "SpGclMethod",
    "Structure",
    "Sugrl",
    "SugrlMethod",
    "SupervisedGcn",
    "SupervisedGcnJaccard",
    "SupervisedMethod",
    "SupervisedMlp",
    "TextView",
    "TwoView",
    "along_neighbours",
    "encode",
    "idf_weighted",
    "preset_for",
    "rarity",
    "robust_smooth",
    "split_edges",
]
