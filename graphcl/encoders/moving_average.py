"""Target encoders: copies that no gradient reaches and that follow the trained encoder slowly."""

import math

import torch
from torch import nn

__all__ = ["follow", "momentum_at"]


@torch.no_grad()
def follow(target: nn.Module, online: nn.Module, momentum: float) -> None:
    r"""Move the parameters of a target towards those of the trained module, in place.

    .. math:: \phi \leftarrow \tau \phi + (1 - \tau)\,\theta

    Buffers are left alone: batch normalisation of the target keeps the statistics of what the target itself has seen.

    Args:
        target: :math:`\phi`, built like ``online``.
        online: :math:`\theta`.
        momentum: :math:`\tau` in [0, 1]; 1 leaves the target where it is.

    Example:
        >>> target, online = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
        >>> _ = nn.init.constant_(target.weight, 1.0), nn.init.constant_(online.weight, 3.0)
        >>> follow(target, online, 0.75)
        >>> target.weight.item()
        1.5
    """
    for slow, fast in zip(target.parameters(), online.parameters(), strict=True):
        slow.lerp_(fast, 1 - momentum)


def momentum_at(start: float, progress: float) -> float:
    r"""Momentum that rises to 1 by half a cosine, so that the target comes to rest at the end of the training.

    .. math:: \tau(t) = 1 - (1 - \tau_0)\,\frac{1 + \cos \pi t}{2}

    Args:
        start: :math:`\tau_0` in [0, 1].
        progress: share t of the training done, in [0, 1].

    Reference:
        Grill et al., Bootstrap your own latent, NeurIPS 2020; the released codes of BGRL and AFGRL.

    Example:
        >>> [round(momentum_at(0.5, t), 3) for t in (0.0, 0.5, 1.0)]
        [0.5, 0.75, 1.0]
    """
    return 1 - (1 - start) * (1 + math.cos(math.pi * progress)) / 2
