"""The early-stopped probe against the loop that the official codes write out."""

import torch
import torch.nn.functional as F

from graphcl.data.splits import Split, Triple, draw
from graphcl.evaluate import EarlyStoppedProbe, score, selections


def problem(seed: int = 0, n: int = 90, d: int = 6) -> tuple[torch.Tensor, torch.Tensor, Split]:
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 3
    h = F.one_hot(y, d).float() + 1.5 * torch.randn(n, d, generator=generator)
    return h, y, draw("random-60-20-20", y, seed)


def written_out(h, y, triple, epochs, lr, weight_decay):
    """Adam on a linear layer; the parameters of the first epoch with the best validation accuracy."""
    layer = torch.nn.Linear(h.size(1), 3)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    optimiser = torch.optim.Adam(layer.parameters(), lr=lr, weight_decay=weight_decay)
    best, kept, when = -1.0, None, 0
    for epoch in range(1, epochs + 1):
        optimiser.zero_grad()
        F.cross_entropy(layer(h[triple.train]), y[triple.train]).backward()
        optimiser.step()
        with torch.no_grad():
            accuracy = (layer(h[triple.val]).argmax(1) == y[triple.val]).double().mean().item()
        if accuracy > best:
            best, when, kept = accuracy, epoch, layer(h).detach()
    return best, when, kept


def test_equals_the_loop_written_out() -> None:
    for seed in range(3):
        h, y, split = problem(seed)
        probe = EarlyStoppedProbe(lr=0.05, weight_decay=1e-3, epochs=60)
        fitted = probe.fit(h, selections(y, split, torch.Generator()), classes=3, metric="acc")[0]
        best, when, logits = written_out(h, y, split.triples[0], 60, 0.05, 1e-3)
        assert fitted.chosen == {"epoch": when, "score": best}
        assert torch.allclose(fitted.logits(h), logits, atol=1e-5)


def test_test_labels_are_out_of_reach() -> None:
    h, y, split = problem()
    spoilt = y.clone()
    spoilt[split.triples[0].test] = (spoilt[split.triples[0].test] + 1) % 3
    probe = EarlyStoppedProbe(epochs=40)
    assert score(h, y, split, probe).chosen == score(h, spoilt, split, probe).chosen


def test_cross_validation_trains_again_on_all_of_train() -> None:
    h, y, _ = problem()
    split = draw("random-20-80-cv", y, seed=0)
    visible = selections(y, split, torch.Generator().manual_seed(0))
    fitted = EarlyStoppedProbe(epochs=30).fit(h, visible, classes=3, metric="acc")[0]
    whole = Split("by hand", (Triple(split.triples[0].train, split.triples[0].train[:0], torch.tensor([])),), "test")
    epochs = fitted.chosen["epoch"]
    layer = torch.zeros(3, h.size(1) + 1, requires_grad=True)
    optimiser = torch.optim.Adam([layer], lr=0.01, weight_decay=1e-4)
    rows = whole.triples[0].train
    for _ in range(epochs):
        optimiser.zero_grad()
        F.cross_entropy(F.linear(h[rows], layer[:, :-1], layer[:, -1]), y[rows]).backward()
        optimiser.step()
    assert torch.allclose(fitted.logits(h), F.linear(h, layer[:, :-1], layer[:, -1]), atol=1e-5)


def test_logits_are_differentiable_in_the_embedding() -> None:
    h, y, split = problem()
    fitted = EarlyStoppedProbe(epochs=5).fit(h, selections(y, split, torch.Generator()), classes=3, metric="acc")[0]
    leaf = h[:4].double().requires_grad_()
    assert torch.autograd.gradcheck(fitted.logits, (leaf,))
