"""Time of the sparse against the dense product with mostly-zero features, forward and backward, in one process.

Prints the ratio dense / sparse by density and width: above 1 the sparse way is faster. Says where the switch in
`graphcl.ops.linear` belongs on a machine.
"""

import statistics
import time

import torch
from torch import Tensor

from graphcl.ops.linear import _SparseProduct, feature_linear_reference


def seconds(product: object, x: Tensor, weight: Tensor) -> float:
    """Of one forward and backward pass."""
    began = time.perf_counter()
    product(x, weight).sum().backward()  # type: ignore[operator]
    return time.perf_counter() - began


def main() -> None:
    """Alternate the two, so that a drifting machine slows both."""
    generator = torch.Generator().manual_seed(0)
    print(f"{torch.get_num_threads()} threads; median ratio dense / sparse of 7 alternating passes, N = 2708, F = 1433")
    for density in (0.005, 0.0127, 0.05, 0.1, 0.2, 0.4):
        x = (torch.rand(2708, 1433, generator=generator) < density).float()
        cells = []
        for width in (128, 512):
            weight = torch.randn(width, 1433, generator=generator, requires_grad=True)
            ratios = [
                seconds(feature_linear_reference, x, weight) / seconds(_SparseProduct.apply, x, weight)
                for _ in range(8)
            ][1:]
            cells.append(f"width {width}: {statistics.median(ratios):5.2f}")
        print(f"density {density:6.4f}  " + "  ".join(cells))


if __name__ == "__main__":
    main()
