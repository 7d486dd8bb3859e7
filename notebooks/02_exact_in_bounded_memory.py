# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exact, in bounded memory
#
# InfoNCE compares every node with every other. Written down as it is printed, that is a matrix of 2N × 2N numbers, several times
# over, and the reason why full-graph training runs out of memory. This notebook looks at the same loss computed tile by tile:
# that it is the same number, that it is closer to the truth where it matters, and what it costs as graphs grow.

# %%
import time

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

from graphcl.objectives import info_nce, sampled_info_nce


def dense_info_nce(a, b, temperature):
    """The loss as it is printed."""
    z = F.normalize(torch.cat([a, b]), dim=1)
    scores = z @ z.T / temperature
    n = len(a)
    positive = torch.cat([scores.diagonal(n), scores.diagonal(-n)])
    return (scores.fill_diagonal_(-torch.inf).logsumexp(1) - positive).mean()


def gradient(loss, a, b, *rest, **options):
    """Loss and gradient of both views, and the seconds they took."""
    a, b = a.clone().requires_grad_(), b.clone().requires_grad_()
    began = time.perf_counter()
    value = loss(a, b, *rest, **options)
    value.backward()
    return value.item(), torch.cat([a.grad, b.grad]), time.perf_counter() - began


generator = torch.Generator().manual_seed(0)

# %% [markdown]
# ## The same number, and closer to the truth
#
# As training succeeds, the two views of a node come together and its positive pair outweighs all negatives. The loss is then a
# small difference of large numbers, and so is its gradient. Here the views approach each other from left to right, at
# temperature 0.05; the truth is the dense loss in float64.

# %%
n, d, temperature = 300, 64, 0.05
base, other = torch.randn(2, n, d, generator=generator, dtype=torch.float64)
noises = [3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003]
errors: dict[str, list[float]] = {"dense, float32": [], "graphcl, float32": [], "graphcl, bfloat16": []}
for noise in noises:
    near = base + noise * other
    _, truth, _ = gradient(dense_info_nce, base, near, temperature)
    for name, loss, options in (
        ("dense, float32", dense_info_nce, {}),
        ("graphcl, float32", info_nce, {}),
        ("graphcl, bfloat16", info_nce, {"precision": torch.bfloat16}),
    ):
        _, found, _ = gradient(loss, base.float(), near.float(), temperature, **options)
        errors[name].append(float((found - truth).norm() / truth.norm()))

figure, axis = plt.subplots(figsize=(5, 3.2))
for name, values in errors.items():
    axis.loglog(noises, values, "o-", label=name)
axis.invert_xaxis()
axis.set(xlabel="distance between the views", ylabel="relative error of the gradient")
axis.legend()
figure.tight_layout()

# %% [markdown]
# The positive pair is kept out of the tiles and put back afterwards: the loss of an anchor is softplus(log n − s⁺), and nothing
# cancels. bfloat16 factors are an explicit choice, never a default.

# %% [markdown]
# ## What it costs
#
# Loss and gradient for growing N on this machine. Dense autograd keeps several N × N matrices; the tiled loss keeps a few
# tiles, and computes only those above the diagonal, as the matrix is symmetric.

# %%
sizes = [250, 500, 1000, 2000]
seconds: dict[str, list[float]] = {"dense": [], "graphcl": []}
for size in sizes:
    a, b = torch.randn(2, size, 128, generator=generator)
    for name, loss in (("dense", dense_info_nce), ("graphcl", info_nce)):
        seconds[name].append(min(gradient(loss, a, b, 0.5)[2] for _ in range(2)))

figure, axis = plt.subplots(figsize=(5, 3.2))
for name, values in seconds.items():
    axis.loglog(sizes, values, "o-", label=name)
axis.set(xlabel="nodes", ylabel="seconds for loss and gradient")
axis.legend()
figure.tight_layout()

# %% [markdown]
# ## Beyond exact reach
#
# Time still grows with N². For graphs of millions of nodes, `sampled_info_nce` draws one set of nodes as the negatives of all
# anchors. Its denominator is unbiased, its variance is stated in the docstring, and with all nodes in the sample it is the
# exact loss. The logarithm of an unbiased estimate is not unbiased, which shows at the left.

# %%
a = torch.randn(2000, 32, generator=generator)
b = a + torch.randn(2000, 32, generator=generator)
exact = info_nce(a, b, 0.2).item()
counts = [5, 20, 100, 500, 2000]
draws = {
    count: torch.tensor([sampled_info_nce(a, b, 0.2, samples=count, generator=generator).item() for _ in range(10)])
    for count in counts
}

figure, axis = plt.subplots(figsize=(5, 3.2))
axis.errorbar(
    counts, [v.mean() for v in draws.values()], [2 * v.std() for v in draws.values()], fmt="o-", label="sampled ± 2 sd"
)
axis.axhline(exact, color="black", linewidth=1, label="exact")
axis.set(xscale="log", xlabel="sampled nodes", ylabel="loss")
axis.legend()
figure.tight_layout()
