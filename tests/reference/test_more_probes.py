"""Neighbours, support vector machines and clusters against scikit-learn, and against what is worked out by hand."""

import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from graphcl.data.splits import Split, Triple, draw
from graphcl.errors import DataError, RequestError
from graphcl.evaluate import neighbours, svm
from graphcl.evaluate.clusters import clustering, matched_accuracy
from graphcl.evaluate.neighbours import KNNProbe
from graphcl.evaluate.probes import Selection, selections
from graphcl.evaluate.scoring import score
from graphcl.evaluate.svm import KernelSVMProbe, SVMProbe
from graphcl.seeding import Seeds
from graphcl.testing import check_probe
from graphcl.testing.promises import leaves_global_random_state

PROBES = [
    KNNProbe(),
    KNNProbe(neighbours=(1,), temperatures=(1000.0,)),
    KNNProbe(neighbours=(7, 5), temperatures=(0.5,)),
    SVMProbe(),
    SVMProbe(normalisation="none", strengths=(1.0,)),
    KernelSVMProbe(),
    KernelSVMProbe(normalisation="z-score", gamma="auto", strengths=(10.0,)),
]


def problem(seed=0, n=150, d=5, classes=3, noise=1.0):
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % classes
    h = torch.nn.functional.one_hot(y, d).float() + noise * torch.randn(n, d, generator=generator)
    return h, y


def validated(h, y, fit=60, rows=100):
    """One selection by a validation part."""
    labels = torch.where(torch.arange(len(y)) < rows, y, -1)
    train = torch.arange(fit)
    return Selection(labels, train, ((train, torch.arange(fit, rows)),))


def by_folds(y, train, seed=0):
    none = torch.tensor([], dtype=torch.long)
    split = Split("s", (Triple(train, none, none),), "", "cross-validation")
    return selections(y, split, torch.Generator().manual_seed(seed))[0]


@pytest.mark.parametrize("probe", PROBES, ids=str)
def test_keeps_the_contract_of_probes(probe):
    check_probe(probe)


@pytest.mark.parametrize("probe", PROBES, ids=str)
def test_auc_is_of_scores(probe):
    h, y = problem(classes=2, noise=1.5)
    split = draw("random-60-20-20", y, seed=0)
    scores = score(h, y, split, probe, "auc")
    test = split.triples[0].test
    [fitted] = probe.fit(h, selections(y, split, torch.Generator()), 2, "auc")
    z = fitted.logits(h[test])
    assert scores.metrics["auc/test"] == pytest.approx(roc_auc_score(y[test].numpy(), (z[:, 1] - z[:, 0]).numpy()))
    if probe != PROBES[1]:  # heads of one neighbour have two values
        assert len(z.unique(dim=0)) > 10


@pytest.mark.parametrize("probe", PROBES, ids=str)
@pytest.mark.parametrize("classes", [2, 3])
def test_logits_have_the_gradient_that_differences_show(probe, classes):
    h, y = problem(classes=classes)
    [fitted] = probe.fit(h, [validated(h, y)], classes, "acc")
    x = h[100:104].double().requires_grad_()
    z = fitted.logits(x)
    assert z.dtype == torch.float64
    assert z.shape == (4, classes)
    weight = torch.arange(1.0, 1.0 + z.numel(), dtype=torch.float64).view_as(z)
    (slope,) = torch.autograd.grad((z * weight).sum(), x)
    for i, j in itertools.product(range(4), range(2)):
        step = torch.zeros_like(x)
        step[i, j] = 1e-6
        with torch.no_grad():
            rise = ((fitted.logits(x + step) - fitted.logits(x - step)) * weight).sum() / 2e-6
        assert float(slope[i, j]) == pytest.approx(float(rise), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("probe", PROBES, ids=str)
def test_the_embedding_is_read_only_and_half_the_precision_is_enough(probe):
    h, y = problem()
    before = h.clone()
    [fitted] = probe.fit(h.requires_grad_(), [validated(h, y)], 3, "acc")
    assert torch.equal(h, before)
    assert not fitted.logits(h.detach()).requires_grad
    probe.fit(before.bfloat16(), [validated(h, y)], 3, "acc")


@pytest.mark.parametrize("probe", PROBES, ids=str)
def test_a_class_that_was_never_seen_is_never_said(probe):
    h, y = problem(classes=2)
    [fitted] = probe.fit(h, [validated(h, 2 * y)], 4, "acc")  # classes 0 and 2 of 0 .. 3
    z = fitted.logits(h)
    assert z.isfinite().all()
    assert set(z.argmax(1).tolist()) == {0, 2}
    assert (z[:, [1, 3]].amax(1) < z[:, [0, 2]].amax(1)).all()
    only = validated(h, torch.full_like(y, 1))
    [fitted] = probe.fit(h, [only], 3, "acc")
    assert (fitted.logits(h).argmax(1) == 1).all()


# ---- neighbours


@pytest.mark.parametrize("k", [1, 4, 15])
@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_weighted_votes_are_scikit_learn_s(k, temperature):
    h, y = problem()
    [fitted] = KNNProbe(neighbours=(k,), temperatures=(temperature,)).fit(h, [validated(h, y)], 3, "acc")
    theirs = KNeighborsClassifier(
        k, metric="cosine", algorithm="brute", weights=lambda distance: np.exp((1 - distance) / temperature)
    ).fit(h[:60].double().numpy(), y[:60].numpy())
    share = fitted.logits(h).softmax(1).numpy()
    np.testing.assert_allclose(share, theirs.predict_proba(h.double().numpy()), atol=2e-6)


def test_a_large_temperature_counts_heads():
    h, y = problem()
    [fitted] = KNNProbe(neighbours=(9,), temperatures=(1000.0,)).fit(h, [validated(h, y)], 3, "acc")
    theirs = KNeighborsClassifier(9, metric="cosine", algorithm="brute").fit(h[:60].numpy(), y[:60].numpy())
    heads = torch.from_numpy(theirs.predict_proba(h.numpy()))
    clear = heads.sort(1).values.diff(dim=1)[:, -1] > 0.05  # the largest stands alone
    assert 60 < int(clear.sum()) < len(h)
    assert torch.equal(fitted.logits(h).argmax(1)[clear], heads.argmax(1)[clear])


def test_equal_heads_go_to_the_nearer_side():
    h = torch.tensor([[1.0, 0.0], [1.0, 0.3], [0.5, 1.0], [0.0, 1.0]])
    y = torch.tensor([1, 0, 1, 0])
    seen = Selection(y, torch.arange(4), ((torch.arange(4), torch.arange(4)),))
    [fitted] = KNNProbe(neighbours=(2,), temperatures=(1000.0,)).fit(h, [seen], 2, "acc")
    # both rows 0 and 1 are near; the first query lies closer to row 0, the second to row 1
    assert fitted.logits(torch.tensor([[1.0, 0.05], [1.0, 0.25]])).argmax(1).tolist() == [1, 0]


def test_of_equally_near_rows_the_first_is_taken_however_rows_are_packed(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    few = torch.randn(6, 8, generator=generator)
    x = torch.nn.functional.normalize(few[torch.randint(6, (300,), generator=generator)].double(), dim=1)
    found = neighbours._nearest(x, x, 60)
    near = x @ x.T
    for i in range(0, 300, 7):
        order = sorted(range(300), key=lambda j, i=i: (-round(float(near[i, j]), 7), j))
        assert found[i].tolist() == order[:60]
    monkeypatch.setattr(neighbours, "_TILE", 700)
    assert torch.equal(neighbours._nearest(x, x, 60), found)


def test_neighbours_are_chosen_on_validation_by_score_and_then_by_loss():
    ties = 0
    for seed in range(12):
        h, y = problem(seed, noise=0.8)
        seen = validated(h, y, rows=66)  # six rows to choose on: many options score alike
        probe = KNNProbe(neighbours=(1, 5, 25, 400), temperatures=(0.2, 1000.0))
        [fitted] = probe.fit(h, [seen], 3, "acc")
        ranks = []
        for k, temperature in itertools.product((1, 5, 25, 60), probe.temperatures):
            [one] = KNNProbe(neighbours=(k,), temperatures=(temperature,)).fit(h, [seen], 3, "acc")
            z = one.logits(h[60:66])
            right = float((z.argmax(1) == y[60:66]).double().mean())
            loss = float(torch.nn.functional.cross_entropy(z, y[60:66]))
            assert one.chosen["score"] == pytest.approx(right)
            assert one.chosen["cross_entropy"] == pytest.approx(loss)
            ranks.append((round(right, 12), -round(loss, 12), -k, temperature))
        best = max(ranks, key=lambda rank: rank[:3])
        assert (fitted.chosen["neighbours"], fitted.chosen["temperature"]) == (-best[2], best[3])
        ties += [rank[0] for rank in ranks].count(best[0]) > 1
    assert ties > 3


def test_of_equal_choices_the_fewest_neighbours_are_taken():
    y = torch.arange(90) % 3
    h = torch.eye(3)[y]
    [fitted] = KNNProbe(neighbours=(7, 2, 5)).fit(h, [validated(h, y, 60, 90)], 3, "acc")
    assert fitted.chosen["neighbours"] == 2
    assert fitted.chosen["temperature"] == 0.07


def test_after_cross_validation_all_of_train_votes():
    h, y = problem()
    [fitted] = KNNProbe().fit(h, [by_folds(y, torch.arange(80))], 3, "acc")
    assert len(fitted.rows) == 80
    assert fitted.chosen["neighbours"] <= 64


def test_a_row_of_zeros_is_similar_to_none():
    h, y = problem()
    [fitted] = KNNProbe(neighbours=(5,)).fit(h, [validated(h, y)], 3, "acc")
    zero = torch.zeros(1, 5, requires_grad=True)
    z = fitted.logits(zero)
    (slope,) = torch.autograd.grad(z.sum(), zero)
    assert z.isfinite().all()
    assert slope.isfinite().all()
    # by 0 to every row: the first five of train
    expected = torch.bincount(y[:5], minlength=3) / 5
    assert torch.allclose(z[0].softmax(0), expected.double(), atol=1e-5)


# ---- support vector machines


def grid_search(machine, h, y, seen, strengths, key="C"):
    """GridSearchCV on the very folds of a selection: best strength, its score, and the machine fitted on train."""
    train = seen.train.numpy()
    place = {row: i for i, row in enumerate(train.tolist())}
    folds = [([place[r] for r in a.tolist()], [place[r] for r in b.tolist()]) for a, b in seen.pairs]
    search = GridSearchCV(machine, {key: list(strengths)}, cv=folds, scoring="accuracy", refit=False)
    x, labels = h[train].double().numpy(), y[train].numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        means = search.fit(x, labels).cv_results_["mean_test_score"]
        # among equal means it takes whichever rounding favours: here the first
        best = strengths[int(np.argmax(means > means.max() - 1e-9))]
        return best, means.max(), machine.set_params(**{key: best}).fit(x, labels)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("normalisation", ["none", "z-score"])
def test_linear_machine_is_grid_search_over_linear_svc(classes, normalisation):
    for seed in range(3):
        h, y = problem(seed, classes=classes, noise=1.2)
        h = h * torch.tensor([1.0, 10.0, 0.1, 3.0, 1.0]) + 5
        seen = by_folds(y, torch.arange(100), seed)
        probe = SVMProbe(normalisation=normalisation)
        [fitted] = probe.fit(h, [seen], classes, "acc")
        plain = LinearSVC(dual=False, tol=1e-9, max_iter=100_000, random_state=0)
        machine = make_pipeline(StandardScaler(), plain) if normalisation == "z-score" else plain
        key = "linearsvc__C" if normalisation == "z-score" else "C"
        strength, best, theirs = grid_search(machine, h, y, seen, probe.strengths, key)
        assert (fitted.chosen["strength"], fitted.chosen["score"]) == (strength, pytest.approx(best))
        rows = h[100:].double().numpy()
        z = fitted.logits(h[100:])
        margin = torch.from_numpy(theirs.decision_function(rows))
        expected = torch.stack([-margin, margin], 1) if classes == 2 else margin
        assert torch.allclose(z, expected, atol=1e-4, rtol=1e-4)
        assert (z.argmax(1).numpy() == theirs.predict(rows)).all()


@pytest.mark.parametrize("shape", [(80, 5), (60, 200), (100, 100)])
@pytest.mark.parametrize("strength", [0.001, 1.0, 1000.0])
def test_the_plane_is_the_optimum_where_columns_nearly_repeat_each_other(shape, strength):
    generator = torch.Generator().manual_seed(0)
    n, d = shape
    x = torch.randn(n, d, generator=generator, dtype=torch.float64) * torch.logspace(1, -6, d)
    x = x @ torch.randn(d, d, generator=generator, dtype=torch.float64)
    side = torch.where(torch.arange(n) % 2 == 0, 1.0, -1.0).double()
    start = torch.zeros(d, dtype=torch.float64)

    def objective(w):
        return 0.5 * w.square().sum() + strength * (1 - side * (x @ w)).clamp(min=0).square().sum()

    w, converged = svm._hyperplane(x, side, strength, start, 1e-10, 200)
    assert converged
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        machine = LinearSVC(C=strength, dual=False, fit_intercept=False, random_state=0).fit(x.numpy(), side.numpy())
    assert objective(w) <= objective(torch.from_numpy(machine.coef_[0])) * (1 + 1e-9)
    # no w does better than what the dual problem gives for any α ≥ 0
    slack = (1 - side * (x @ w)).clamp(min=0)
    alpha = 2 * strength * slack
    dual = alpha.sum() - 0.5 * (x.T @ (alpha * side)).square().sum() - alpha.square().sum() / (4 * strength)
    assert objective(w) - dual <= 1e-6 * objective(w)
    # from elsewhere, the same plane
    again, _ = svm._hyperplane(x, side, strength, torch.ones_like(start), 1e-10, 200)
    assert objective(again) == pytest.approx(float(objective(w)), rel=1e-9)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("gamma", ["scale", "auto"])
def test_kernel_machine_is_grid_search_over_svc(classes, gamma):
    for seed in range(3):
        h, y = problem(seed, classes=classes, noise=1.2)
        seen = by_folds(y, torch.arange(100), seed)
        probe = KernelSVMProbe(gamma=gamma)
        [fitted] = probe.fit(h, [seen], classes, "acc")
        strength, best, theirs = grid_search(SVC(gamma=gamma), h, y, seen, probe.strengths)
        assert (fitted.chosen["strength"], fitted.chosen["score"]) == (strength, pytest.approx(best))
        rows = h[100:].double().numpy()
        z, margins = fitted.logits(h[100:]).numpy(), theirs.decision_function(rows)
        assert (z.argmax(1) == theirs.predict(rows)).all()
        if classes == 2:
            assert (np.argsort(z[:, 1] - z[:, 0]) == np.argsort(margins)).all()
        else:
            # margins order the classes of a row, where no two have won as many pairs
            clear = [i for i, won in enumerate(margins.round()) if len(set(won)) == classes]
            assert len(clear) > 30
            assert (np.argsort(z[clear]) == np.argsort(margins[clear])).all()


def test_kernel_machine_takes_statistics_of_its_fit_rows():
    h, y = problem()
    h = h * torch.tensor([1.0, 100.0, 0.01, 3.0, 1.0]) + 5
    seen = by_folds(y, torch.arange(100))
    probe = KernelSVMProbe(normalisation="z-score")
    [fitted] = probe.fit(h, [seen], 3, "acc")
    machine = make_pipeline(StandardScaler(), SVC())
    strength, best, theirs = grid_search(machine, h, y, seen, probe.strengths, "svc__C")
    assert (fitted.chosen["strength"], fitted.chosen["score"]) == (strength, pytest.approx(best))
    assert (fitted.logits(h[100:]).argmax(1).numpy() == theirs.predict(h[100:].double().numpy())).all()


def test_kernel_values_in_pieces_are_the_same(monkeypatch):
    h, y = problem()
    [fitted] = KernelSVMProbe().fit(h, [validated(h, y)], 3, "acc")
    whole = fitted.logits(h)
    monkeypatch.setattr(svm, "_TILE", 100)
    assert torch.allclose(fitted.logits(h), whole, atol=1e-12)


def test_only_the_kernel_machine_tells_opposite_corners_apart():
    generator = torch.Generator().manual_seed(0)
    h = torch.rand(400, 2, generator=generator) * 2 - 1
    y = (h[:, 0] * h[:, 1] > 0).long()
    split = draw("random-60-20-20", y, seed=0)
    assert score(h, y, split, SVMProbe()).metrics["acc/test"] < 0.7
    assert score(h, y, split, KernelSVMProbe()).metrics["acc/test"] > 0.9
    assert score(h, y, split, KNNProbe()).metrics["acc/test"] > 0.9


def test_what_did_not_converge_is_recorded_and_not_warned_of():
    h, y = problem()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for probe in (SVMProbe(max_iterations=1), KernelSVMProbe(max_iterations=3)):
            assert probe.fit(h, [validated(h, y)], 3, "acc")[0].chosen["converged"] is False
        for probe in (SVMProbe(), KernelSVMProbe()):
            assert probe.fit(h, [validated(h, y)], 3, "acc")[0].chosen["converged"] is True


def test_a_constant_column_and_a_constant_embedding_are_no_trouble():
    h, y = problem()
    h[:, 2] = 7.0
    for probe in (SVMProbe(), KernelSVMProbe(normalisation="z-score"), KernelSVMProbe(), KNNProbe()):
        for embedding in (h, torch.ones_like(h), torch.zeros_like(h)):
            [fitted] = probe.fit(embedding, [validated(embedding, y)], 3, "acc")
            assert fitted.logits(embedding).isfinite().all()


@pytest.mark.parametrize("probe", [KNNProbe, SVMProbe, KernelSVMProbe])
def test_bad_input_is_refused(probe):
    h, y = problem()
    with pytest.raises(DataError, match="NaN"):
        probe().fit(torch.full_like(h, torch.nan), [validated(h, y)], 3, "acc")
    with pytest.raises(DataError, match="two classes"):
        probe().fit(h, [validated(h, y)], 3, "auc")
    with pytest.raises(RequestError):
        probe(**{"neighbours" if probe is KNNProbe else "strengths": ()})


# ---- clusters


def test_clusters_are_scikit_learn_s():
    h, y = problem(noise=0.4)
    found = clustering(h, y, runs=3, seed=5)
    starts = Seeds(5).numpy("clustering").integers(2**31, size=3)
    nmi, ari, acc = [], [], []
    for start in starts:
        labels = KMeans(3, n_init=10, random_state=int(start)).fit(h.double().numpy()).labels_
        nmi.append(normalized_mutual_info_score(y.numpy(), labels))
        ari.append(adjusted_rand_score(y.numpy(), labels))
        acc.append(max(np.mean(np.array(names)[labels] == y.numpy()) for names in itertools.permutations(range(3))))
    assert found == pytest.approx({"nmi": np.mean(nmi), "ari": np.mean(ari), "acc": np.mean(acc)})
    assert found == clustering(h, y, runs=3, seed=5)


def test_naming_of_clusters_is_the_best_of_all():
    generator = torch.Generator().manual_seed(1)
    for _ in range(20):
        y, clusters = (torch.randint(4, (30,), generator=generator) for _ in range(2))
        best = max(
            sum(names[k] == c for k, c in zip(clusters.tolist(), y.tolist(), strict=True))
            for names in itertools.permutations(range(4))
        )
        assert matched_accuracy(y, clusters) == pytest.approx(best / 30)


def test_clusters_of_extremes():
    y = torch.arange(60) % 3
    assert clustering(torch.eye(3)[y] * 9, y) == {"nmi": 1.0, "ari": 1.0, "acc": 1.0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        collapsed = clustering(torch.ones(60, 4), y)
    assert collapsed == pytest.approx({"nmi": 0.0, "ari": 0.0, "acc": 1 / 3})
    noise = clustering(torch.randn(600, 4, generator=torch.Generator().manual_seed(0)), torch.arange(600) % 3)
    assert abs(noise["ari"]) < 0.02
    assert noise["nmi"] < 0.02
    assert math.isclose(noise["acc"], 1 / 3, abs_tol=0.06)


def test_unlabelled_rows_are_clustered_and_not_compared():
    h, y = problem(noise=0.3)
    y[::2] = -1
    labels = KMeans(3, n_init=10, random_state=0).fit(h.double().numpy()).labels_[1::2]
    assert clustering(h, y)["ari"] == pytest.approx(adjusted_rand_score(y[1::2].numpy(), labels), abs=0.03)


def test_clustering_leaves_the_global_random_state_and_its_input():
    h, y = problem()
    before = h.clone()
    assert leaves_global_random_state(lambda: clustering(h, y, runs=1))
    assert torch.equal(h, before)


def test_clustering_refuses():
    h, y = problem()
    with pytest.raises(DataError, match="labels"):
        clustering(h, y[:-1])
    with pytest.raises(DataError, match="NaN"):
        clustering(h * torch.inf, y)
    with pytest.raises(DataError, match="0 classes"):
        clustering(h, torch.full_like(y, -1))
    with pytest.raises(RequestError, match="runs"):
        clustering(h, y, runs=0)
