"""Lists and figures of ranking, against plain loops, hand arithmetic and three other libraries."""

import math
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import ndcg_score

from graphcl.data.interactions import Interactions
from graphcl.errors import DataError, RequestError, RunFailedError
from graphcl.evaluate.rank_scores import RankScores, TopK, paired_difference, rank_metrics
from graphcl.evaluate.ranking import Embedded, evaluate_ranking, top_k

OF_USERS = ("recall", "ndcg", "mrr", "hit", "precision", "map")


class Table:
    """Scores as they are; hands out what ``pick`` makes of the table."""

    def __init__(self, scores, pick=lambda table, users: table[users]):
        self.table, self.pick = torch.as_tensor(scores), pick

    @property
    def num_users(self):
        return self.table.size(0)

    @property
    def num_items(self):
        return self.table.size(1)

    def score(self, users):
        return self.pick(self.table, users)


def pairs(rows, num_items):
    """Interactions from the items of each user."""
    users = [user for user, items in enumerate(rows) for _ in items]
    items = [item for row in rows for item in row]
    return Interactions(
        users=torch.tensor(users, dtype=torch.long),
        items=torch.tensor(items, dtype=torch.long),
        num_users=len(rows),
        num_items=num_items,
    )


def listed(scores, seen, k):
    """One list, by sorting everything."""
    best = sorted((i for i in range(len(scores)) if i not in seen), key=lambda i: (-scores[i], i))[:k]
    return best + [-1] * (k - len(best))


def by_loops(items, test, k):
    """The figures of one user, from definitions."""
    hits, score, dcg, first = 0, 0.0, 0.0, 0.0
    for rank in range(1, k + 1):
        if items[rank - 1] in test:
            hits += 1
            score += hits / rank
            dcg += 1 / math.log2(rank + 1)
            first = first or 1 / rank
    best = min(k, len(test))
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, best + 1))
    return {
        "recall": hits / len(test),
        "ndcg": dcg / ideal,
        "mrr": first,
        "hit": float(hits > 0),
        "precision": hits / k,
        "map": score / best,
    }


def of_lists_by_loops(rows, train, num_items, k):
    shown = [item for row in rows for item in row[:k] if item >= 0]
    users = sum(len(row) > 0 for row in train)
    share = [sum(item in row for row in train) / users for item in range(num_items)]
    counts = [shown.count(item) for item in range(num_items)]
    gaps = sum(abs(a - b) for a in counts for b in counts)
    return {
        "coverage": len(set(shown)) / num_items,
        "popularity": sum(share[item] for item in shown) / len(shown),
        # half the mean absolute difference over the mean: the definition, not the formula of the code
        "gini": gaps / (2 * num_items * sum(counts)),
    }


def lists_of(rows, users=None):
    items = torch.tensor(rows)
    users = torch.arange(len(rows)) if users is None else torch.tensor(users)
    return TopK(users, items, torch.arange(items.size(1), 0, -1).float().expand(items.shape))


@st.composite
def tables(draw):
    """Scores with many equal ones, wide enough for blocks, and what was seen: up to everything."""
    count, width = draw(st.integers(1, 4)), draw(st.integers(1, 120))
    distinct = draw(st.sampled_from([1, 2, 5, 1000]))
    rng = random.Random(draw(st.integers(0, 10**6)))
    scores = [[float(rng.randrange(distinct)) - distinct // 2 for _ in range(width)] for _ in range(count)]
    seen = [{i for i in range(width) if rng.random() < share} for share in rng.choices([0.0, 0.1, 0.9, 1.0], k=count)]
    return scores, seen


@given(tables(), st.integers(1, 130), st.sampled_from([None, 1, 3]))
def test_lists_are_those_of_sorting_everything(table, k, batch):
    scores, seen = table
    width = len(scores[0])
    users = torch.arange(len(scores)).flip(0)
    found = top_k(Table(scores), users, k, pairs(seen, width), batch)
    expected = [listed(scores[user], seen[user], k) for user in users.tolist()]
    assert found.items.tolist() == expected
    assert torch.equal(found.users, users)
    for row, (user, items) in enumerate(zip(users.tolist(), expected, strict=True)):
        assert found.scores[row].tolist() == [scores[user][item] if item >= 0 else -math.inf for item in items]


@given(tables(), st.integers(1, 5))
def test_few_items_of_wide_tables(table, k):
    # blocks are taken from 16 (k + 1) items on: all the ways that a width is no multiple of the blocks
    scores, seen = table
    found = top_k(Table(scores), torch.arange(len(scores)), k, pairs(seen, len(scores[0])))
    assert found.items.tolist() == [listed(row, had, k) for row, had in zip(scores, seen, strict=True)]


@pytest.mark.parametrize("distinct", [3, 300, 10**9])
def test_wide_tables_of_equal_and_different_scores(distinct):
    rng = np.random.default_rng(0)
    scores = rng.integers(distinct, size=(40, 5003)).astype(np.float64)
    found = top_k(Table(scores), torch.arange(40), 20, batch=7)
    order = [np.lexsort((np.arange(5003), -row))[:20] for row in scores]
    assert found.items.tolist() == np.stack(order).tolist()
    assert torch.equal(found.scores, torch.from_numpy(scores).gather(1, found.items))


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_last_items_are_listed_once_whatever_the_width(k):
    for width in range(4, 150):
        found = top_k(Table(torch.arange(float(width))[None]), torch.tensor([0]), k)
        assert found.items.tolist() == [[width - 1 - rank for rank in range(k)]]


def test_without_seen_pairs_everything_is_listed():
    assert top_k(Table([[1.0, 3.0, 2.0]]), torch.tensor([0]), 5).items.tolist() == [[1, 2, 0, -1, -1]]


@pytest.mark.parametrize(
    "pick",
    [
        lambda table, users: table,
        lambda table, users: table[0].expand(len(users), -1),
        lambda table, users: table.T.contiguous().T,
        torch.inference_mode()(lambda table, users: table[users]),
    ],
    ids=["the table itself", "one row for all", "transposed", "inference mode"],
)
def test_what_a_scorer_hands_out_is_as_it_was(pick):
    scorer = Table(torch.tensor([[1.0, 2.0, 3.0]]).repeat(2, 1), pick)
    before = scorer.table.clone()
    found = top_k(scorer, torch.arange(2), 2, pairs([{2}, {1}], 3))
    assert found.items.tolist() == [[1, 0], [2, 0]]
    assert torch.equal(scorer.table, before)


def test_half_precision_is_compared_as_it_is():
    scorer = Embedded(torch.ones(1, 1, dtype=torch.bfloat16), torch.tensor([[256.0], [257.0], [258.0]]).bfloat16())
    # 257 is 256 in eight bits
    assert top_k(scorer, torch.tensor([0]), 3).items.tolist() == [[2, 0, 1]]


def test_nothing_is_kept_for_gradients():
    scorer = Embedded(torch.ones(1, 1, requires_grad=True), torch.ones(3, 1, requires_grad=True))
    assert not top_k(scorer, torch.tensor([0]), 2).scores.requires_grad


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_scores_that_are_no_numbers_are_refused(wrong):
    scores = torch.zeros(2, 5)
    scores[1, 3] = wrong
    # also where the pair would be hidden
    with pytest.raises(RunFailedError, match="NaN or infinity"):
        top_k(Table(scores), torch.arange(2), 2, pairs([set(), {3}], 5))


def test_large_scores_are_numbers():
    assert top_k(Table(torch.full((1, 9), 3e38)), torch.tensor([0]), 2).items.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: top_k(t, torch.tensor([0]), 0), "k = 0"),
        (lambda t: top_k(t, torch.tensor([0]), 1, batch=0), "batch = 0"),
        (lambda t: top_k(t, torch.tensor([2]), 1), "2 of 2"),
        (lambda t: top_k(t, torch.tensor([-1]), 1), "-1"),
        (lambda t: top_k(t, torch.tensor([1, 1]), 1), "name each once"),
        (lambda t: top_k(t, torch.tensor([0.0]), 1), "int64"),
        (lambda t: top_k(t, torch.tensor([0]), 1, pairs([{0}], 3)), "fit it anew"),
        (lambda t: top_k(Table(t.table, lambda s, u: s[:, :1]), torch.tensor([0, 1]), 1), "expected floating"),
        (lambda t: top_k(Table(t.table.long()), torch.tensor([0, 1]), 1), "expected floating"),
        (lambda t: Embedded(torch.ones(2, 3), torch.ones(2, 4)), "alike"),
        (lambda t: Embedded(torch.ones(2, 3), torch.ones(2, 3).double()), "alike"),
        (lambda t: evaluate_ranking(t, pairs([{0}], 3), None, pairs([{0}], 3)), "fit it anew"),
        (lambda t: evaluate_ranking(t, pairs([{0}, {1}], 3), None, pairs([{0}, {1}], 3), cutoffs=()), "cutoffs"),
        (lambda t: rank_metrics(lists_of([[0]]), pairs([{0}], 3), pairs([{0}], 3), (2,)), "lists of 1 items"),
    ],
)
def test_requests_that_make_no_sense(call, message):
    with pytest.raises(RequestError, match=message):
        call(Table([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lists_of([[1, 1]]), "twice"),
        (lambda: lists_of([[1], [1]], users=[0, 0]), "two lists"),
        (lambda: TopK(torch.arange(2), torch.zeros(1, 1).long(), torch.zeros(1, 1)), "make them"),
        (lambda: TopK(torch.arange(1), torch.zeros(1, 1), torch.zeros(1, 1)), "int64"),
        (lambda: rank_metrics(lists_of([[3]]), pairs([{0}], 3), pairs([{0}], 3), (1,)), "item 3"),
        (lambda: rank_metrics(lists_of([[-2]]), pairs([{0}], 3), pairs([{0}], 3), (1,)), "item -2"),
        (lambda: rank_metrics(lists_of([[0]], [1]), pairs([{0}], 3), pairs([{0}], 3), (1,)), "user 1"),
        (lambda: rank_metrics(lists_of([[0]]), pairs([set()], 3), pairs([{0}], 3), (1,)), "0 users"),
        (lambda: rank_metrics(lists_of([[-1]]), pairs([{0}], 3), pairs([{0}], 3), (1,)), "0 listed"),
        (lambda: rank_metrics(lists_of([[0]]), pairs([{0}], 3), pairs([set()], 3), (1,)), "0 training"),
        (lambda: rank_metrics(lists_of([[0]]), pairs([{0}], 3), pairs([{0}], 4), (1,)), "numbering"),
    ],
)
def test_data_that_cannot_be_compared(call, message):
    with pytest.raises(DataError, match=message):
        call()


def test_no_users_have_no_lists():
    assert top_k(Table([[1.0]]), torch.empty(0, dtype=torch.long), 3).items.shape == (0, 3)


def test_figures_by_hand():
    # user 0 finds items 1 and 4 of {1, 4, 5} at ranks 1 and 3; user 1 has nothing to find; user 2 finds item 0 at rank 2
    lists = lists_of([[1, 2, 4], [0, 1, 2], [3, 0, -1]])
    test, train = pairs([{1, 4, 5}, set(), {0}], 6), pairs([{3}, {3, 5}, {1}], 6)
    scores = rank_metrics(lists, test, train, cutoffs=(1, 3))
    assert scores.users.tolist() == [0, 2]
    ndcg = (1 + 1 / 2) / (1 + 1 / math.log2(3) + 1 / 2)
    expected = {
        "recall@3": [2 / 3, 1.0],
        "ndcg@3": [ndcg, 1 / math.log2(3)],
        "mrr@3": [1.0, 1 / 2],
        "hit@3": [1.0, 1.0],
        "precision@3": [2 / 3, 1 / 3],
        "map@3": [(1 + 2 / 3) / 3, 1 / 2],
        "recall@1": [1 / 3, 0.0],
        "ndcg@1": [1.0, 0.0],
        "mrr@1": [1.0, 0.0],
        "hit@1": [1.0, 0.0],
        "precision@1": [1.0, 0.0],
        "map@1": [1.0, 0.0],
    }
    assert scores.per_user.keys() == expected.keys()
    for name, values in expected.items():
        assert scores.per_user[name].tolist() == pytest.approx(values), name
        assert scores.metrics[name] == pytest.approx(sum(values) / 2), name
    # entries: 0 twice, 1 twice, 2 twice, 3 once, 4 once, 5 never; of 3 training users 2 have item 3, 1 has item 1
    assert scores.metrics["coverage@3"] == pytest.approx(5 / 6)
    assert scores.metrics["popularity@3"] == pytest.approx((2 * 1 / 3 + 2 / 3) / 8)
    # ascending counts 0 1 1 2 2 2, weights -5 -3 -1 1 3 5
    assert scores.metrics["gini@3"] == pytest.approx((-3 - 1 + 2 + 6 + 10) / (6 * 8))
    assert set(scores.metrics) == expected.keys() | {
        f"{name}@{k}" for name in ("coverage", "popularity", "gini") for k in (1, 3)
    }


def test_gini_from_all_alike_to_one_for_all():
    test = pairs([{0}] * 4, 4)
    assert rank_metrics(lists_of([[0], [1], [2], [3]]), test, test, (1,)).metrics["gini@1"] == 0.0
    assert rank_metrics(lists_of([[2]] * 4), test, test, (1,)).metrics["gini@1"] == pytest.approx(1 - 1 / 4)


@given(tables(), st.integers(0, 10**6), st.integers(1, 12))
def test_figures_are_those_of_loops(table, seed, k):
    scores, seen = table
    width, rng = len(scores[0]), random.Random(seed)
    test = [{i for i in range(width) if rng.random() < rng.choice([0.0, 0.1, 0.9])} for _ in scores]
    train = [{rng.randrange(width)}, *seen[1:]]
    wanted = [user for user, items in enumerate(test) if items]
    rows = {user: listed(scores[user], seen[user], k) for user in wanted}

    def evaluated():
        return evaluate_ranking(
            Table(scores), pairs(test, width), pairs(seen, width), pairs(train, width), cutoffs=(k, 1), batch=2
        )

    if not any(row[0] >= 0 for row in rows.values()):
        with pytest.raises(DataError):
            evaluated()
        return
    found = evaluated()
    assert found.users.tolist() == wanted
    for cutoff in {k, 1}:
        loops = [by_loops(rows[user], test[user], cutoff) for user in wanted]
        for name in OF_USERS:
            values = [one[name] for one in loops]
            assert found.per_user[f"{name}@{cutoff}"].tolist() == pytest.approx(values, abs=1e-12)
            assert found.metrics[f"{name}@{cutoff}"] == pytest.approx(sum(values) / len(values), abs=1e-12)
            assert all(0 <= value <= 1 + 1e-12 for value in values)
        for name, value in of_lists_by_loops(list(rows.values()), train, width, cutoff).items():
            assert found.metrics[f"{name}@{cutoff}"] == pytest.approx(value, abs=1e-12)


def test_a_perfect_list_has_one_of_everything_it_can_have():
    # five test items and room for three: recall cannot reach 1, what is measured against the best list does
    scores = rank_metrics(lists_of([[0, 1, 2]]), pairs([{0, 1, 2, 3, 4}], 6), pairs([{5}], 6), (3,)).metrics
    assert scores["recall@3"] == pytest.approx(3 / 5)
    assert [scores[f"{name}@3"] for name in OF_USERS[1:]] == pytest.approx([1.0] * 5)


def test_ndcg_is_that_of_scikit_learn():
    rng = np.random.default_rng(1)
    scores, relevant = rng.normal(size=(30, 200)), rng.random((30, 200)) < 0.1
    test = pairs([set(np.flatnonzero(row).tolist()) for row in relevant], 200)
    found = evaluate_ranking(Table(scores), test, None, test, cutoffs=(5, 20))
    for k in (5, 20):
        assert found.metrics[f"ndcg@{k}"] == pytest.approx(ndcg_score(relevant, scores, k=k), abs=1e-12)


LISTS = [[3, 0, 7, 5, 1], [2, 6, 4, 0, 3], [1, 2, 3, 4, 5], [7, 6, 5, 4, 3]]
TESTS = [{0, 5}, {3}, {1, 2, 4, 5, 6}, {0, 1, 2}]
# what lenskit 2025.8.1 and ranx 0.3.21 both give for these lists of five of eight items, one figure for each user
GIVEN = {
    "recall": [1.0, 1.0, 0.8, 0.0],
    "ndcg": [0.65092093, 0.38685281, 0.8304199, 0.0],
    "mrr": [0.5, 0.2, 1.0, 0.0],
    "hit": [1.0, 1.0, 1.0, 0.0],
    "precision": [0.4, 0.2, 0.8, 0.0],
    "map": [0.5, 0.2, 0.71, 0.0],
}
# lenskit's alone
GIVEN_GINI = 0.1375


def lenskit_figures(lists, tests, k):
    """By lenskit, where its definitions are ours: full lists, and recall where a user has k test items at most."""
    metrics = pytest.importorskip("lenskit.metrics")
    ranking = pytest.importorskip("lenskit.metrics.ranking")
    item_list = pytest.importorskip("lenskit.data").ItemList
    measures = {
        "recall": metrics.Recall(k),
        # its default gives ranks 1 and 2 the same weight
        "ndcg": metrics.NDCG(k, weight=ranking.LogRankWeight(offset=1)),
        "mrr": metrics.RecipRank(k),
        "hit": metrics.Hit(k),
        "precision": metrics.Precision(k),
        "map": ranking.AveragePrecision(k),
    }
    rows = [
        (item_list(item_ids=row, ordered=True), item_list(item_ids=sorted(test)))
        for row, test in zip(lists, tests, strict=True)
    ]
    return {name: [float(one.measure_list(*row)) for row in rows] for name, one in measures.items()}


def lenskit_gini(lists, k, num_items):
    item_list = pytest.importorskip("lenskit.data").ItemList
    measure = pytest.importorskip("lenskit.metrics").ListGini(k, items=num_items)
    return float(
        measure.global_aggregate(
            [measure.compute_list_data(item_list(item_ids=row, ordered=True), None) for row in lists]
        )
    )


def ranx_figures(lists, tests, k):
    """By ranx; its average precision is over all test items, ours where a user has k at most."""
    ranx = pytest.importorskip("ranx")
    names = {
        "recall": "recall",
        "ndcg": "ndcg",
        "mrr": "mrr",
        "hit": "hit_rate",
        "precision": "precision",
        "map": "map",
    }
    wanted = {f"u{user:05}": {f"i{item}": 1 for item in items} for user, items in enumerate(tests)}
    run = {
        f"u{user:05}": {f"i{item}": float(len(row) - rank) for rank, item in enumerate(row)}
        for user, row in enumerate(lists)
    }
    figures = ranx.evaluate(
        ranx.Qrels(wanted), ranx.Run(run), [f"{theirs}@{k}" for theirs in names.values()], return_mean=False
    )
    return {ours: [float(value) for value in figures[f"{theirs}@{k}"]] for ours, theirs in names.items()}


def ours(lists, tests, k, num_items):
    test = pairs(tests, num_items)
    return rank_metrics(lists_of(lists), test, test, (k,))


def agree(found, theirs, k, comparable):
    for name, values in theirs.items():
        own = found.per_user[f"{name}@{k}"].tolist()
        kept = [i for i in range(len(own)) if comparable(name, i)]
        assert [own[i] for i in kept] == pytest.approx([values[i] for i in kept], abs=1e-7), name


def random_example():
    rng = random.Random(20)
    lists = [rng.sample(range(60), 20) for _ in range(200)]
    return lists, [set(rng.sample(range(60), rng.randint(1, 30))) for _ in range(200)]


@pytest.mark.parametrize(("figures", "differs"), [(lenskit_figures, "recall"), (ranx_figures, "map")])
@pytest.mark.parametrize("k", [1, 10, 20])
def test_figures_are_those_of_other_libraries(figures, differs, k):
    lists, tests = random_example()
    found = ours(lists, tests, k, 60)
    agree(found, figures(lists, tests, k), k, lambda name, i: name != differs or len(tests[i]) <= k)


def test_gini_is_that_of_lenskit():
    lists, tests = random_example()
    assert ours(lists, tests, 10, 60).metrics["gini@10"] == pytest.approx(lenskit_gini(lists, 10, 60), abs=1e-7)


def test_figures_are_those_that_other_libraries_gave():
    found = ours(LISTS, TESTS, 5, 8)
    agree(found, GIVEN, 5, lambda name, i: True)
    assert found.metrics["gini@5"] == pytest.approx(GIVEN_GINI)


@pytest.mark.parametrize("figures", [lenskit_figures, ranx_figures])
def test_what_other_libraries_gave_is_what_they_give(figures):
    assert figures(LISTS, TESTS, 5).keys() == GIVEN.keys()
    for name, values in figures(LISTS, TESTS, 5).items():
        assert values == pytest.approx(GIVEN[name], abs=1e-7), name


def test_difference_is_that_of_a_paired_test():
    rng = np.random.default_rng(2)
    a, b = rng.random(50), rng.random(50)
    users = torch.arange(50)
    one, other = (RankScores({}, {"ndcg@20": torch.from_numpy(values)}, users) for values in (a, b))
    mean, half = paired_difference(one, other, "ndcg@20")
    interval = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert (mean - half, mean + half) == pytest.approx((interval.low, interval.high))
    assert paired_difference(other, one, "ndcg@20") == pytest.approx((-mean, half))
    assert paired_difference(one, one, "ndcg@20") == (0.0, 0.0)


def test_differences_that_are_none():
    one = RankScores({"gini@2": 0.5}, {"hit@2": torch.ones(1)}, torch.tensor([3]))
    other = RankScores({}, {"hit@2": torch.zeros(1)}, torch.tensor([4]))
    with pytest.raises(RequestError, match="same users"):
        paired_difference(one, other, "hit@2")
    with pytest.raises(RequestError, match="known: hit@2"):
        paired_difference(one, one, "gini@2")
    mean, half = paired_difference(one, one, "hit@2")
    assert mean == 0.0
    assert math.isnan(half)


MEASURED = """
import resource, torch
from graphcl.data.interactions import Interactions
from graphcl.evaluate.ranking import Embedded, top_k
torch.set_num_threads(1)
users, items = 10_000, 10_000
pairs = Interactions(users=torch.arange(users), items=torch.arange(users) % items, num_users=users, num_items=items)
random, constant = (Embedded(draw(users, 1), draw(items, 1)) for draw in (torch.rand, torch.ones))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
top_k(random, torch.arange(500), 20, pairs)
before = peak()
top_k(random, torch.arange(users), 20, pairs)
after = peak()
top_k(constant, torch.arange(6_000), 20, pairs)
print(after - before, peak() - after)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no resource module")
def test_users_times_items_are_never_in_memory():
    done = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True)
    growth, of_equal = (int(part) for part in done.stdout.split())
    # all scores are 381 MiB, 229 MiB of the users whose scores are all equal; a batch has 16, and 64 at work
    assert growth < 120
    assert of_equal < 120


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_lists_are_the_same_on_a_gpu():
    rng = np.random.default_rng(3)
    scores = torch.from_numpy(rng.integers(500, size=(50, 4001)).astype(np.float32))
    seen = pairs([set(rng.integers(4001, size=30).tolist()) for _ in range(50)], 4001)
    here, there = (top_k(Table(table), torch.arange(50), 20, seen, 16) for table in (scores, scores.cuda()))
    assert torch.equal(here.items, there.items)
    assert torch.equal(here.scores, there.scores)
