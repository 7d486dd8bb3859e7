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
# # Views of a graph
#
# What augmenters do to a graph, beyond the number of edges: to its communities, its spectrum, its hubs and its labels.
# [The gallery](../docs/gallery.md) shows all of them on a graph that can be drawn; here some are measured on one that cannot.
# Everything runs on data that comes with graphcl.

# %%
import matplotlib.pyplot as plt
import networkx as nx
import torch
from torch_geometric.utils import degree, to_networkx

import graphcl
from graphcl.augment import (
    AdaptiveEdgeDropout,
    EdgeAddition,
    EdgeDropout,
    HeterophilicEdges,
    HomophilicEdges,
    MessageDropout,
    NodeDropout,
    PPRDiffusion,
    PPRSubgraph,
    Ramp,
    Scheduled,
    edge_similarity,
)
from graphcl.graph import normalised_adjacency

data, _ = graphcl.load("digits-knn", seed=0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def agreement(graph):
    """The share of edges whose ends have one label."""
    a, b = graph.y[graph.edge_index]
    return float((a == b).float().mean())


print(data, f"label agreement {agreement(data):.2f}")

# %% [markdown]
# ## One graph, six views
#
# The neighbourhood of one node, with places that stay. Colours are digits. Views without some of the nodes renumber the rest,
# so numbers are put on the nodes first.

# %%
data.n_id = torch.arange(data.num_nodes)
part = PPRSubgraph(size=45)(data, generator(16))
part.n_id = torch.arange(part.num_nodes)
places = nx.spring_layout(to_networkx(part, to_undirected=True), seed=1)
views = {
    "graph": part,
    "EdgeDropout(0.3)": EdgeDropout(0.3)(part, generator()),
    "EdgeAddition(0.3)": EdgeAddition(0.3)(part, generator()),
    "NodeDropout(0.3)": NodeDropout(0.3)(part, generator()),
    "PPRDiffusion(k=6)": PPRDiffusion(k=6)(part),
    "HeterophilicEdges(0.2)": HeterophilicEdges(0.2)(part),
}

figure, axes = plt.subplots(2, 3, figsize=(10, 6))
for axis, (name, seen) in zip(axes.flat, views.items(), strict=True):
    ids = seen.n_id.tolist()
    weight = seen.get("edge_weight", torch.full((seen.num_edges,), 0.1))
    for (u, v), w in zip(seen.edge_index.T.tolist(), weight.tolist(), strict=True):
        if u < v:
            wide = 8 * w
            axis.plot(*zip(places[ids[u]], places[ids[v]], strict=True), color="0.6", linewidth=wide, zorder=1)
    axis.scatter(*zip(*(places[v] for v in ids), strict=True), c=seen.y, cmap="tab10", vmin=0, vmax=9, s=18, zorder=2)
    axis.set(title=name, xticks=[], yticks=[], xlim=(-1.1, 1.1), ylim=(-1.1, 1.1))
figure.tight_layout()

# %% [markdown]
# ## What a rate does to the spectrum
#
# Eigenvalues of $I - \hat A$, $\hat A = D^{-1/2} (A + I) D^{-1/2}$, on 300 nodes: those of the view against those of the graph,
# in order. The small ones belong to communities.
#
# * Dropping edges takes communities apart: the lower and middle ones fall, the largest grow.
# * Random new edges join communities: the smallest grow at once, the large ones hardly move.
# * Personalised PageRank is no draw but a filter, $\lambda \mapsto (1 - \alpha) \lambda \,/\, (\alpha + (1 - \alpha) \lambda)$
#   (dashed). A small teleport $\alpha$ leaves amplitude, $1 - \lambda$, to the lowest frequencies alone; a large one draws all
#   towards the identity. The view keeps 32 entries of each row, which is less of it the smaller the teleport.

# %%
small = PPRSubgraph(size=300)(data, generator(3))


def spectrum(graph):
    laplacian = torch.eye(graph.num_nodes) - normalised_adjacency(graph).to_dense()
    return torch.linalg.eigvalsh(laplacian.double())


before = spectrum(small)
families = {
    "EdgeDropout": [EdgeDropout(rate) for rate in (0.1, 0.3, 0.6)],
    "EdgeAddition": [EdgeAddition(rate) for rate in (0.1, 0.3, 0.6)],
    "PPRDiffusion": [PPRDiffusion(teleport) for teleport in (0.05, 0.2, 0.5)],
}

figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), sharey=True)
for axis, (name, family) in zip(axes, families.items(), strict=True):
    axis.plot(before, before, color="black", linewidth=1)
    for augmenter, colour in zip(family, ("C0", "C1", "C2"), strict=True):
        value = getattr(augmenter, "rate", None) or augmenter.teleport
        axis.plot(before, spectrum(augmenter(small, generator())), color=colour, label=f"{value}")
        if name == "PPRDiffusion":
            axis.plot(before, (1 - value) * before / (value + (1 - value) * before), "--", color=colour, linewidth=1)
    axis.set(title=name, xlabel="eigenvalue of the graph")
    axis.legend(title="teleport" if name == "PPRDiffusion" else "rate", loc="lower right")
axes[0].set(ylabel="eigenvalue of the view")
figure.tight_layout()

# %% [markdown]
# ## Dropping by importance
#
# GCA spares edges between central nodes. How often an edge goes is counted over 200 views; `rate` is the mean, `cutoff` the most.
# A blind coin is the flat line.

# %%
data.edge_attr = torch.arange(data.num_edges)  # to know an edge again
figure, axis = plt.subplots(figsize=(5, 3.2))
mean = degree(data.edge_index[0], data.num_nodes)[data.edge_index].mean(0)
bins = mean.long()
for augmenter in (EdgeDropout(0.3), AdaptiveEdgeDropout(0.3), AdaptiveEdgeDropout(0.3, centrality="pagerank")):
    gone, source = torch.zeros(data.num_edges), generator()
    for _ in range(200):
        gone += 1
        gone[augmenter(data, source).edge_attr] -= 1
    counts = torch.bincount(bins)
    values = torch.bincount(bins, weights=gone / 200) / counts
    label = type(augmenter).__name__ + (f", {augmenter.centrality}" if hasattr(augmenter, "centrality") else "")
    axis.plot(counts.nonzero(), values[counts > 0], "o-", markersize=3, label=f"{label} (mean {gone.mean() / 200:.2f})")
axis.set(xlabel="mean degree of the two ends", ylabel="share of views without the edge")
axis.legend(fontsize=7)
figure.tight_layout()
del data.edge_attr

# %% [markdown]
# ## Like and unlike edges
#
# `HomophilicEdges` and `HeterophilicEdges` choose by the features alone. Do they choose by label as well? Where features know the
# labels, yes: the share of edges between nodes of one label, for growing shares of the edges.

# %%
shares = [0.1, 0.2, 0.4, 0.6, 0.8, 1.0]
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
same = data.y[data.edge_index[0]] == data.y[data.edge_index[1]]
similar = edge_similarity(data.x, data.edge_index)
left.hist([similar[same].numpy(), similar[~same].numpy()], bins=25, density=True, label=["one label", "two labels"])
left.set(xlabel="cosine of the ends", ylabel="density")
left.legend()
for cls in (HomophilicEdges, HeterophilicEdges):
    right.plot(shares, [agreement(cls(share)(data)) for share in shares], "o-", label=cls.__name__)
right.axhline(agreement(data), color="black", linewidth=1, label="graph")
right.set(xlabel="share of each node's edges", ylabel="label agreement")
right.legend()
figure.tight_layout()

# %% [markdown]
# ## A schedule
#
# A scheduled augmenter is asked for the moment: `view.at(progress)`. Drawn is the share of the graph's pairs that are still joined, in
# one direction at least. `EdgeDropout` leaves `1 - rate` of them. `MessageDropout` loses directions one by one, as most released
# codes do: `1 - rate²` are left, and the view is not undirected.

# %%
ramp = Ramp(0.1, 0.6, shape="cosine", begin=0.2, until=0.8)
steps = torch.linspace(0, 1, 21).tolist()
figure, axis = plt.subplots(figsize=(5, 3.2))
axis.plot(steps, [1 - ramp(step) for step in steps], color="black", linewidth=1, label="1 - rate")
pairs = data.num_edges / 2
for cls in (EdgeDropout, MessageDropout):
    view, source = Scheduled(cls(), {"rate": ramp}), generator()
    left_over = [view.at(step)(data, source).edge_index for step in steps]
    joined = [torch.unique(edges.sort(0).values, dim=1).size(1) / pairs for edges in left_over]
    axis.plot(steps, joined, "o", markersize=4, label=cls.__name__)
axis.plot(steps, [1 - ramp(step) ** 2 for step in steps], color="black", linewidth=1, linestyle="--", label="1 - rate²")
axis.set(xlabel="share of the training done", ylabel="share of the graph's pairs")
axis.legend(fontsize=7)
figure.tight_layout()
