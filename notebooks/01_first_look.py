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
# # A first look
#
# A graph, two random views of it, a method trained without labels, and what a linear probe reads off the result. Everything
# here runs on data that comes with graphcl.

# %%
import matplotlib.pyplot as plt
import torch
from torch_geometric.utils import degree

import graphcl
from graphcl.augment import Chain, EdgeDropout, FeatureMask
from graphcl.batches import FullGraph
from graphcl.evaluate import score
from graphcl.evaluate.logistic import LogisticProbe
from graphcl.graph import GraphShape
from graphcl.methods import Grace
from graphcl.seeding import Seeds
from graphcl.train import embedding, train

data, split = graphcl.load("digits-knn", seed=0)
print(data)
print(split)

# %% [markdown]
# ## Views
#
# A view drops edges and masks features. Both directions of an edge go together, the input is never changed, and the same
# generator gives the same view.

# %%
view = Chain((EdgeDropout(0.4), FeatureMask(0.3)))
seen = view(data, torch.Generator().manual_seed(0))
print(f"edges {data.num_edges} -> {seen.num_edges}, still undirected: {seen.is_undirected()}")

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3))
for graph, name in ((data, "graph"), (seen, "view")):
    left.hist(degree(graph.edge_index[0], graph.num_nodes).numpy(), bins=range(0, 40), alpha=0.6, label=name)
left.set(xlabel="degree", ylabel="nodes", title="Dropping 40 % of the edges")
left.legend()
right.imshow(torch.cat([data.x[:6].view(-1, 8), seen.x[:6].view(-1, 8)], 1), cmap="gray_r")
right.set(title="Six digits, and the same with masked pixels", xticks=[], yticks=[])
figure.tight_layout()

# %% [markdown]
# ## Training
#
# The loop is yours: `train` yields after each update. Validation and test labels are not involved at all; here the probe
# looks in only to draw the curve.

# %%
seeds = Seeds(0)
recipe = Grace(dim=64, projection=64, temperature=0.3, features="raw")
plan = recipe.plan.replace(epochs=40, lr=2e-3)
graph = recipe.prepare(data)
method = recipe.build(GraphShape.of(graph), seeds.torch("build"))
probe = LogisticProbe()

losses, curve = [], []
for step in train(method, FullGraph(graph), plan, seeds.torch("train")):
    losses.append(step.loss)
    if step.n % 10 == 0:
        metrics = score(embedding(method, graph), data.y, split, probe).metrics
        curve.append((step.n, metrics["acc/val"], metrics["acc/test"]))
h = embedding(method, graph)

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3))
left.plot(losses)
left.set(xlabel="update", ylabel="InfoNCE")
steps, val, test = zip(*curve, strict=True)
right.plot(steps, val, "o-", label="validation")
right.plot(steps, test, "o-", label="test")
right.set(xlabel="update", ylabel="accuracy")
right.legend()
figure.tight_layout()

# %% [markdown]
# ## Beside its controls
#
# A number means little alone. What do the raw features give, what do two rounds of averaging over neighbours give, what
# does the untrained network give?

# %%
rows = {"grace, 40 epochs": score(h, data.y, split, probe).metrics}
for control in ("raw", "propagated", "random-init"):
    rows[control] = score(graphcl.embed(control, data), data.y, split, probe).metrics
for name, metrics in rows.items():
    print(f"{name:18s} val {100 * metrics['acc/val']:.1f}  test {100 * metrics['acc/test']:.1f}")

# %% [markdown]
# ## The embedding
#
# Two principal components, coloured by digit.

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 4))
for axis, (name, points) in zip(axes, (("features", data.x), ("embedding", h)), strict=True):
    centred = points - points.mean(0)
    u, s, _ = torch.linalg.svd(centred, full_matrices=False)
    flat = u[:, :2] * s[:2]
    axis.scatter(*flat.T, c=data.y, cmap="tab10", s=4)
    axis.set(title=name, xticks=[], yticks=[])
figure.tight_layout()
