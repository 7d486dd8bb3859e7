r"""Gates: how much each node takes from each channel of a filter bank. They return their weights for people to see.

A `Gating` is a configuration; it builds a `Gate`, the module.

| gate | weights of node v over K channels |
|---|---|
| `GlobalGate` | softmax of K learned numbers, the same for every node |
| `NodeGate` | softmax of a perceptron of the node |
| `SigmoidGate` | sigmoids of the perceptron, divided by their sum |
| `TopKGate` | softmax over the k largest, 0 for the others |
| `HardGate` | one channel; in training drawn, with straight-through gradients |
| `ReliabilityGate` | softmax of the perceptron minus how far a perturbation moves each channel |
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphcl.config import Config, NonNegative, Positive, Size
from graphcl.errors import EmbeddingError, RequestError
from graphcl.seeding import Stream, draw_uniform

__all__ = [
    "Gate",
    "GateInput",
    "Gating",
    "GlobalGate",
    "HardGate",
    "NodeGate",
    "ReliabilityGate",
    "SigmoidGate",
    "TopKGate",
]

GateInput: TypeAlias = Literal["both", "channels", "context"]
"""What the perceptron of a gate sees: the channels of the node, each scaled to length 1, the context, or both."""


class _Perceptron(nn.Module):
    """Two layers over the channels of a node, each scaled to length 1, and its context; zero at first.

    The first layer meets the channels as they are, and its result is divided by their lengths: no scaled copy of them.
    """

    def __init__(self, width: int, hidden: int, channels: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, hidden)
        self.last = nn.Linear(hidden, channels)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, h: Tensor | None, context: Tensor | None) -> Tensor:
        weight, used = self.first.weight, 0
        total: Tensor = self.first.bias
        if h is not None:
            used = h.size(1) * h.size(2)
            parts = weight[:, :used].unflatten(1, h.shape[1:])
            for k, channel in enumerate(h.unbind(1)):
                length = channel.norm(dim=1, keepdim=True).clamp(min=1e-12)
                total = total + F.linear(channel, parts[:, k]) / length
        if context is not None:
            total = total + F.linear(context.to(weight), weight[:, used:])
        return self.last(total.relu())


class Gate(nn.Module):
    r"""Weights over the channels of each node, and the channels fused by them.

    .. math:: z_v = \sum_k a_{vk}\, h_{vk}, \qquad a_{vk} \ge 0, \quad \sum_k a_{vk} = 1

    Args:
        channels: K.
        dim: D.
        scores: from the input of the gate to ``[N, K]``; ``None`` has one learned score for each channel.
        sees: what the scores are made from.
        rule: from scores (and sensitivities) to weights on the simplex.
        context: width C of the context; 0 takes none.
    """

    def __init__(
        self,
        channels: int,
        dim: int,
        scores: "_Perceptron | None",
        sees: GateInput,
        rule: Callable[["Gate", Tensor, Tensor | None, torch.Generator | None], Tensor],
        context: int,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.dim = dim
        self.context = context
        self.sees = sees
        self.scores = scores
        self.rule = rule
        self.constant = nn.Parameter(torch.zeros(channels)) if scores is None else None

    def forward(
        self,
        h: Tensor,
        context: Tensor | None = None,
        sensitivity: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Fuse the channels.

        Args:
            h: ``[N, K, D]``.
            context: ``[N, C]``, such as `local_descriptors`; only where the gate was built with some.
            sensitivity: ``[N, K]``, not negative: how far a perturbation moves each channel. Only `ReliabilityGate`
                looks at it.
            generator: the source of what `HardGate` draws in training; ``None`` draws on torch's own.

        Returns:
            The fused rows ``[N, D]`` and the weights ``[N, K]``.

        Raises:
            RequestError: another number of channels, or another context than the gate was built for.
            EmbeddingError: the context or the sensitivity holds NaN or infinity.
        """
        weights = self.weights(h, context, sensitivity, generator)
        return torch.einsum("nk,nkd->nd", weights, h), weights

    def weights(
        self,
        h: Tensor,
        context: Tensor | None = None,
        sensitivity: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The weights alone, ``[N, K]``; arguments and errors as in `forward`."""
        if h.dim() != 3 or h.shape[1:] != (self.channels, self.dim):
            raise RequestError(
                f"channels have shape {list(h.shape)}; this gate was built for [N, {self.channels}, {self.dim}]"
            )
        wanted = (h.size(0), self.context) if self.context else None
        if self.sees != "channels" and (None if context is None else tuple(context.shape)) != wanted:
            shape = None if context is None else list(context.shape)
            raise RequestError(f"the context has shape {shape}; this gate was built for [N, {self.context}]")
        for name, given in (("context", context), ("sensitivity", sensitivity)):
            if given is not None and not torch.isfinite(given).all():
                raise EmbeddingError(f"the {name} of the gate holds NaN or infinity; clean the features it is made of")
        if sensitivity is not None and sensitivity.shape != h.shape[:2]:
            raise RequestError(f"the sensitivity has shape {list(sensitivity.shape)}; expected {list(h.shape[:2])}")
        if self.scores is None:
            assert self.constant is not None
            scores = self.constant.expand(h.size(0), -1)
        else:
            scores = self.scores(None if self.sees == "context" else h, None if self.sees == "channels" else context)
        return self.rule(self, scores, sensitivity, generator)


def _check_sizes(gating: "Gating", channels: int, dim: int, context: int) -> None:
    for name, value, least in (("channels", channels, 1), ("dim", dim, 1), ("context", context, 0)):
        if value < least:
            raise RequestError(f"{type(gating).__name__}.build: {name} = {value}; input should be {least} or more")


@dataclass(frozen=True, kw_only=True)
class Gating(Config, ABC):
    """What all gates have in common.

    Args:
        temperature: what scores are divided by: the smaller, the nearer to one channel a node.
    """

    temperature: Positive = 1.0

    @abstractmethod
    def build(self, channels: int, dim: int, context: int = 0, generator: torch.Generator | None = None) -> Gate:
        """The gate with fresh parameters; it begins with equal weights.

        Args:
            channels: K, 1 or more.
            dim: width D of a channel.
            context: width C of the context, 0 for none.
            generator: seeds the initialisers and leaves the global random state alone; ``None`` draws on it.

        Raises:
            RequestError: a size below its least, or a gate that would see nothing.
        """

    def rule(self, gate: Gate, scores: Tensor, sensitivity: Tensor | None, generator: torch.Generator | None) -> Tensor:
        """From scores to weights ``[N, K]`` on the simplex."""
        return torch.softmax(scores / self.temperature, 1)


@dataclass(frozen=True, kw_only=True)
class GlobalGate(Gating):
    r"""One learned weight for each channel, the same for every node: what a node-wise gate must beat.

    .. math:: a_{vk} = \frac{e^{b_k / \tau}}{\sum_j e^{b_j / \tau}}

    Args:
        temperature: τ.

    Example:
        >>> GlobalGate().build(2, 4)(torch.ones(3, 2, 4))[1][0].tolist()
        [0.5, 0.5]
    """

    def build(self, channels: int, dim: int, context: int = 0, generator: torch.Generator | None = None) -> Gate:
        """K numbers, 0 at first; a context is accepted and not looked at."""
        _check_sizes(self, channels, dim, context)
        return Gate(channels, dim, None, "channels", self.rule, context)


@dataclass(frozen=True, kw_only=True)
class NodeGate(Gating):
    r"""Weights that each node chooses for itself.

    .. math:: a_v = \operatorname{softmax}\big(W_2\, \mathrm{ReLU}(W_1 u_v + b_1) / \tau + b_2 / \tau\big), \qquad
              u_v = [h_{v1} / \lVert h_{v1} \rVert \,\Vert \cdots \Vert\, s_v]

    Args:
        hidden: width of the perceptron's layer.
        sees: the input u: the channels, the context s, or both.
        temperature: τ.

    Reference:
        Node-wise mixing of filters is named by Li et al., ASPECT, arXiv 2604.01878, whose method text is not public;
        this form is ours.

    Example:
        >>> gate = NodeGate(sees="context").build(3, 8, context=2)
        >>> gate(torch.ones(5, 3, 8), torch.zeros(5, 2))[0].shape
        torch.Size([5, 8])
    """

    hidden: Size = 32
    sees: GateInput = "both"

    def build(self, channels: int, dim: int, context: int = 0, generator: torch.Generator | None = None) -> Gate:
        """A perceptron whose last layer is 0 at first."""
        _check_sizes(self, channels, dim, context)
        if self.sees == "context" and not context:
            raise RequestError(f"{type(self).__name__}.sees = 'context', and there is none; give it local descriptors")
        width = (0 if self.sees == "context" else channels * dim) + (0 if self.sees == "channels" else context)
        with nullcontext() if generator is None else Stream(generator):
            scores = _Perceptron(width, self.hidden, channels)
        return Gate(channels, dim, scores, self.sees, self.rule, context)


@dataclass(frozen=True, kw_only=True)
class SigmoidGate(NodeGate):
    r"""Channels opened one by one, each by a sigmoid, and then brought to the simplex.

    .. math:: a_{vk} = \frac{\sigma(g_{vk} / \tau)}{\sum_j \sigma(g_{vj} / \tau)}

    Two channels can both be wide open, which a softmax of the same scores cannot tell from both being shut.

    Args:
        hidden: width of the perceptron's layer.
        sees: its input.
        temperature: τ.

    Example:
        >>> SigmoidGate().build(2, 4)(torch.ones(1, 2, 4))[1].tolist()
        [[0.5, 0.5]]
    """

    def rule(self, gate: Gate, scores: Tensor, sensitivity: Tensor | None, generator: torch.Generator | None) -> Tensor:
        """Sigmoids, divided by their sum in logarithms, where none of them vanishes."""
        return torch.softmax(F.logsigmoid(scores / self.temperature), 1)


@dataclass(frozen=True, kw_only=True)
class TopKGate(NodeGate):
    r"""Only the k channels with the largest scores.

    .. math:: a_{vk} = \frac{[k \in \mathrm{top}_v]\, e^{g_{vk} / \tau}}{\sum_{j \in \mathrm{top}_v} e^{g_{vj} / \tau}}

    Ties go to the first channels. With k = 1 every weight is 0 or 1 and nothing is learned: that takes a `HardGate`.

    Args:
        k: channels that a node keeps, at most all of them.
        hidden: width of the perceptron's layer.
        sees: its input.
        temperature: τ.

    Reference:
        Shazeer et al., Outrageously large neural networks, ICLR 2017, equations 3 and 5, without noise.

    Example:
        >>> TopKGate(k=1).build(3, 4)(torch.ones(1, 3, 4))[1].tolist()
        [[1.0, 0.0, 0.0]]
    """

    k: Size = 2

    def rule(self, gate: Gate, scores: Tensor, sensitivity: Tensor | None, generator: torch.Generator | None) -> Tensor:
        """Softmax over the largest."""
        kept = scores.sort(dim=1, descending=True, stable=True).indices[:, : self.k]
        hidden = torch.ones_like(scores, dtype=torch.bool).scatter(1, kept, False)
        return torch.softmax((scores / self.temperature).masked_fill(hidden, -torch.inf), 1)


@dataclass(frozen=True, kw_only=True)
class HardGate(NodeGate):
    r"""One channel a node.

    .. math:: k_v = \arg\max_k \big(g_{vk} / \tau + \gamma_{vk}\big), \qquad
              \gamma_{vk} = -\log(-\log u_{vk}), \; u \sim U(0, 1)

    In training γ is drawn and the gradient is that of the softmax; in evaluation γ = 0.

    Args:
        hidden: width of the perceptron's layer.
        sees: its input.
        temperature: τ.

    Reference:
        Jang et al., Categorical reparameterization with Gumbel-softmax, ICLR 2017, section 2.2 (straight-through).

    Example:
        >>> HardGate().build(2, 4).eval()(torch.ones(1, 2, 4))[1].tolist()
        [[1.0, 0.0]]
    """

    def rule(self, gate: Gate, scores: Tensor, sensitivity: Tensor | None, generator: torch.Generator | None) -> Tensor:
        """Ones and zeros, with the gradient of the softmax."""
        scores = scores / self.temperature
        if gate.training:
            draws = draw_uniform(*scores.shape, generator=generator, device=scores.device, dtype=scores.dtype)
            scores = scores - torch.log(-torch.log(draws.clamp(1e-12, 1 - 1e-7)))
        soft = torch.softmax(scores, 1)
        hard = F.one_hot(scores.argmax(1), scores.size(1)).to(soft)
        # exactly 0 and 1: the difference of a number and itself is 0
        return hard + (soft - soft.detach())


@dataclass(frozen=True, kw_only=True)
class ReliabilityGate(NodeGate):
    r"""Channels that a perturbation moves far count less.

    .. math:: a_v = \operatorname{softmax}\big((g_v - \kappa\, r_v) / \tau\big), \qquad
              r_{vk} = \frac{\lVert h_{vk} - \tilde h_{vk} \rVert^2}{\lVert h_{vk} \rVert^2 + \epsilon}

    The sensitivity r is handed in; without it the gate is a `NodeGate`.

    Args:
        kappa: κ, how much sensitivity counts.
        hidden: width of the perceptron's layer.
        sees: its input.
        temperature: τ.

    Reference:
        Weighing channels by their stability is named by Li et al., arXiv 2604.01878v1, whose method text is not public;
        this form is ours.

    Example:
        >>> gate, h = ReliabilityGate().build(2, 4), torch.ones(1, 2, 4)
        >>> bool(gate(h, sensitivity=torch.tensor([[0.0, 1.0]]))[1][0, 0] > 0.7)
        True
    """

    kappa: NonNegative = 1.0

    def rule(self, gate: Gate, scores: Tensor, sensitivity: Tensor | None, generator: torch.Generator | None) -> Tensor:
        """Softmax of what sensitivity leaves of the scores."""
        scores = scores if sensitivity is None else scores - self.kappa * sensitivity.to(scores)
        return torch.softmax(scores / self.temperature, 1)
