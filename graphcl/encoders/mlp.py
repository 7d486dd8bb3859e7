"""The projection head that most contrastive methods put between encoder and objective."""

from torch import Tensor, nn

from graphcl.encoders.gcn import Activation, Norm, activation, normalisation
from graphcl.ops.linear import dense_linear

__all__ = ["MLP"]


class MLP(nn.Module):
    r"""A two-layer perceptron head, :math:`z = W_2\,\sigma(\nu(W_1 h + b_1)) + b_2`.

    Args:
        in_channels: D.
        hidden: width of the hidden layer.
        out_channels: P.
        act: activation :math:`\sigma` between the layers.
        norm: normalisation :math:`\nu` before it.

    Shapes:
        ``[N, D]`` → ``[N, P]``.

    Raises:
        RequestError: in training with batch normalisation, a single row.

    Example:
        >>> import torch
        >>> MLP(4, 8, 2)(torch.ones(3, 4)).shape
        torch.Size([3, 2])
    """

    def __init__(
        self, in_channels: int, hidden: int, out_channels: int, act: Activation = "elu", *, norm: Norm = "none"
    ) -> None:
        super().__init__()
        self.first = nn.Linear(in_channels, hidden)
        self.norm = normalisation(norm, hidden)
        self.act = activation(act)
        self.second = nn.Linear(hidden, out_channels)
        self.in_channels = in_channels
        self.out_channels = out_channels

    def forward(self, h: Tensor) -> Tensor:
        """Project."""
        h = self.act(self.norm(dense_linear(h, self.first.weight).add_(self.first.bias)))
        return dense_linear(h, self.second.weight).add_(self.second.bias)
