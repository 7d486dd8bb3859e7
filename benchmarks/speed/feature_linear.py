"""Time of the sparse against the dense product with mostly-zero features, forward and backward, in one process.

Prints the ratio dense / sparse by density and width: above 1 the sparse way is faster. Says where the switch in
`graphcl.ops.linear` belongs on a machine: dense features are converted at each call, so that the column *each call*
decides; *once* is what features gain that were converted before training. *New zeros* also has a pattern at each call
that is not among those remembered, as dense views with masked entries have.
"""

import statistics
import time
import warnings
from collections.abc import Callable
from itertools import count

import torch
from torch import Tensor

from graphcl.ops.linear import dense_linear, feature_linear

Product = Callable[[Tensor, Tensor], Tensor]

DENSITIES = (0.005, 0.0127, 0.025, 0.05, 0.1, 0.2)
WIDTHS = (128, 512)
NODES, FEATURES = 2708, 1433
REPEATS = 9


def seconds(product: Product, x: Tensor, weight: Tensor) -> float:
    """Of one forward and backward pass."""
    weight.grad = None
    began = time.perf_counter()
    product(x, weight).sum().backward()
    return time.perf_counter() - began


def converted(x: Tensor, weight: Tensor) -> Tensor:
    """The sparse way from dense features, whatever their density."""
    return feature_linear(x.to_sparse_csr(), weight)


def ratios(density: float, width: int, generator: torch.Generator) -> dict[str, float]:
    """Median ratio by column; the ways alternate, so that a drifting machine slows all."""
    # more than the patterns remembered, and taken in turn, so that none is met again in time
    drawn = [(torch.rand(NODES, FEATURES, generator=generator) < density).float() for _ in range(6)]
    weight = torch.randn(width, FEATURES, generator=generator, requires_grad=True)
    x, sparse, turn = drawn[0], drawn[0].to_sparse_csr(), count(1)
    found: dict[str, list[float]] = {"once": [], "each call": [], "new zeros": []}
    for number in range(REPEATS + 1):
        dense = seconds(dense_linear, x, weight)
        # not counted: the new zeros of earlier passes may have taken the place of this pattern
        seconds(feature_linear, sparse, weight)
        taken = {
            "once": seconds(feature_linear, sparse, weight),
            "each call": seconds(converted, x, weight),
            "new zeros": seconds(converted, drawn[1 + next(turn) % 5], weight),
        }
        for name, value in taken.items():
            if number:
                found[name].append(dense / value)
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> None:
    """Print a line per density."""
    warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
    generator = torch.Generator().manual_seed(0)
    print(
        f"{torch.get_num_threads()} threads; ratio dense / sparse, median of {REPEATS} alternating passes, "
        f"N = {NODES}, F = {FEATURES}"
    )
    for density in DENSITIES:
        cells = []
        for width in WIDTHS:
            found = ratios(density, width, generator)
            cells.append(f"width {width}: " + ", ".join(f"{name} {value:5.2f}" for name, value in found.items()))
        print(f"density {density:6.4f}  " + "   ".join(cells))


if __name__ == "__main__":
    main()
