"""Loss and gradient of InfoNCE between two drawn views: textbook autograd over the dense matrix, or graphcl."""

import time
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from harness import report
from inputs import arguments, difference, views
from torch import Tensor

from graphcl.objectives import info_nce
from graphcl.ops.product import plain_product, product_for

Loss = Callable[[Tensor, Tensor], Tensor]

TEMPERATURE = 0.4
CHECKED = 4000
"""Nodes up to which the gradient is compared with that of the dense matrix in float64."""


def dense(a: Tensor, b: Tensor) -> Tensor:
    """The loss as it is commonly written; in place where autograd allows it, so that it is not made to look costly."""
    z = F.normalize(torch.cat([a, b]))
    scores = z @ z.T / TEMPERATURE
    scores.fill_diagonal_(-torch.inf)
    n = len(a)
    positive = torch.cat([scores.diagonal(n), scores.diagonal(-n)])
    return (scores.logsumexp(1) - positive).mean()


WAYS: dict[str, tuple[Loss, torch.dtype]] = {
    "dense": (dense, torch.float32),
    "graphcl": (partial(info_nce, temperature=TEMPERATURE), torch.float32),
    "graphcl-bf16": (partial(info_nce, temperature=TEMPERATURE, precision=torch.bfloat16), torch.bfloat16),
}
"""By name, the loss and the format of its products."""


def gradients(loss: Loss, a: Tensor, b: Tensor) -> None:
    """One unit of the work: the loss and its gradient in both views."""
    a.grad = b.grad = None
    loss(a, b).backward()


def error(a: Tensor, b: Tensor) -> float:
    """How far the gradients that both views hold are from those of the dense matrix in float64."""
    exact = [view.detach().double().requires_grad_() for view in (a, b)]
    gradients(dense, exact[0], exact[1])
    return difference(torch.cat([a.grad, b.grad]), torch.cat([exact[0].grad, exact[1].grad]))


def rate(dtype: torch.dtype, width: int, tile: int = 512) -> float:
    """Operations per second of the machine's faster matrix library on tiles that stay in the cache."""
    x = torch.randn(tile, width).to(dtype)
    best = 0.0
    for product in {plain_product, product_for(x)}:
        for _ in range(20):
            began = time.perf_counter()
            for _ in range(10):
                product(x, x)
            best = max(best, 10 * 2 * tile * tile * width / (time.perf_counter() - began))
    return best


def floor(nodes: int, width: int, dtype: torch.dtype) -> str:
    """The time of two units, the scores of all pairs and their share of the gradient, at the machine's rate."""
    found = rate(dtype, width)
    work = 2 * 2 * (2 * nodes) ** 2 * width
    return f"floor {work / found:.2g} s at {found / 1e9:.0f} GFLOP/s (2 units)"


def main() -> None:
    """Measure one way of computing it."""
    parser = arguments()
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--width", type=int, default=256)
    asked = parser.parse_args()
    loss, dtype = WAYS[asked.way]
    a, b = views(asked.nodes, asked.width)

    def note() -> str:
        said = [f"gradient off by {error(a, b):.1e}"] if asked.nodes <= CHECKED else []
        return "; ".join(said if asked.way == "dense" else [*said, floor(asked.nodes, asked.width, dtype)])

    report(lambda: gradients(loss, a, b), asked.warmup, asked.repeats, note)


if __name__ == "__main__":
    main()
