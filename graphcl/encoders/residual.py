"""The head of the methods that score nodes against graphs: a perceptron beside a linear map."""

from torch import Tensor, nn

from graphcl.encoders.gcn import Activation, activation

__all__ = ["ResidualMLP"]


class ResidualMLP(nn.Module):
    r"""Three activated layers, and a linear shortcut past them.

    .. math:: z = \sigma(W_3\, \sigma(W_2\, \sigma(W_1 h + b_1) + b_2) + b_3) + W_0 h + b_0

    Args:
        in_channels: D.
        out_channels: P, the width of every layer.
        act: activation :math:`\sigma`, one module for each layer.

    Shapes:
        ``[N, D]`` → ``[N, P]``.

    Reference:
        The head of the released codes of InfoGraph (Sun et al., ICLR 2020) and MVGRL at graph level (Hassani &
        Khasahmadi, ICML 2020).

    Example:
        >>> import torch
        >>> ResidualMLP(4, 8)(torch.ones(3, 4)).shape
        torch.Size([3, 8])
    """

    def __init__(self, in_channels: int, out_channels: int, act: Activation = "relu") -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in (in_channels, out_channels, out_channels):
            layers += [nn.Linear(width, out_channels), activation(act)]
        self.layers = nn.Sequential(*layers)
        self.shortcut = nn.Linear(in_channels, out_channels)
        self.in_channels = in_channels
        self.out_channels = out_channels

    def forward(self, h: Tensor) -> Tensor:
        """Map the rows."""
        return self.layers(h) + self.shortcut(h)
