"""Memories answer for equal content only, share a budget, and can be emptied."""

import pytest
import torch

from graphcl import remembered
from graphcl.remembered import Recalled, Remembered, forget


def test_equal_content_is_recalled_and_anything_else_is_made_anew():
    memory, made = Recalled(), []

    def of(*key):
        return memory.of(key, lambda: made.append(key) or len(made))

    x = torch.arange(4)
    assert of(x, 1) == of(x.clone(), 1) == 1
    for other in (
        (x, 2), (x, 1.0), (x, True), (x, None), (x, "1"), (x.int(), 1), (x.view(2, 2), 1), (x[:3], 1), (x, 1, x),
        (x.float().view(2, 2).to_sparse_csr(), 1), (None, 1),
    ):  # fmt: skip
        before = len(made)
        of(*other)
        assert len(made) == before + 1, other


def test_what_is_changed_in_place_is_another_thing():
    memory, x = Recalled(), torch.arange(4)
    assert memory.of((x,), lambda: "first") == "first"
    x[0] = 9
    assert memory.of((x,), lambda: "second") == "second"
    alias = x.numpy()
    alias[1] = 7  # which no version counter sees
    assert memory.of((x,), lambda: "third") == "third"


def test_results_serve_training_where_they_were_made_in_inference_mode():
    memory, x = Recalled(), torch.arange(4.0)
    with torch.inference_mode():
        memory.of((x.clone(),), lambda: x * 2)
    weight = torch.ones(4, requires_grad=True)
    (memory.of((x,), lambda: None) * weight).sum().backward()
    assert weight.grad.tolist() == [0, 2, 4, 6]


def test_all_memories_share_a_budget(monkeypatch):
    forget()
    monkeypatch.setattr(remembered, "_BUDGET", 100)
    one, two = Remembered(), Remembered()
    one.add("old", 60)
    two.add("new", 40)
    assert one.items == ("old",)
    two.add("newer", 30)
    assert (one.items, two.items) == ((), ("newer", "new"))
    assert two.find(lambda item: item == "new") == "new"  # used: the other is the older one now
    one.add("newest", 50)
    assert (one.items, two.items) == (("newest",), ("new",))


def test_a_memory_keeps_its_last_few():
    memory = Remembered(count=2)
    for item in "abc":
        memory.add(item, 1)
    assert memory.items == ("c", "b")
    memory.add("huge", 2**24 + 1)
    assert memory.items == ("c", "b")


@pytest.mark.parametrize("memory", [Remembered(), Remembered(count=1)])
def test_forgetting_empties_all(memory):
    memory.add("something", 1)
    forget()
    assert memory.items == ()
