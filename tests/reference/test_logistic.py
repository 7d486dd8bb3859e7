"""The batched solver against scikit-learn, against itself one problem at a time, and its gradient."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from torch import Tensor

import graphcl.ops.logistic as logistic
from graphcl.data.splits import Split, Triple
from graphcl.evaluate.logistic import LogisticProbe
from graphcl.evaluate.probes import Fitted, Selection, selections
from graphcl.ops.logistic import solve_logistic

TIGHT = 1e-8


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _blobs(n: int, dim: int, classes: int, spread: float = 1.5, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Overlapping classes in correlated features of very different scales."""
    g = _generator(seed)
    y = torch.arange(n) % classes
    mix = torch.randn(dim, dim, generator=g).double() * torch.logspace(0, -1.5, dim).double()
    centres = torch.randn(classes, dim, generator=g).double()
    return (centres[y] + spread * torch.randn(n, dim, generator=g).double()) @ mix + 0.3, y


def _split(n: int, parts: int = 3, count: int = 2, selection: str = "validation", seed: int = 1) -> Split:
    g = _generator(seed)
    triples = []
    for _ in range(count):
        rows = torch.randperm(n, generator=g)
        a, b = n // parts, 2 * n // parts
        val = rows[a:b] if selection == "validation" else rows[:0]
        triples.append(Triple(rows[:a], val, rows[b:]))
    return Split("test", tuple(triples), "test", selection)  # type: ignore[arg-type]


def _fit(probe: LogisticProbe, h: Tensor, y: Tensor, split: Split, metric: str = "acc") -> list[Fitted]:
    return probe.fit(h, selections(y, split, _generator()), int(y.max()) + 1, metric)  # type: ignore[arg-type]


def _accuracy(fitted: Fitted, h: Tensor, y: Tensor, rows: Tensor) -> float:
    return (fitted.logits(h[rows]).argmax(dim=1) == y[rows]).double().mean().item()


def _normalised(h: Tensor, kind: str, rows: Tensor) -> Tensor:
    if kind == "unit":
        return torch.nn.functional.normalize(h)
    if kind == "z-score":
        return (h - h[rows].mean(dim=0)) / h[rows].std(dim=0, correction=0)
    return h


def _scikit(x: Tensor, y: Tensor, strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, tol=1e-10, max_iter=50_000).fit(x.numpy(), y.numpy())


# the looser bounds are scikit-learn's own stopping error: its tolerance is absolute, the losses there are tiny
BOUNDS = [(2.0**-10, 1e-6), (0.25, 1e-5), (1.0, 1e-5), (16.0, 1e-4), (1024.0, 1e-3)]


@pytest.mark.parametrize(("strength", "bound"), BOUNDS)
@pytest.mark.parametrize("kind", ["none", "unit", "z-score"])
@pytest.mark.parametrize(("n", "dim", "classes"), [(90, 12, 4), (30, 50, 3), (80, 10, 2)])
def test_agrees_with_scikit_learn(n: int, dim: int, classes: int, kind: str, strength: float, bound: float) -> None:
    h, y = _blobs(n, dim, classes)
    split = _split(n, count=1)
    probe = LogisticProbe(normalisations=(kind,), strengths=(strength,), tolerance=TIGHT)  # type: ignore[arg-type]
    [fitted] = _fit(probe, h, y, split)
    train = split.triples[0].train
    x = _normalised(h, kind, train)
    theirs = torch.from_numpy(_scikit(x[train], y[train], strength).predict_proba(x.numpy()))
    torch.testing.assert_close(fitted.logits(h).softmax(dim=1), theirs, atol=bound, rtol=0)
    assert fitted.chosen["converged"]


def test_default_tolerance_selects_and_scores_like_scikit_learn() -> None:
    h, y = _blobs(240, 16, 4, spread=2.5)
    split = _split(240, count=3)
    probe = LogisticProbe(strengths=(0.01, 0.25, 4.0, 64.0))
    for fitted, triple in zip(_fit(probe, h, y, split), split, strict=True):
        scores = {}
        for kind in probe.normalisations:
            x = _normalised(h, kind, triple.train).numpy()
            for strength in probe.strengths:
                model = _scikit(torch.from_numpy(x)[triple.train], y[triple.train], strength)
                part = {
                    name: model.score(x[getattr(triple, name)], y[getattr(triple, name)]) for name in ("val", "test")
                }
                scores[kind, strength] = part
        assert fitted.chosen["score"] == pytest.approx(max(part["val"] for part in scores.values()))
        theirs = scores[fitted.chosen["normalisation"], fitted.chosen["strength"]]["test"]
        assert _accuracy(fitted, h, y, triple.test) == pytest.approx(theirs)


def test_one_batch_is_as_good_as_one_problem_at_a_time() -> None:
    sizes, strengths = (40, 25, 33), torch.tensor([[0.01, 1.0, 50.0]] * 3)
    data = [_blobs(n, 8, 3, seed=n) for n in sizes]
    together = solve_logistic([x for x, _ in data], [y for _, y in data], strengths, 3, 1e-9, 5000)
    for i, (x, y) in enumerate(data):
        for k in range(3):
            alone = solve_logistic([x], [y], strengths[i : i + 1, k : k + 1], 3, 1e-9, 5000)
            ours = x @ together.weight[i, k].T + together.bias[i, k]
            torch.testing.assert_close(ours, x @ alone.weight[0, 0].T + alone.bias[0, 0], atol=1e-5, rtol=0)


def test_several_chunks_are_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    data = [_blobs(30, 6, 3, seed=seed) for seed in range(3)]
    arguments = ([x for x, _ in data], [y for _, y in data], torch.ones(3, 1), 3, 1e-9, 1000)
    whole = solve_logistic(*arguments)
    monkeypatch.setattr(logistic, "_CHUNK", 2 * 30 * 6)
    assert [part.stop - part.start for part in logistic._chunks([x.shape for x, _ in data])] == [2, 1]
    torch.testing.assert_close(solve_logistic(*arguments).weight, whole.weight, atol=1e-6, rtol=0)


def test_rotation_to_few_axes_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = _blobs(20, 60, 3)
    arguments = ([x], [y], torch.tensor([[0.1, 10.0]]), 3, 1e-9, 20_000)
    reduced = solve_logistic(*arguments)
    assert logistic._principal_axes(x[None]).shape == (1, 60, 20)
    monkeypatch.setattr(logistic, "_principal_axes", lambda features: torch.eye(60).double()[None])
    direct = solve_logistic(*arguments)
    torch.testing.assert_close(reduced.weight, direct.weight, atol=1e-6, rtol=0)
    torch.testing.assert_close(reduced.bias, direct.bias, atol=1e-6, rtol=0)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    n=st.integers(2, 30),
    dim=st.integers(1, 40),
    classes=st.integers(2, 5),
    strength=st.sampled_from([2.0**-10, 0.1, 1.0, 30.0, 1024.0]),
    scale=st.sampled_from([1e-4, 1.0, 1e3]),
    seed=st.integers(0, 1000),
)
def test_gradient_vanishes(n: int, dim: int, classes: int, strength: float, scale: float, seed: int) -> None:
    g = _generator(seed)
    x = torch.randn(n, dim, generator=g).double() * scale + scale
    y = torch.randint(classes, (n,), generator=g)
    found = solve_logistic([x], [y], torch.tensor([[strength]]), classes, 1e-6, 5000)
    weight = found.weight[0, 0].clone().requires_grad_()
    bias = found.bias[0, 0].clone().requires_grad_()
    logits = (x @ weight.T + bias).masked_fill(~found.present[0], -torch.inf)
    penalty = (weight[found.present[0]].square().sum()) * (2.0 if found.present.sum() == 2 else 1.0) / 2
    loss = torch.nn.functional.cross_entropy(logits, y) + penalty / (strength * n)
    loss.backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert bias.grad is not None
    # the gradient with respect to the weights of centred features
    centred = weight.grad - bias.grad[:, None] * x.mean(dim=0)
    length = (x - x.mean(dim=0)).square().sum(dim=1).mean().sqrt().clamp(min=1e-300)
    norm = (centred.square().sum() / length**2 + bias.grad.square().sum()).sqrt()
    assert float(norm.detach()) <= 1e-5 * float(loss.detach()) + 1e-13


def test_same_input_same_bits() -> None:
    h, y = _blobs(60, 10, 3)
    first, second = (_fit(LogisticProbe(), h, y, _split(60)) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a.logits(h), b.logits(h))
        assert a.chosen == b.chosen


def test_test_labels_change_nothing() -> None:
    h, y = _blobs(60, 10, 3)
    for selection in ("validation", "cross-validation"):
        split = _split(60, count=1, selection=selection)
        corrupted = y.clone()
        corrupted[split.triples[0].test] = 2 - y[split.triples[0].test]
        [a], [b] = _fit(LogisticProbe(), h, y, split), _fit(LogisticProbe(), h, corrupted, split)
        assert torch.equal(a.logits(h), b.logits(h))
        assert a.chosen == b.chosen


def test_input_is_left_alone_and_no_global_randomness_is_used() -> None:
    h, y = _blobs(30, 5, 3)
    before, state = h.clone(), torch.get_rng_state()
    _fit(LogisticProbe(), h, y, _split(30))
    assert torch.equal(h, before)
    assert torch.equal(torch.get_rng_state(), state)


def test_perfect_embedding_scores_one() -> None:
    y = torch.arange(60) % 4
    split = _split(60)
    h = torch.nn.functional.one_hot(y).float()
    assert [_accuracy(f, h, y, t.test) for f, t in zip(_fit(LogisticProbe(), h, y, split), split, strict=True)] == [
        1.0,
        1.0,
    ]


def test_shuffled_labels_score_chance() -> None:
    h, y = _blobs(900, 8, 3)
    y = y[torch.randperm(900, generator=_generator(3))]
    split = _split(900, count=4)
    scores = [_accuracy(f, h, y, t.test) for f, t in zip(_fit(LogisticProbe(), h, y, split), split, strict=True)]
    # the standard deviation of one score of 300 rows is 0.027
    assert sum(scores) / len(scores) == pytest.approx(1 / 3, abs=0.06)


@pytest.mark.parametrize("kind", ["none", "unit"])
def test_rotation_changes_nothing(kind: str) -> None:
    h, y = _blobs(60, 10, 3)
    rotation = torch.linalg.qr(torch.randn(10, 10, generator=_generator()).double()).Q
    probe = LogisticProbe(normalisations=(kind,), tolerance=TIGHT)  # type: ignore[arg-type]
    for a, b in zip(_fit(probe, h, y, _split(60)), _fit(probe, h @ rotation, y, _split(60)), strict=True):
        torch.testing.assert_close(a.logits(h), b.logits(h @ rotation), atol=1e-4, rtol=0)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
@pytest.mark.parametrize("kind", ["unit", "z-score"])
def test_scale_changes_nothing_once_normalised(kind: str, factor: float) -> None:
    h, y = _blobs(60, 10, 3)
    probe = LogisticProbe(normalisations=(kind,), tolerance=TIGHT)  # type: ignore[arg-type]
    for a, b in zip(_fit(probe, h, y, _split(60)), _fit(probe, h * factor, y, _split(60)), strict=True):
        torch.testing.assert_close(a.logits(h), b.logits(h * factor), atol=1e-4, rtol=0)


def test_cross_validation_is_refitted_on_all_of_train() -> None:
    h, y = _blobs(120, 10, 3)
    split = _split(120, count=1, selection="cross-validation")
    train = split.triples[0].train
    [fitted] = _fit(LogisticProbe(tolerance=TIGHT), h, y, split)
    x = _normalised(h, fitted.chosen["normalisation"], train)
    model = _scikit(x[train], y[train], fitted.chosen["strength"])
    theirs = torch.from_numpy(model.predict_proba(x.numpy()))
    torch.testing.assert_close(fitted.logits(h).softmax(dim=1), theirs, atol=1e-3, rtol=0)


def test_ties_go_to_the_lower_cross_entropy_and_then_to_the_smaller_strength() -> None:
    y = torch.arange(40) % 2
    h = (2.0 * y - 1)[:, None]
    [fitted] = _fit(LogisticProbe(), h, y, _split(40, count=1))  # every choice is right: the surest one wins
    assert (fitted.chosen["score"], fitted.chosen["strength"]) == (1.0, 1024.0)
    [fitted] = _fit(LogisticProbe(), torch.zeros_like(h), y, _split(40, count=1))  # every choice is the same
    assert (fitted.chosen["normalisation"], fitted.chosen["strength"]) == ("none", 2.0**-10)


def test_auc_selects_by_ranking() -> None:
    h, y = _blobs(90, 6, 2, spread=3.0)
    [fitted] = _fit(LogisticProbe(), h, y, _split(90, count=1), metric="auc")
    z = fitted.logits(h)[_split(90, count=1).triples[0].val]
    gap, labels = z[:, 1] - z[:, 0], y[_split(90, count=1).triples[0].val]
    above = gap[labels == 1][:, None] - gap[labels == 0]
    assert fitted.chosen["score"] == pytest.approx(((above > 0).double() + (above == 0).double() / 2).mean().item())


@pytest.mark.parametrize("kind", ["none", "unit", "z-score"])
@pytest.mark.parametrize("absent", [False, True])
def test_logits_are_differentiable(kind: str, absent: bool) -> None:
    h, y = _blobs(30, 4, 3)
    split = _split(30, count=1)
    [seen] = selections(y, split, _generator())
    probe = LogisticProbe(normalisations=(kind,), strengths=(1.0,))  # type: ignore[arg-type]
    [fitted] = probe.fit(h, [seen], 4 if absent else 3, "acc")
    assert torch.autograd.gradcheck(fitted.logits, (h[:5].clone().requires_grad_(),))


def test_zero_rows_and_constant_columns() -> None:
    h, y = _blobs(30, 4, 3)
    h[:, 1], h[::5] = 0.1, 0.0
    h = h.float().requires_grad_()
    for kind in ("none", "unit", "z-score"):
        for fitted in _fit(LogisticProbe(normalisations=(kind,)), h, y, _split(30)):  # type: ignore[arg-type]
            logits = fitted.logits(h)
            [slope] = torch.autograd.grad(logits.sum(), h)
            assert torch.isfinite(logits).all()
            assert torch.isfinite(slope).all()


def test_absent_class_is_never_predicted_and_changes_no_other() -> None:
    h, y = _blobs(40, 5, 3)
    rows = torch.arange(40)
    train, val = rows[:30][y[:30] != 1], rows[30:]
    seen = Selection(y, train, ((train, val),))
    [fitted] = LogisticProbe(tolerance=TIGHT, strengths=(1.0,), normalisations=("none",)).fit(h, [seen], 3, "acc")
    z = fitted.logits(h)
    torch.testing.assert_close(z[:, 1], z[:, [0, 2]].amin(dim=1) - 50)
    theirs = torch.from_numpy(_scikit(h[train], y[train], 1.0).predict_proba(h.numpy()))
    torch.testing.assert_close(z[:, [0, 2]].softmax(dim=1), theirs, atol=1e-5, rtol=0)


def test_single_class_predicts_it() -> None:
    h, y = _blobs(20, 5, 2)
    train, val = (y == 1).nonzero().flatten()[:5], torch.tensor([0, 1, 2])
    [fitted] = LogisticProbe().fit(h, [Selection(y, train, ((train, val),))], 2, "acc")
    assert (fitted.logits(h).argmax(dim=1) == 1).all()
    assert fitted.chosen["converged"]


def test_out_of_steps_is_said() -> None:
    h, y = _blobs(60, 10, 3)
    [fitted] = _fit(LogisticProbe(max_iterations=2, tolerance=TIGHT), h, y, _split(60, count=1))
    assert not fitted.chosen["converged"]
    assert fitted.chosen["steps"] == 2
