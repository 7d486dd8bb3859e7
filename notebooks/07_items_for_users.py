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
# # Items for users
#
# Users are the modules of Python's own library, items the modules that they import. Which import is missing from a file? What a
# recommender must beat, how its epoch is chosen, and what accuracy does not say.

# %%
import matplotlib.pyplot as plt
import torch

from graphcl.data import load_interactions
from graphcl.evaluate import evaluate_ranking, paired_difference, top_k
from graphcl.recsys import fit_selected
from graphcl.recsys.methods import EASE, ItemKNN, LightGcn, MfBpr, Popularity, XSimGcl

split = load_interactions("python-imports", seed=0)
known = split.train.joined(split.val)
print(split)

# %% [markdown]
# ## A few items have most of the users
#
# So a list of the same twenty items for everybody is not bad at all. Every table starts with it.

# %%
planted = load_interactions("planted-factors", seed=0).train
figure, axis = plt.subplots(figsize=(6, 3))
for seen, name in ((split.train, "python-imports"), (planted, "planted-factors")):
    share = seen.item_degrees.sort(descending=True).values / len(seen)
    axis.loglog(torch.arange(1, len(share) + 1), share.clamp(min=1e-5), label=name)
axis.set(xlabel="rank of the item", ylabel="share of all pairs")
axis.legend()
figure.tight_layout()

# %% [markdown]
# ## Fitted to train, stopped by validation
#
# Baselines are solved at once. What learns by gradient is looked at every few epochs, on the validation part alone, and the vectors
# of the best look are taken; the test part is ranked once, afterwards.

# %%
plan = {"plan": {"lr": 0.01, "epochs": 40}, "look_every": 4, "looks": 4}
recommenders = {
    "popularity": Popularity(),
    "item-knn": ItemKNN(),
    "ease": EASE(),
    "mf-bpr": MfBpr.preset("", plan),
    "lightgcn": LightGcn.preset("", plan),
    "xsimgcl": XSimGcl.preset("", {**plan, "weight": 0.05}),
}
fitted = {name: fit_selected(recipe, split.train, split.val) for name, recipe in recommenders.items()}
scores = {name: evaluate_ranking(model.scorer, split.test, known, split.train) for name, model in fitted.items()}

figure, axis = plt.subplots(figsize=(6, 3))
for name, model in fitted.items():
    if model.looks:
        axis.plot([look.epoch for look in model.looks], [look.score for look in model.looks], label=name)
        axis.axvline(model.epoch, ls=":", lw=0.8, c="gray")
axis.set(xlabel="epoch", ylabel="NDCG@20 on validation")
axis.legend()
figure.tight_layout()

# %% [markdown]
# ## Beside a baseline, user by user
#
# The same users are served by all, so differences are paired. With two hundred test pairs, few gaps leave their interval.

# %%
for name, found in scores.items():
    mean, half = paired_difference(found, scores["ease"], "ndcg@20")
    print(f"{name:10s} NDCG@20 {found.metrics['ndcg@20']:.3f}; to ease {mean:+.3f} ± {half:.3f}")

# %% [markdown]
# ## What accuracy does not say
#
# Right: the whole catalogue is in somebody's list. Down: it is the less popular part that is shown.

# %%
figure, axis = plt.subplots(figsize=(6, 3.5))
for name, found in scores.items():
    place = found.metrics["coverage@20"], found.metrics["popularity@20"]
    axis.scatter(*place, s=2000 * found.metrics["ndcg@20"] ** 2)
    axis.annotate(name, place, textcoords="offset points", xytext=(8, 4))
axis.set(xlabel="share of the catalogue in some list", ylabel="mean popularity", title="area: NDCG@20, squared")
figure.tight_layout()

# %% [markdown]
# ## A list
#
# Ids are kept from end to end: what comes back are names of modules.

# %%
user = int(known.user_degrees.argmax())
mine = known.items[known.users == user]
lists = top_k(fitted["lightgcn"].scorer, torch.tensor([user]), 8, seen=known)
print(f"{known.user_ids[user]} imports {', '.join(sorted(known.item_ids[mine])[:12])}, …")
print("suggested:", ", ".join(known.item_ids[lists.items[0]]))
