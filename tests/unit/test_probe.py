"""What selection may see, what a probe refuses, and the floor of a table."""

import json

import pytest
import torch
from sklearn.metrics import roc_auc_score

from graphcl.config import decode, encode
from graphcl.data.splits import Split, Triple
from graphcl.errors import DataError, RequestError
from graphcl.evaluate.logistic import LogisticProbe
from graphcl.evaluate.probes import FOLDS, MajorityProbe, Probe, Selection, selection_score, selections
from graphcl.evaluate.scoring import macro_f1

PROBES = [LogisticProbe(strengths=(1.0,)), MajorityProbe()]


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _seen(labels: list[int], train: list[int], val: list[int]) -> Selection:
    rows = torch.tensor(train)
    return Selection(torch.tensor(labels), rows, ((rows, torch.tensor(val)),))


def test_selection_hides_every_other_label() -> None:
    y = torch.tensor([3, 2, 1, 0, 1, 2])
    triple = Triple(torch.tensor([5, 1]), torch.tensor([2]), torch.tensor([0, 3]))
    [seen] = selections(y, Split("s", (triple,), ""), _generator())
    assert seen.labels.tolist() == [-1, 2, 1, -1, -1, 2]
    assert [part.tolist() for part in seen.pairs[0]] == [[1, 5], [2]]
    seen.labels[1] = 0
    assert y[1] == 2


def test_validation_split_draws_nothing() -> None:
    g = _generator()
    before = g.get_state()
    triple = Triple(torch.tensor([0]), torch.tensor([1]), torch.tensor([2]))
    selections(torch.zeros(3), Split("s", (triple,), ""), g)
    assert torch.equal(g.get_state(), before)


def _cross_validated(y: torch.Tensor, train: torch.Tensor, seed: int = 0) -> Selection:
    none = torch.tensor([], dtype=torch.long)
    split = Split("s", (Triple(train, none, none),), "", "cross-validation")
    return selections(y, split, _generator(seed))[0]


def test_folds_partition_train_and_keep_the_classes_apart_evenly() -> None:
    y = torch.tensor([0] * 13 + [1] * 7 + [2] * 3 + [0] * 9)
    train = torch.arange(23)
    seen = _cross_validated(y, train)
    assert len(seen.pairs) == FOLDS
    assert torch.cat([score for _, score in seen.pairs]).sort().values.tolist() == train.tolist()
    for fit, score in seen.pairs:
        assert sorted(fit.tolist() + score.tolist()) == train.tolist()
    counts = torch.stack([torch.bincount(y[score], minlength=3) for _, score in seen.pairs])
    assert (counts.amax(dim=0) - counts.amin(dim=0) <= 1).all()
    sizes = counts.sum(dim=1)
    assert sizes.max() - sizes.min() <= 1


def test_folds_are_the_generator_s() -> None:
    y, train = torch.arange(40) % 3, torch.arange(40)
    first, same, other = (_cross_validated(y, train, seed).pairs[0][1].tolist() for seed in (0, 0, 1))
    assert first == same
    assert first != other


def test_fewer_rows_than_folds() -> None:
    assert len(_cross_validated(torch.tensor([0, 1, 0]), torch.arange(3)).pairs) == 3
    with pytest.raises(DataError, match="one training row"):
        _cross_validated(torch.tensor([0, 1]), torch.tensor([0]))


def test_empty_validation_part_is_refused() -> None:
    none = torch.tensor([], dtype=torch.long)
    with pytest.raises(DataError, match=r"s\[0\]: the validation part is empty"):
        selections(torch.tensor([0, 1]), Split("s", (Triple(torch.tensor([0]), none, none),), ""), _generator())


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_refusals(probe: Probe) -> None:
    seen = [_seen([0, 1, 0, 1], [0, 1], [2, 3])]
    bad = torch.zeros(4, 2)
    bad[1, 0] = torch.nan
    with pytest.raises(DataError, match="NaN or infinity in 1 of 4 rows"):
        probe.fit(bad, seen, 2, "acc")
    with pytest.raises(DataError, match="matrix"):
        probe.fit(torch.zeros(4), seen, 2, "acc")
    with pytest.raises(DataError, match="matrix"):
        probe.fit(torch.zeros(4, 2, dtype=torch.long), seen, 2, "acc")
    with pytest.raises(DataError, match="5 rows for 4 labels"):
        probe.fit(torch.zeros(5, 2), seen, 2, "acc")
    with pytest.raises(DataError, match="two classes and there are 3"):
        probe.fit(torch.zeros(4, 2), seen, 3, "auc")
    with pytest.raises(DataError, match="label 1 with 1 classes"):
        probe.fit(torch.zeros(4, 2), seen, 1, "acc")
    with pytest.raises(DataError, match="no label"):
        probe.fit(torch.zeros(4, 2), [_seen([0, -1, 0, 1], [0, 1], [2, 3])], 2, "acc")


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_record_is_json(probe: Probe) -> None:
    [fitted] = probe.fit(torch.eye(4), [_seen([0, 1, 0, 1], [0, 1], [2, 3])], 2, "acc")
    json.dumps([probe.describe(), fitted.chosen], allow_nan=False)
    assert probe.describe()["probe"] == probe.name


def test_logistic_is_a_config() -> None:
    probe = LogisticProbe(normalisations=("unit",), strengths=(1.0, 2.0))
    assert decode(LogisticProbe, encode(probe)) == probe
    for wrong in ({"strengths": ()}, {"strengths": (0.0,)}, {"normalisations": ()}, {"tolerance": 1e-12}):
        with pytest.raises(RequestError):
            probe.replace(**wrong)


def test_majority_counts_train_and_validation() -> None:
    seen = [_seen([2, 0, 2, 2, -1], [0, 1], [2, 3]), _seen([1, 0, -1, -1, -1], [0], [1])]
    first, second = MajorityProbe().fit(torch.zeros(5, 3), seen, 4, "acc")
    h = torch.randn(6, 3, generator=_generator(), requires_grad=True)
    assert (first.logits(h).argmax(dim=1) == 2).all()
    assert second.chosen == {"label": 0, "rows": 2}
    torch.testing.assert_close(first.logits(h).exp().sum(dim=1), torch.ones(6).double())
    [slope] = torch.autograd.grad(first.logits(h).sum(), h)
    assert (slope == 0).all()


def test_auc_agrees_with_scikit_learn_also_on_ties() -> None:
    g = _generator()
    y = torch.randint(2, (50,), generator=g)
    z = torch.randint(4, (3, 50, 2), generator=g).double()
    theirs = [roc_auc_score(y.numpy(), (one[:, 1] - one[:, 0]).numpy()) for one in z]
    torch.testing.assert_close(selection_score(z, y, "auc"), torch.tensor(theirs, dtype=torch.float64))
    assert selection_score(z, torch.ones(50), "auc").tolist() == [0.5] * 3


def test_macro_f1_by_hand() -> None:
    logits = torch.eye(3)[[0, 1, 1, 1]]
    # 2/3 of class 0, 1/2 of class 1, nothing of class 2, which is never said
    assert macro_f1(logits, torch.tensor([0, 0, 1, 2])) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    # a class that is said and not there counts as never found
    assert macro_f1(logits[:2], torch.tensor([0, 0])) == pytest.approx((2 / 3 + 0) / 2)
