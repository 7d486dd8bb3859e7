"""Views that change the node features, dense or in CSR form (`graphcl.ops.linear.sparse_features`).

| class | what happens to :math:`x_{vf}` | counterpart |
|---|---|---|
| `FeatureMask` | whole columns f become 0 | ``mask_feature(mode="col")``, ``FeatureMasking`` |
| `FeatureDropout` | single entries become 0 | ``mask_feature(mode="all")``, ``FeatureDropout`` (rate inverted) |
| `NodeFeatureMask` | whole rows v become the mean row | ``mask_feature(mode="row")`` (zeros) |
| `AtomMask` | categories of whole rows become the mask token | none |
| `GaussianNoise` | normal noise is added | none |
| `SignAlignedNoise` | noise of one length that keeps every sign is added | none |
| `FeatureShuffle` | rows change places | ``NodeShuffling`` |
| `FeatureMixup` | rows move towards random other rows | none |
| `FeatureSmoothing`, `FeatureSharpening` | rows move towards, away from, the mean of their neighbours | none |

In a ``HeteroData`` every type of nodes that has ``x`` is treated alike. Masks multiply by zero, so that NaN stays NaN.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import annotated_types
import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.utils import scatter

from graphcl.alignment import graph_of_nodes, is_batch
from graphcl.augment.augmenter import Augmenter, refuse_negative
from graphcl.config import NonNegative, Positive, Rate, Size
from graphcl.errors import DataError
from graphcl.ops.propagate import gcn_operator, multiply
from graphcl.pieces import over_pieces, places_of, rows_of_piece
from graphcl.seeding import draw_coins, draw_normal, draw_order, draw_uniform

__all__ = [
    "AtomMask",
    "FeatureDropout",
    "FeatureMask",
    "FeatureMixup",
    "FeatureSharpening",
    "FeatureShuffle",
    "FeatureSmoothing",
    "GaussianNoise",
    "NodeFeatureMask",
    "SignAlignedNoise",
]


class _FeatureView(Augmenter):
    """Changes ``x`` of each type of nodes, and nothing else."""

    needs: ClassVar[tuple[str, ...]] = ("x",)
    takes_hetero: ClassVar[bool] = True

    def forward(self, data: Data | HeteroData, generator: torch.Generator | None = None) -> Data | HeteroData:
        """Change the features of each type of nodes."""
        for store in data.node_stores:
            if store.get("x") is not None:
                store["x"] = self.changed(store["x"], generator)
        return data

    @abstractmethod
    def changed(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Said by the subclass."""


@dataclass(frozen=True)
class FeatureMask(_FeatureView):
    r"""Set each feature column to zero, for all nodes at once, with probability ``rate``.

    .. math:: \tilde x_{vf} = x_{vf}\, m_f, \qquad m_f \sim \mathrm{Bernoulli}(1 - rate)

    The values that stay are not rescaled.

    Args:
        rate: probability that a column is masked, in [0, 1]; 1 clears all features.

    Raises:
        RequestError: ``rate`` is outside of [0, 1].
        DataError: ``x`` is missing or no matrix.

    Reference:
        Zhu et al., Deep graph contrastive representation learning (GRACE), 2020, section 3.2.2: "we randomly mask a
        fraction of dimensions with zeros in node features".

    Example:
        >>> g = Data(x=torch.ones(2, 4), edge_index=torch.empty(2, 0, dtype=torch.long))
        >>> FeatureMask(0.5)(g, torch.Generator().manual_seed(1)).x.unique(dim=0).shape
        torch.Size([1, 4])
    """

    takes_sparse_features: ClassVar[bool] = True

    rate: Rate = 0.2

    def changed(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Multiply by one random row of zeros and ones."""
        _refuse_categories("FeatureMask", x)
        if self.rate == 0.0:
            return x
        keep = draw_coins(x.size(1), rate=self.rate, generator=generator, device=x.device).to(x.dtype)
        if x.layout == torch.sparse_csr:
            return _with_values(x, x.values() * keep[x.col_indices()])
        return x * keep


@dataclass(frozen=True)
class FeatureDropout(_FeatureView):
    r"""Set each single feature to zero with probability ``rate``.

    .. math:: \tilde x_{vf} = x_{vf}\, m_{vf}, \qquad m_{vf} \sim \mathrm{Bernoulli}(1 - rate)

    The values that stay are not rescaled (dropout would divide them by ``1 - rate``). Of sparse features only those
    that are there have a coin: from one seed they give another view than in dense form.

    Args:
        rate: probability that an entry is cleared, in [0, 1]; 1 clears all features.

    Raises:
        RequestError: ``rate`` is outside of [0, 1].
        DataError: ``x`` is missing or no matrix.

    Reference:
        The feature dropout of Thakoor et al., BGRL, ICLR 2022 is by columns (`FeatureMask`); this is Srivastava et
        al., Dropout, JMLR 2014, equation 2, on the input, without rescaling.

    Example:
        >>> g = Data(x=torch.ones(50, 40), edge_index=torch.empty(2, 0, dtype=torch.long))
        >>> bool(0.2 < FeatureDropout(0.3)(g, torch.Generator().manual_seed(0)).x.eq(0).float().mean() < 0.4)
        True
    """

    takes_sparse_features: ClassVar[bool] = True
    draws_alike_on_sparse: ClassVar[bool] = False

    rate: Rate = 0.2

    def changed(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Clear the entries whose coin says so."""
        _refuse_categories("FeatureDropout", x)
        if self.rate == 0.0:
            return x
        if x.layout == torch.sparse_csr:
            keep = draw_coins(x.values().numel(), rate=self.rate, generator=generator, device=x.device)
            return _with_values(x, x.values() * keep)
        keep = draw_coins(*x.shape, rate=self.rate, generator=generator, device=x.device)
        return keep.to(x.dtype).mul_(x)


@dataclass(frozen=True)
class NodeFeatureMask(Augmenter):
    r"""Replace the features of each node by the mean over all nodes of its graph, with probability ``rate``.

    .. math:: \tilde x_v = (1 - m_v)\, x_v + m_v\, \bar x, \qquad m_v \sim \mathrm{Bernoulli}(rate), \quad
        \bar x = \tfrac{1}{N} \sum_u x_u

    In a batch the mean is over the graph's own nodes.

    Args:
        rate: probability that a node is masked, in [0, 1]; 1 makes all nodes alike.

    Raises:
        RequestError: ``rate`` is outside of [0, 1].
        DataError: ``x`` is missing, no matrix, or of whole numbers (categories have no mean: take `AtomMask`).

    Reference:
        You et al., Graph contrastive learning with augmentations (GraphCL), NeurIPS 2020, table 1, attribute masking;
        the mean as mask is that of its released code for semi-supervised learning.

    Example:
        >>> g = Data(x=torch.tensor([[0.0], [2.0]]), edge_index=torch.empty(2, 0, dtype=torch.long))
        >>> NodeFeatureMask(1.0)(g).x.flatten().tolist()
        [1.0, 1.0]
    """

    needs: ClassVar[tuple[str, ...]] = ("x",)
    takes_hetero: ClassVar[bool] = True

    rate: Rate = 0.2

    def forward(self, data: Data | HeteroData, generator: torch.Generator | None = None) -> Data | HeteroData:
        """Put the mean row in place of the rows whose coin says so, in each type of nodes."""
        for store in data.node_stores:
            x = store.get("x")
            if x is None:
                continue
            if not x.is_floating_point():
                raise DataError("NodeFeatureMask: data.x holds whole numbers, which have no mean; take AtomMask")
            if self.rate == 0.0:
                continue
            keep = draw_coins(x.size(0), rate=self.rate, generator=generator, device=x.device)
            if is_batch(data, store._key):
                graph = graph_of_nodes(data, store._key)
                # a sum of many 16-bit features has no place in 16 bits
                wide = x.to(torch.promote_types(x.dtype, torch.float32))
                store["x"] = torch.where(keep[:, None], x, scatter(wide, graph, 0, reduce="mean").to(x.dtype)[graph])
            elif x.requires_grad:
                store["x"] = torch.where(keep[:, None], x, _mean_row(x))
            else:
                out = x.clone()
                out[places_of(keep.logical_not_())] = _mean_row(x)
                store["x"] = out
        return data


@dataclass(frozen=True)
class AtomMask(_FeatureView):
    r"""Replace the categories of each node by a mask token, with probability ``rate``: attribute masking on molecules.

    .. math:: \tilde x_v = \begin{cases} (token, 0, \dots, 0) & \text{with probability } rate \\ x_v & \text{otherwise}
        \end{cases}

    Args:
        rate: probability that a node is masked, in [0, 1].
        token: the category of the first column that means "masked"; the embedding table needs a row for it. 119 is
            one more than there are elements. The other columns (chirality, …) become 0.

    Raises:
        RequestError: ``rate`` is outside of [0, 1], or ``token`` is negative.
        DataError: ``x`` is missing, no matrix, or not of whole numbers.

    Reference:
        Hu et al., Strategies for pre-training graph neural networks, ICLR 2020, section 3.1.2, attribute masking; the
        view of GraphCL's released code for molecules (mask token 119, chirality 0).

    Example:
        >>> g = Data(x=torch.tensor([[6, 1], [8, 0]]), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> AtomMask(1.0)(g).x.tolist()
        [[119, 0], [119, 0]]
    """

    takes_categories: ClassVar[bool] = True

    rate: Rate = 0.2
    token: Annotated[int, annotated_types.Ge(0)] = 119

    def changed(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Put the token in place of the rows whose coin says so."""
        if x.is_floating_point():
            raise DataError(
                f"AtomMask: data.x is {x.dtype}; it masks categories (int64 [N, C]), NodeFeatureMask float features"
            )
        if self.rate == 0.0:
            return x
        if x.dtype == torch.bool:
            raise DataError("AtomMask: data.x is torch.bool; it masks categories, int64 [N, C]")
        if self.token > torch.iinfo(x.dtype).max:
            raise DataError(f"AtomMask: data.x is {x.dtype}, too narrow for token = {self.token}; make it int64")
        keep = draw_coins(x.size(0), 1, rate=self.rate, generator=generator, device=x.device)
        mask = x.new_zeros(x.size(1))
        mask[:1] = self.token
        return torch.where(keep, x, mask)


@dataclass(frozen=True)
class GaussianNoise(_FeatureView):
    r"""Add independent normal noise to every feature.

    .. math:: \tilde x_{vf} = x_{vf} + std \cdot \varepsilon_{vf}, \qquad \varepsilon_{vf} \sim \mathcal N(0, 1)

    Args:
        std: standard deviation of the noise, 0 or more, in the unit of the features.

    Raises:
        RequestError: ``std`` is negative.
        DataError: ``x`` is missing, no float matrix, or sparse.

    Reference:
        Xia et al., SimGRACE, WWW 2022, equation 3 has such noise on the weights of the encoder; on the input it is the
        classical augmentation of Bishop, Training with noise is equivalent to Tikhonov regularization, 1995.

    Example:
        >>> g = Data(x=torch.zeros(100, 100), edge_index=torch.empty(2, 0, dtype=torch.long))
        >>> round(float(GaussianNoise(0.5)(g, torch.Generator().manual_seed(0)).x.std()), 1)
        0.5
    """

    std: NonNegative = 0.1

    def changed(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Add the noise."""
        _refuse_categories("GaussianNoise", x)
        if self.std == 0.0:
            return x
        noise = draw_normal(*x.shape, generator=generator, device=x.device, dtype=x.dtype)
        return torch.add(x, noise, alpha=self.std, out=None if x.requires_grad else noise)


@dataclass(frozen=True)
class SignAlignedNoise(_FeatureView):
    r"""Add noise of one length to every row that leaves every coordinate in its orthant.

    .. math:: \tilde x_v = x_v + radius \cdot \frac{u_v}{\lVert u_v \rVert_2} \odot \mathrm{sign}(x_v), \qquad
        u_v \sim \mathrm{Uniform}[0, 1]^F

    Zeros stay zeros, so sparse features stay sparse; the noise of such a row is shorter than ``radius``.

    Args:
        radius: length of the noise, 0 or more (``eps`` in the paper).

    Raises:
        RequestError: ``radius`` is negative.
        DataError: ``x`` is missing or no float matrix.

    Reference:
        Yu et al., Are graph augmentations necessary? Simple graph contrastive learning for recommendation (SimGCL),
        SIGIR 2022, equation 8; it is added there to the embeddings of every layer (0.1 in the released code).

    Example:
        >>> g = Data(x=-torch.ones(3, 5), edge_index=torch.empty(2, 0, dtype=torch.long))
        >>> (SignAlignedNoise(0.1)(g).x - g.x).norm(dim=1)
        tensor([0.1000, 0.1000, 0.1000])
    """

    radius: NonNegative = 0.1

    def changed(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Add the noise."""
        _refuse_categories("SignAlignedNoise", x)
        if self.radius == 0.0:
            return x
        noise = draw_uniform(*x.shape, generator=generator, device=x.device, dtype=x.dtype)
        plain = x.detach()

        wide = torch.promote_types(x.dtype, torch.float32)

        def align(begin: int, end: int) -> None:
            # the length of a row of small numbers is none of 16 bits
            part, like = noise[begin:end].to(wide), plain[begin:end]
            length = torch.linalg.vector_norm(part, dim=1, keepdim=True).clamp_(min=1e-12)
            noise[begin:end] = part.mul_(self.radius / length).mul_(like.sign()).add_(like)

        over_pieces(align, x.size(0), rows_of_piece(x))
        # the gradient is that of the features
        return x + (noise - plain) if x.requires_grad else noise


@dataclass(frozen=True)
class FeatureShuffle(_FeatureView):
    r"""Give each node the features of a random other one: the corruption that DGI contrasts with.

    .. math:: \tilde X = P X, \qquad P \text{ a uniformly random permutation matrix}

    Edges and labels stay where they are. In a batch rows move over all its graphs.

    Raises:
        DataError: ``x`` is missing or no matrix.

    Reference:
        Veličković et al., Deep graph infomax, ICLR 2019, section 4.2: "row-wise shuffling of X".

    Example:
        >>> g = Data(x=torch.arange(4.0).view(4, 1), edge_index=torch.empty(2, 0, dtype=torch.long))
        >>> sorted(FeatureShuffle()(g, torch.Generator().manual_seed(0)).x.flatten().tolist())
        [0.0, 1.0, 2.0, 3.0]
    """

    takes_sparse_features: ClassVar[bool] = True

    def changed(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Permute the rows of ``x``."""
        return _rows(x, draw_order(x.size(0), generator=generator, device=x.device))


@dataclass(frozen=True)
class FeatureMixup(Augmenter):
    r"""Move the features of each node towards those of a random other node of its graph.

    .. math:: \tilde x_v = (1 - \lambda_v)\, x_v + \lambda_v\, x_{\pi(v)}, \qquad
        \lambda_v \sim \mathrm{Uniform}[0, strength], \quad \pi \text{ a random permutation within the graph}

    Args:
        strength: the largest share of the other node, in [0, 1]; up to 0.5 a node stays nearer to itself.

    Raises:
        RequestError: ``strength`` is outside of [0, 1].
        DataError: ``x`` is missing, no float matrix, or sparse.

    Reference:
        Verma et al., Towards domain-agnostic contrastive learning (DACL), ICML 2021, equation 3 (mixup noise as a
        positive view); here with features of nodes.

    Example:
        >>> g = Data(x=torch.tensor([[0.0], [4.0]]), edge_index=torch.empty(2, 0, dtype=torch.long))
        >>> bool(FeatureMixup(0.5)(g, torch.Generator().manual_seed(0)).x.sub(2).abs().le(2).all())
        True
    """

    needs: ClassVar[tuple[str, ...]] = ("x",)

    strength: Rate = 0.5

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """Interpolate with a permutation that stays within each graph."""
        x = data.x
        _refuse_categories("FeatureMixup", x)
        if self.strength == 0.0:
            return data
        other = draw_order(x.size(0), generator=generator, device=x.device)
        if is_batch(data):
            # sorted by the graph they come from, random nodes of a graph stand in the places of its nodes
            other = other[torch.sort(graph_of_nodes(data)[other], stable=True).indices]
        share = draw_uniform(x.size(0), 1, generator=generator, device=x.device, dtype=x.dtype) * self.strength
        data.x = torch.lerp(x, x[other], share)
        return data


@dataclass(frozen=True)
class FeatureSmoothing(Augmenter):
    r"""Propagate the features over the edges: a low-pass view.

    .. math:: \tilde X = \big((1 - strength)\, I + strength\, \hat A\big)^{order} X, \qquad
        \hat A = D^{-1/2} (A + I) D^{-1/2}

    Its response to the eigenvalue :math:`\lambda` of :math:`I - \hat A` is :math:`(1 - strength\,\lambda)^{order}`.
    Nothing here is random.

    Args:
        strength: step towards the neighbours, in [0, 1]; 1 is plain propagation, 0 changes nothing.
        order: number of steps, 1 or more.

    Raises:
        RequestError: a parameter out of range.
        DataError: ``x`` or ``edge_index`` is missing or misshapen, ``x`` is sparse or not of floats.

    Reference:
        Wu et al., Simplifying graph convolutional networks (SGC), ICML 2019, equation 6; with a step below 1 it is
        Laplacian smoothing, Li et al., Deeper insights into graph convolutional networks, AAAI 2018, equation 3.

    Example:
        >>> g = Data(x=torch.tensor([[0.0], [2.0]]), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> FeatureSmoothing()(g).x.flatten().round().tolist()
        [1.0, 1.0]
    """

    needs: ClassVar[tuple[str, ...]] = ("x", "edge_index")

    strength: Rate = 1.0
    order: Size = 1

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """Take the steps."""
        return _propagated("FeatureSmoothing", data, self.order, lambda x, mean: torch.lerp(x, mean, self.strength))


@dataclass(frozen=True)
class FeatureSharpening(Augmenter):
    r"""Move the features away from those of the neighbours: a high-pass view.

    .. math:: \tilde X = \big(I + strength\,(I - \hat A)\big)^{order} X, \qquad
        \hat A = D^{-1/2} (A + I) D^{-1/2}

    Its response to the eigenvalue :math:`\lambda` of :math:`I - \hat A` is :math:`(1 + strength\,\lambda)^{order}`:
    what is equal among neighbours stays, what differs grows. Nothing here is random.

    Args:
        strength: of each step, more than 0.
        order: number of steps, 1 or more.

    Raises:
        RequestError: a parameter out of range.
        DataError: ``x`` or ``edge_index`` is missing or misshapen, ``x`` is sparse or not of floats.

    Reference:
        The Laplacian sharpening of Park et al., Symmetric graph convolutional autoencoder (GALA), ICCV 2019, equation
        11 (there :math:`2I - \hat A`, which is strength 1).

    Example:
        >>> g = Data(x=torch.tensor([[0.0], [2.0]]), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> FeatureSharpening()(g).x.flatten().round().tolist()
        [-1.0, 3.0]
    """

    needs: ClassVar[tuple[str, ...]] = ("x", "edge_index")

    strength: Positive = 1.0
    order: Size = 1

    def forward(self, data: Data, generator: torch.Generator | None = None) -> Data:
        """Take the steps."""
        return _propagated("FeatureSharpening", data, self.order, lambda x, mean: torch.lerp(x, mean, -self.strength))


def _propagated(name: str, data: Data, steps: int, step: Callable[[Tensor, Tensor], Tensor]) -> Data:
    x = data.x
    _refuse_categories(name, x)
    weight = data.get("edge_weight")
    refuse_negative(name, weight)
    pattern, values = gcn_operator(data.edge_index, x.size(0), weight, x.dtype)
    for _ in range(steps):
        x = step(x, multiply(pattern, values.to(x.dtype), x))
    data.x = x
    return data


def _mean_row(x: Tensor) -> Tensor:
    if x.dtype not in (torch.float32, torch.float64):
        return x.mean(0)
    # a product is faster than a sum over the rows
    return x.new_full((x.size(0),), 1 / max(x.size(0), 1)) @ x


def _refuse_categories(name: str, x: Tensor) -> None:
    if not x.is_floating_point():
        raise DataError(f"{name}: data.x is {x.dtype}; make it a float tensor [N, F], or embed the categories first")


def _with_values(x: Tensor, values: Tensor) -> Tensor:
    """Sparse features with other values at the same places."""
    return torch.sparse_csr_tensor(x.crow_indices(), x.col_indices(), values, x.shape, check_invariants=False)


def _rows(x: Tensor, order: Tensor) -> Tensor:
    """Rows of dense or CSR features in another order."""
    if x.layout != torch.sparse_csr:
        return x.index_select(0, order)
    start = x.crow_indices()
    counts = start.diff()[order]
    pointer = torch.cat([start.new_zeros(1), counts.cumsum(0)])
    places = torch.repeat_interleave(start[:-1][order] - pointer[:-1], counts)
    places += torch.arange(places.numel(), device=places.device)
    return torch.sparse_csr_tensor(
        pointer, x.col_indices()[places], x.values()[places], x.shape, check_invariants=False
    )
