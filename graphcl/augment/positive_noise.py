r"""Noise that is learnt to help: the generators of PiNGDA, one for edges, one for features.

The theory calls noise *positive* where it carries information about the contrastive task; maximising that information
turns out to be minimising the loss over the noise as well. So both generators descend the loss together with the
encoder (``cooperate``). Nothing in the loss keeps them from the easy way, no noise at all; ``penalty`` charges for
leaving a prior, and is what bounds the noise where it is to ``oppose``.

| class | the noise |
|---|---|
| `LearnedEdgeNoise` | relaxed Bernoulli gates on the edges |
| `LearnedFeatureNoise` | normal noise on the features |

The published view 2 has both: ``edges(features(data, generator), generator)``, view 1 the noise on the features alone.
"""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import annotated_types
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import Data

from graphcl.augment.gates import EdgeView
from graphcl.augment.learned import Direction, LearnedAugmenter, LearnedView
from graphcl.config import NonNegative, Positive, Size
from graphcl.encoders.mlp import MLP
from graphcl.graph import GraphShape
from graphcl.ops.linear import feature_linear
from graphcl.seeding import draw_normal

__all__ = ["LearnedEdgeNoise", "LearnedFeatureNoise"]


@dataclass(frozen=True)
class LearnedEdgeNoise(LearnedAugmenter):
    r"""Weigh each edge by a random gate learnt from the features of its ends; by default together with the encoder.

    .. math::
        h_v = W_2\, \mathrm{ReLU}(W_1 x_v + b_1) + b_2, \qquad
        s_{uv} = \tfrac{1}{2} \big(m_\phi([h_u; h_v]) + m_\phi([h_v; h_u])\big), \\
        \tilde A_{uv} = A_{uv}\, \sigma\!\left(\frac{\log \delta - \log(1 - \delta) + s_{uv}}{\tau}\right),
        \quad \delta \sim U(0, 1), \\
        R = penalty \cdot \frac{1}{|B_+|} \sum_{g \in B_+} \frac{1}{|E_g|} \sum_{(u,v) \in E_g}
        \mathrm{KL}\big(\mathrm{Bernoulli}(\sigma(s_{uv})) \,\Vert\, \mathrm{Bernoulli}(1 - prior\_rate)\big)

    Args:
        dim: width of h.
        hidden: width of the hidden layers, of h and of m.
        temperature: :math:`\tau > 0` of the gates.
        penalty: how dear it is to leave the prior; 0 charges nothing.
        prior_rate: share of edges that the prior drops, in (0, 1).
        direction: ``cooperate`` descends the loss.

    Raises:
        RequestError: a number is out of its range.
        DataError: when the view is called on a graph without ``x``, of another number of features, or with edges that
            nothing can be computed on.

    Reference:
        Huang, Xu, Zhang & Li, Learn beneficial noise as graph augmentation (PiNGDA), ICML 2025, the noise of the
        topology. In the released code m is declared for inputs of width 2F and is given 128, which runs only where F
        is 64 (here 2·dim); the two directions of an edge have scores and draws of their own (here one); there is no
        prior (here its penalty is 0 unless asked for); layers start as torch starts them (here those of m have Glorot
        weights and no bias).

    Example:
        >>> g = Data(x=torch.eye(3), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> view = LearnedEdgeNoise().build(GraphShape.of(g), torch.Generator().manual_seed(0))
        >>> weight = view(g, torch.Generator().manual_seed(0)).edge_weight
        >>> bool(weight[0] == weight[1]), bool(weight[1] == weight[2])
        (True, False)
    """

    takes_sparse_features: ClassVar[bool] = True

    dim: Size = 64
    hidden: Size = 128
    temperature: Positive = 1.0
    penalty: NonNegative = 0.0
    prior_rate: Annotated[float, annotated_types.Interval(gt=0.0, lt=1.0)] = 0.2
    direction: Direction = "cooperate"

    def assemble(self, shape: GraphShape) -> LearnedView:
        """The two perceptrons."""
        return _EdgeNoiseView(self, shape.num_features)


class _EdgeNoiseView(EdgeView):
    recipe: LearnedEdgeNoise

    def __init__(self, recipe: LearnedEdgeNoise, num_features: int) -> None:
        super().__init__(recipe, num_features, dim=recipe.dim, hidden=recipe.hidden, temperature=recipe.temperature)
        self.first = nn.Linear(num_features, recipe.hidden)
        self.second = nn.Linear(recipe.hidden, recipe.dim)

    def embed(self, data: Data, edge_index: Tensor) -> Tensor:
        return self.second(F.relu(feature_linear(self.read(data.x), self.first.weight) + self.first.bias))

    def price(self, logits: Tensor) -> Tensor | None:
        if self.recipe.penalty == 0:
            return None
        rate, keep = self.recipe.prior_rate, torch.sigmoid(logits)
        kept = F.logsigmoid(logits) - math.log1p(-rate)
        dropped = F.logsigmoid(-logits) - math.log(rate)
        return self.recipe.penalty * (keep * kept + (1 - keep) * dropped)


@dataclass(frozen=True)
class LearnedFeatureNoise(LearnedAugmenter):
    r"""Add normal noise to the features whose mean and scale are learnt; by default together with the encoder.

    .. math::
        \tilde x_v = x_v + \mu_\phi(x_v) + |s_\phi(x_v)| \odot \varepsilon_v, \qquad \varepsilon_v \sim N(0, I), \\
        R = \frac{penalty}{N F} \sum_{v, f}
        \mathrm{KL}\big(N(\mu_{vf}, s_{vf}^2) \,\Vert\, N(0, prior\_std^2)\big)

    :math:`\mu` and s are perceptrons of one hidden layer with parameters of their own.

    Args:
        hidden: width of their hidden layers.
        penalty: how dear it is to leave the prior; 0 charges nothing.
        prior_std: standard deviation of the prior, above 0.
        direction: ``cooperate`` descends the loss.

    Raises:
        RequestError: a number is out of its range.
        DataError: when the view is called on a graph whose ``x`` is missing, sparse, or has another number of features.

    Reference:
        Huang, Xu, Zhang & Li, Learn beneficial noise as graph augmentation (PiNGDA), ICML 2025, the noise of the
        attributes; networks as in the released code, which calls the scale a variance and uses it as a standard
        deviation, and has no prior.

    Example:
        >>> g = Data(x=torch.eye(3), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> view = LearnedFeatureNoise().build(GraphShape.of(g), torch.Generator().manual_seed(0))
        >>> view(g, torch.Generator().manual_seed(0)).x.requires_grad
        True
    """

    needs: ClassVar[tuple[str, ...]] = ("x",)

    hidden: Size = 256
    penalty: NonNegative = 0.0
    prior_std: Positive = 0.1
    direction: Direction = "cooperate"

    def assemble(self, shape: GraphShape) -> LearnedView:
        """The two perceptrons."""
        return _FeatureNoiseView(self, shape.num_features)


class _FeatureNoiseView(LearnedView):
    recipe: LearnedFeatureNoise

    def __init__(self, recipe: LearnedFeatureNoise, num_features: int) -> None:
        super().__init__(recipe, num_features)
        self.mean = MLP(num_features, recipe.hidden, num_features, act="relu")
        self.scale = MLP(num_features, recipe.hidden, num_features, act="relu")

    def draw(self, data: Data, generator: torch.Generator | None) -> tuple[Data, Tensor]:
        x = self.read(data.x)
        mean = self.mean(x)
        scale = self.scale(x).abs()
        noise = mean
        if self.training:
            noise = mean + scale * draw_normal(*x.shape, generator=generator, device=x.device, dtype=x.dtype)
        data.x = data.x + self.turned(noise).to(data.x.dtype)
        return data, self._price(mean, scale)

    def _price(self, mean: Tensor, scale: Tensor) -> Tensor:
        if self.recipe.penalty == 0 or mean.numel() == 0:
            return mean.new_zeros(())
        # where the scale is 0 the divergence is infinite: the least that a float knows keeps it a number
        ratio = scale.clamp(min=torch.finfo(scale.dtype).tiny) / self.recipe.prior_std
        divergence = (ratio.square() + (mean / self.recipe.prior_std).square() - 1) / 2 - ratio.log()
        return self.recipe.penalty * divergence.mean()
