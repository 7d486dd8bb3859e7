"""An epoch of GRACE with PyGCL's public parts, put together as its documentation and GRACE example do.

The rates are shares removed on both sides. PyGCL's `FeatureDropout` reads its rate as the share kept, but GRACE does
not use it: `FeatureMasking` and `EdgeRemoving` remove the share they are given. Another difference is left as it is,
because it changes no amount of work: PyGCL counts a node's own embedding among the negatives of its own view, so its
loss is a little higher.
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from harness import report
from inputs import arguments, read_graph
from torch import Tensor, nn
from torch_geometric.nn import GCNConv
from torch_geometric.transforms import NormalizeFeatures

# after PyG, which would otherwise take the shims for the real libraries and turn to them for its own work
sys.path.append(str(Path(__file__).parent / "shims"))

import GCL.augmentors as A
import GCL.losses as L
from GCL.models import DualBranchContrast


class Model(nn.Module):
    """Two graph convolutions with ReLU and the projection head."""

    def __init__(self, features: int, hidden: int, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([GCNConv(features, hidden), GCNConv(hidden, width)])
        self.fc1 = nn.Linear(width, width)
        self.fc2 = nn.Linear(width, width)

    def encode(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None) -> Tensor:
        """Node embeddings."""
        for layer in self.layers:
            x = F.relu(layer(x, edge_index, edge_weight))
        return x

    def project(self, h: Tensor) -> Tensor:
        """What the loss compares."""
        return self.fc2(F.elu(self.fc1(h)))


def main() -> None:
    """Measure it on a graph file; sizes and rates are those of `sides/graphcl_grace.py`."""
    parser = arguments()
    parser.add_argument("graph")
    parser.add_argument("--third-pass", action="store_true", help="encode the unchanged graph too, as the example does")
    asked = parser.parse_args()
    torch.manual_seed(0)
    data = NormalizeFeatures()(read_graph(asked.graph))
    views = [A.Compose([A.EdgeRemoving(pe=pe), A.FeatureMasking(pf=pf)]) for pe, pf in ((0.2, 0.3), (0.4, 0.4))]
    model = Model(data.num_features, 512, 256)
    contrast = DualBranchContrast(loss=L.InfoNCE(tau=0.4), mode="L2L", intraview_negs=True)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    losses: list[float] = []

    def epoch() -> None:
        model.train()
        optimiser.zero_grad()
        drawn = [view(data.x, data.edge_index, None) for view in views]
        if asked.third_pass:
            _ = model.encode(data.x, data.edge_index, None)
        h1, h2 = (model.project(model.encode(*view)) for view in drawn)
        loss = contrast(h1, h2)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())

    report(epoch, asked.warmup, asked.repeats, lambda: f"loss {losses[0]:.4f} → {losses[-1]:.4f}")


if __name__ == "__main__":
    main()
