"""An epoch of GRACE by graphcl's own training loop: views, encoding, loss, backward and optimiser step."""

from harness import report
from inputs import arguments, read_graph

from graphcl.methods.grace import Grace
from graphcl.plan import Plan
from graphcl.train import start


def main() -> None:
    """Measure it on a graph file; sizes and rates are those of `peer_scripts/pygcl_grace.py`."""
    parser = arguments()
    parser.add_argument("graph")
    asked = parser.parse_args()
    recipe = Grace(
        dim=256,  # hidden layer 512
        projection=256,
        act="relu",
        edge_dropout=(0.2, 0.4),
        feature_mask=(0.3, 0.4),
        temperature=0.4,
        plan=Plan(epochs=asked.warmup + asked.repeats, lr=0.01, device="cpu"),
    )
    training = start(recipe, read_graph(asked.graph), seed=0)
    losses: list[float] = []
    report(
        lambda: losses.append(next(training.steps).loss),
        asked.warmup,
        asked.repeats,
        lambda: f"loss {losses[0]:.4f} → {losses[-1]:.4f}",
    )


if __name__ == "__main__":
    main()
