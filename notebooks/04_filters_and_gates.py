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
# # Filters and gates
#
# What graph filters do to frequencies, what training makes of them, and which frequencies each node takes when it may choose.
# The graph has two regions: in one neighbours are alike, in the other they are not. Nobody tells the methods which is which.

# %%
import matplotlib.pyplot as plt
import torch
from sklearn.metrics import roc_auc_score

import graphcl
from graphcl.evaluate import frequency_profile
from graphcl.methods import Aspect, Polygcl
from graphcl.spectral import (
    BernsteinFilter,
    CosineHigh,
    GPRFilter,
    HeatFilter,
    HighPass,
    LowPass,
    MonotoneHigh,
    MonotoneLow,
    PPRFilter,
)
from graphcl.train import embedding, start

torch.manual_seed(0)
graph, split = graphcl.load("csbm-mixed")
print(graph)

# %% [markdown]
# ## Responses
#
# Every filter states what it multiplies a frequency by: λ = 0 is constant over the edges, λ = 2 changes sign at each of them.

# %%
at = torch.linspace(0, 2, 200)
figure, axes = plt.subplots(1, 2, figsize=(9, 3), sharex=True)
for filter in (
    LowPass(2, self_loops=False),
    HeatFilter(2.0),
    PPRFilter(0.2),
    HighPass(),
    GPRFilter(5, "negative-ppr", 0.5),
):
    axes[0].plot(at, filter.response(at).detach(), label=type(filter).__name__)
for filter in (MonotoneLow(10), MonotoneHigh(10), CosineHigh(10), BernsteinFilter(10)):
    axes[1].plot(at, filter.response(at).detach(), label=type(filter).__name__)
for axis, title in zip(axes, ("fixed, or begun by a formula", "learned, before training"), strict=True):
    axis.set(xlabel="λ", title=title)
    axis.legend(fontsize=7)
figure.tight_layout()

# %% [markdown]
# ## What training makes of them
#
# PolyGCL and, in this form, ASPECT learn two filters by telling the nodes of the graph from those of one with shuffled features.
# A hundred epochs are enough to see where they go.


# %%
def trained(recipe, epochs=120):
    run = start(recipe.replace(plan=recipe.plan.replace(epochs=epochs)), graph, seed=0)
    for _ in run.steps:
        pass
    return run.method.eval(), run.data


polygcl, data = trained(Polygcl(dim=128, feature_dropout=0.3, dropout=0.0))
gated = Aspect(dim=128, channels=("low", "high"), contrast="infomax", feature_dropout=0.3, readout=("fused",))
aspect, _ = trained(gated)

figure, axes = plt.subplots(1, 2, figsize=(9, 3), sharey=True)
for axis, bank, title in ((axes[0], polygcl.channels.bank, "PolyGCL"), (axes[1], aspect.bank, "ASPECT")):
    low, high = bank.response(at).detach()
    axis.plot(at, low, label="low")
    axis.plot(at, high, label="high")
    axis.plot(at, 2 - at, color="grey", linewidth=0.8, linestyle=":", label="a straight line")
    axis.set(xlabel="λ", title=title)
    axis.legend(fontsize=7)
figure.tight_layout()

# %% [markdown]
# ## Which node takes what
#
# The gate of ASPECT gives each node a weight for each channel. Local homophily, the share of a node's neighbours with its label, is
# what it should follow, and what it has never seen.

# %%
with torch.no_grad():
    taken = aspect.weights(data)[:, aspect.recipe.channels.index("high")]
source, target = graph.edge_index
same = (graph.y[source] == graph.y[target]).float()
count = torch.bincount(source, minlength=graph.num_nodes).clamp(min=1)
homophily = torch.zeros(graph.num_nodes).index_add(0, source, same) / count

figure, axes = plt.subplots(1, 2, figsize=(9, 3))
for region, name in enumerate(("homophilic region", "heterophilic region")):
    mine = graph.region == region
    axes[0].scatter(homophily[mine], taken[mine], s=4, alpha=0.5, label=name)
    axes[1].hist(taken[mine].numpy(), bins=30, alpha=0.6, label=name)
axes[0].set(xlabel="local homophily", ylabel="weight of the high-pass channel")
axes[1].set(xlabel="weight of the high-pass channel", ylabel="nodes")
axes[0].legend(fontsize=7)
figure.tight_layout()
auc = roc_auc_score(graph.region, taken)
print(f"weight of the high-pass channel against the region: AUC {auc:.3f}")
assert auc > 0.9

# %% [markdown]
# ## What the embeddings are made of
#
# The share of an embedding (its mean taken off) in each band of frequencies, and what a linear probe reads off it. A weighted sum of the channels, the same for
# all nodes, has to compromise; weights of each node's own do not, and neither do the channels side by side.

# %%
rows = {"features": graph.x, "PolyGCL": embedding(polygcl, data), "ASPECT": embedding(aspect, data)}
figure, axis = plt.subplots(figsize=(6, 3))
for shift, (name, h) in enumerate(rows.items()):
    profile = torch.as_tensor(frequency_profile(h - h.mean(0), graph))
    places = torch.arange(len(profile)) + 0.25 * (shift - 1)
    axis.bar(places, profile, width=0.25, label=f"{name}: {graphcl.evaluate.probe(h, graph, split)['acc/test']:.2f}")
axis.set(
    xlabel="band of λ, from 0 to 2", ylabel="share of the energy", title="accuracy of a linear probe in the legend"
)
axis.legend(fontsize=8)
figure.tight_layout()
