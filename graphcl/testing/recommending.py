"""The contracts of recommenders and of sets of interactions."""

import copy
from dataclasses import fields

import torch
from torch import Tensor

from graphcl.config import decode, encode
from graphcl.data.interaction_loading import load_interactions, open_interactions
from graphcl.data.interaction_spec import InteractionSpec, interaction_fingerprint
from graphcl.data.interaction_splits import draw_interactions
from graphcl.data.interactions import Interactions
from graphcl.data.planted import planted_factors
from graphcl.recsys.recommender import EmbeddingRecommender, Recommender
from graphcl.testing.promises import Promises, check_config, leaves_global_random_state

__all__ = ["check_interactions", "check_recommender"]

_USERS, _ITEMS = 121, 101
_WORDS = ("apple", "pear", "river", "lake", "engine", "wheel", "violin", "drum")


def _planted() -> Interactions:
    """Users and items with factors, and one user and one item of whom nothing was seen."""
    made = planted_factors(users=_USERS - 1, items=_ITEMS - 1, pairs=1450, factors=3, skew=0.8, seed=3)
    text = tuple(f"{_WORDS[k % 8]} {_WORDS[(k // 8) % 8]} {_WORDS[(3 * k) % 8]}" for k in range(_ITEMS))
    return Interactions(users=made.users, items=made.items, num_users=_USERS, num_items=_ITEMS, item_text=text)


def check_recommender(recipe: Recommender) -> list[str]:
    """A recommender: fits, scores everybody, and what was seen highly; deterministic and free of side effects.

    Args:
        recipe: an instance; one that trains does so for a few epochs, on some hundred users.

    Raises:
        ContractError: at the first broken promise.

    Example:
        >>> from graphcl.recsys.methods import Popularity
        >>> "the same seed gives the same bits" in check_recommender(Popularity())
        True
    """
    promises = Promises(type(recipe).__name__)
    promises.kept += check_config(recipe)
    for dataset in recipe.presets:
        preset = type(recipe).preset(dataset)
        promises.require(
            decode(type(recipe), encode(preset)) == preset, "settings of data sets are carried through JSON"
        )
    promises.require(recipe.control or recipe.paper is not None, "a recommender names its paper")
    if isinstance(recipe, EmbeddingRecommender):
        plan = recipe.plan.replace(epochs=min(recipe.plan.epochs, 12), batch_size=256, lr=0.05, device="cpu")
        recipe = recipe.replace(plan=plan, dim=min(recipe.dim, 16))
    split = draw_interactions("ratio-80-10-10", _planted(), seed=0)
    before = copy.deepcopy(split.train)
    found: list[Tensor] = []
    everybody = torch.arange(_USERS)

    def fitted(seed: int = 0) -> Tensor:
        scorer = recipe.fit(split.train, seed)
        promises.require(
            (scorer.num_users, scorer.num_items) == (_USERS, _ITEMS), "the scorer knows all users and items"
        )
        return scorer.score(everybody).clone()

    silent = leaves_global_random_state(lambda: found.append(fitted()))
    promises.require(silent, "the global random state stays as it was")
    scores = found[0]
    promises.require(scores.shape == (_USERS, _ITEMS), "every item has a score for every user")
    promises.require(bool(torch.isfinite(scores).all()), "scores are finite, also of whom nothing was seen")
    same = all(torch.equal(getattr(before, name), getattr(split.train, name)) for name in ("users", "items"))
    promises.require(same, "the interactions are left alone")
    promises.require(torch.equal(scores, fitted()), "the same seed gives the same bits")
    scorer = recipe.fit(split.train, 0)
    some = torch.tensor([5, 0, _USERS - 1])
    near = torch.allclose(scorer.score(some), scores[some], rtol=1e-4, atol=1e-5)
    promises.require(near, "a user's scores do not hang on who else is asked for")
    order = _share_in_order(scores, split.train)
    promises.require(order > 0.6, "what was seen ranks above what was not", f"{order:.3f} of the pairs")
    if isinstance(recipe, EmbeddingRecommender):
        training = recipe.start(split.train, 1)
        start = {name: value.detach().clone() for name, value in training.model.named_parameters()}
        steps = list(training.steps)
        moved = [not torch.equal(start[name], value) for name, value in training.model.named_parameters()]
        promises.require(all(moved), "every parameter is trained")
        ends = [sum(step.loss for step in some) for some in (steps[: len(steps) // 4], steps[-(len(steps) // 4) :])]
        promises.require(ends[1] < ends[0], "the loss falls")
    return promises.kept


def _share_in_order(scores: Tensor, seen: Interactions) -> float:
    """Of all users who have seen something, the mean share of pairs of a seen and an unseen item in that order."""
    have = torch.zeros_like(scores, dtype=torch.bool)
    have[seen.users, seen.items] = True
    above = scores[:, :, None] > scores[:, None, :]
    both = have[:, :, None] & ~have[:, None, :]
    count = both.sum((1, 2))
    return float(((above & both).sum((1, 2))[count > 0] / count[count > 0]).mean())


def check_interactions(spec: InteractionSpec) -> list[str]:
    """Counts, fingerprint, and every split; reads the files, so they must be there.

    Args:
        spec: the facts.

    Raises:
        ContractError: at the first broken promise.
        DataError: the files cannot be had or are not what they should be.
    """
    promises = Promises(spec.name)
    _, content, _ = open_interactions(spec.name)
    promises.kept.append("holds the counts it states")
    found = interaction_fingerprint(content)
    promises.require(spec.content in (None, found), "has the fingerprint it states", found)
    promises.require(interaction_fingerprint(open_interactions(spec.name)[1]) == found, "reads the same twice")
    for name in spec.splits:
        split, again = (load_interactions(spec.name, name, 1) for _ in range(2))
        promises.require(split.digest == again.digest, f"split {name} is the same for the same seed")
        promises.require(len(split.test) > 0, f"split {name} has something to score")
    parts = [content] if isinstance(content, Interactions) else list(content)
    for part in parts:
        present = {field.name for field in fields(part) if getattr(part, field.name) is not None}
        promises.require(not spec.text or "item_text" in present, "items say something where it states so")
        promises.require(not spec.timed or "times" in present, "pairs have times where it states so")
    return promises.kept
