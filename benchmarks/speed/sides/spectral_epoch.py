"""One training step of PolyGCL or of ASPECT on a graph, at the same width and order."""

import torch
from harness import report
from inputs import arguments, read_graph

from graphcl.methods import Aspect, Polygcl
from graphcl.methods.recipe import Recipe
from graphcl.plan import Plan
from graphcl.train import start

DIM, ORDER = 512, 10
WAYS: dict[str, Recipe] = {
    "polygcl": Polygcl.preset("pubmed", {"dim": DIM, "order": ORDER}),
    "aspect": Aspect(dim=DIM, order=ORDER),
    "aspect-infomax": Aspect(dim=DIM, order=ORDER, contrast="infomax"),
    "aspect-global": Aspect(dim=DIM, order=ORDER, gate="global"),
}


def main() -> None:
    """Measure one of them."""
    parser = arguments(warmup=1, repeats=3)
    parser.add_argument("way", choices=list(WAYS))
    parser.add_argument("graph")
    asked = parser.parse_args()
    recipe = WAYS[asked.way]
    many = Plan(epochs=1000, lr=recipe.plan.lr, device="cpu")
    steps = start(recipe.replace(plan=many), read_graph(asked.graph), 0).steps
    losses = []

    def step() -> None:
        losses.append(next(steps).loss)

    report(step, asked.warmup, asked.repeats, lambda: f"loss {losses[0]:.4f} → {losses[-1]:.4f}")


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
