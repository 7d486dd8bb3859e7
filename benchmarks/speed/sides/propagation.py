"""One product with the normalised adjacency and its gradient, the operator being given: three ways to gather."""

from collections.abc import Callable
from typing import Any

import torch
from harness import report
from inputs import arguments, difference, read_graph
from torch import Tensor
from torch_geometric.nn import SimpleConv
from torch_geometric.nn.conv.gcn_conv import gcn_norm
from torch_geometric.utils import to_torch_csr_tensor

from graphcl.ops.propagate import gcn_operator, multiply


class CsrProduct(torch.autograd.Function):
    """A CSR product whose gradient is one too: autograd's own would turn the matrix at every step."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, turned: Tensor, x: Tensor) -> Tensor:
        """The product."""
        ctx.turned = turned
        return matrix @ x

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[None, None, Tensor]:
        """The product with the transpose."""
        return None, None, ctx.turned @ upstream


def prepared(way: str, edge_index: Tensor, nodes: int) -> Callable[[Tensor], Tensor]:
    """The product as a function of the node vectors."""
    if way == "graphcl":
        pattern, values = gcn_operator(edge_index, nodes)
        return lambda x: multiply(pattern, values, x)
    edges, weight = gcn_norm(edge_index, None, nodes, dtype=torch.float32)
    if way == "gather-scatter":
        convolution = SimpleConv(aggr="sum")
        return lambda x: convolution(x, edges, weight)
    matrix = to_torch_csr_tensor(edges.flip(0), weight, (nodes, nodes))
    turned = to_torch_csr_tensor(edges, weight, (nodes, nodes))
    return lambda x: CsrProduct.apply(matrix, turned, x)


def main() -> None:
    """Measure one way of computing it."""
    parser = arguments()
    parser.add_argument("way", choices=("gather-scatter", "torch-csr", "graphcl"))
    parser.add_argument("graph")
    parser.add_argument("--width", type=int, default=256)
    asked = parser.parse_args()
    torch.manual_seed(0)
    data = read_graph(asked.graph, features=False)
    x = torch.randn(data.num_nodes, asked.width, requires_grad=True)
    upstream = torch.randn(data.num_nodes, asked.width)
    product = prepared(asked.way, data.edge_index, data.num_nodes)

    def step() -> Tensor:
        x.grad = None
        out = product(x)
        out.backward(upstream)
        return out.detach()

    def note() -> str:
        if asked.way == "gather-scatter":
            return ""
        out, gradient = step(), x.grad
        again = x.detach().requires_grad_()
        expected = prepared("gather-scatter", data.edge_index, data.num_nodes)(again)
        expected.backward(upstream)
        return f"output off by {difference(out, expected):.1e}, gradient by {difference(gradient, again.grad):.1e}"

    report(step, asked.warmup, asked.repeats, note)


if __name__ == "__main__":
    main()
