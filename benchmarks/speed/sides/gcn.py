"""Forward and backward pass of a two-layer GCN, by PyG's ``GCNConv`` in its three usual ways, or by graphcl."""

import torch
import torch.nn.functional as F
from harness import report
from inputs import arguments, difference, read_graph
from torch import Tensor, nn
from torch_geometric.nn import GCNConv
from torch_geometric.nn.conv.gcn_conv import gcn_norm
from torch_geometric.utils import to_torch_csr_tensor

from graphcl.encoders import GCN
from graphcl.ops.linear import sparse_features

DIMS = (512, 256)


class PygGCN(nn.Module):
    """Graph convolutions with ReLU between them; names and shapes of the weights are those of graphcl's `GCN`."""

    def __init__(self, features: int, **options: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList([GCNConv(features, DIMS[0], **options), GCNConv(*DIMS, **options)])

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Embed the nodes."""
        first, second = self.layers
        return second(F.relu(first(x, edge_index)), edge_index)


def prepared(way: str, x: Tensor, edge_index: Tensor) -> tuple[nn.Module, Tensor, Tensor]:
    """The encoder, and features and edges in the form it takes them; what is done once per graph is done here."""
    features = x.size(1)
    if way == "pyg-sparse":
        edges, weight = gcn_norm(edge_index, None, x.size(0), dtype=x.dtype)
        operator = to_torch_csr_tensor(edges.flip(0), weight, (x.size(0), x.size(0)))
        return PygGCN(features, normalize=False), x, operator
    if way.startswith("pyg"):
        return PygGCN(features, cached=way == "pyg-cached"), x, edge_index
    return GCN(features, DIMS), sparse_features(x) if way == "graphcl" else x, edge_index


def main() -> None:
    """Measure one way of computing it; all start with the same weights."""
    parser = arguments(warmup=1, repeats=3)
    parser.add_argument("way", choices=("pyg", "pyg-cached", "pyg-sparse", "graphcl", "graphcl-dense-x"))
    parser.add_argument("graph")
    asked = parser.parse_args()
    torch.manual_seed(0)
    data = read_graph(asked.graph)
    weights = PygGCN(data.num_features).state_dict()
    model, x, edges = prepared(asked.way, data.x, data.edge_index)
    model.load_state_dict(weights)
    del data.x  # where it was converted, it need not stay

    def step() -> None:
        model.zero_grad()
        model(x, edges).square().mean().backward()

    @torch.no_grad()
    def note() -> str:
        if asked.way == "pyg":
            return ""
        plain = PygGCN(x.size(1))
        plain.load_state_dict(weights)
        return f"output off by {difference(model(x, edges), plain(read_graph(asked.graph).x, data.edge_index)):.1e}"

    report(step, asked.warmup, asked.repeats, note)


if __name__ == "__main__":
    main()
