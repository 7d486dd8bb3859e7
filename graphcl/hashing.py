"""Random numbers as a function of what they are for: a hash of an edge and one seed.

A number drawn in sequence belongs to a position; a hashed one to the thing itself. So the two directions of an
undirected edge agree without looking for each other, a subgraph meets the same fate as its graph, and the order of
edges, the device and the number of threads change nothing.

The hash is two rounds of xor-shift and multiplication, as in the finaliser of splitmix64 (Steele, Lea & Flood, Fast
splittable pseudorandom number generators, OOPSLA 2014), over a linear function of the endpoints. Its last shift stirs
only bits that nobody looks at and is left out; the shifts keep the sign, which costs one bit of 64 and saves two of
five operations. It runs over pieces that stay in the cache.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from graphcl.pieces import PIECE, over_pieces
from graphcl.remembered import Recalled

__all__ = ["edge_coins", "edge_uniform", "is_undirected"]


def _signed(constant: int) -> int:
    return constant - (1 << 64) if constant >= 1 << 63 else constant


# shift and odd factor of each round; then two odd factors that tell the endpoints apart
_ROUNDS = ((30, _signed(0xBF58476D1CE4E5B9)), (27, _signed(0x94D049BB133111EB)))
_FIRST, _SECOND = _signed(0x9E3779B97F4A7C15), _signed(0xD1342543DE82EF95)


def _finalise(z: Tensor, spare: Tensor) -> Tensor:
    """Stir, in place."""
    for shift, factor in _ROUNDS:
        torch.bitwise_right_shift(z, shift, out=spare)
        z.bitwise_xor_(spare).mul_(factor)
    return z


def _scrambled(seed: int) -> int:
    # nearby seeds should not give the numbers of nearby edges
    z = _signed(seed % (1 << 64))
    for shift, factor in _ROUNDS:
        z = _signed(((z ^ (z >> shift)) * factor) % (1 << 64))
    return z


def _hashed(ends: tuple[Tensor, Tensor], seed: int, use: Callable[[slice, Tensor], object], *, ordered: bool) -> None:
    """Hand the hashes of the edges, piece by piece, to ``use``, which may write into them."""
    first, second = ends
    start = _scrambled(seed)
    count = first.numel()

    def work(begin: int, end: int) -> None:
        u, v = first[begin:end], second[begin:end]
        if not ordered:
            u, v = torch.minimum(u, v), torch.maximum(u, v)
        z = torch.mul(u, _FIRST).add_(v, alpha=_SECOND).add_(start)
        use(slice(begin, end), _finalise(z, v if not ordered else torch.empty_like(z)))

    over_pieces(work, count, PIECE if first.device.type == "cpu" else max(count, 1))


def edge_coins(
    edge_index: Tensor, seed: int, rate: float | Callable[[slice], Tensor], *, ordered: bool = False
) -> Tensor:
    """Whether each edge survives, with probability ``1 - rate``; both directions of an edge have one fate.

    Args:
        edge_index: ``int64 [2, E]``.
        seed: the source of randomness.
        rate: probability of ``False``, in [0, 1]; or a function that gives those of a slice of the edges, ``float32``.
        ordered: edge (u, v) has another coin than (v, u), as between two kinds of nodes.

    Returns:
        ``bool [E]``.

    Example:
        >>> edge_coins(torch.tensor([[0, 1], [1, 0]]), 5, 0.5).unique().numel()
        1
    """
    out = torch.empty(edge_index.size(1), dtype=torch.bool, device=edge_index.device)
    if callable(rate):

        def flip(place: slice, z: Tensor) -> None:
            uniform = z.bitwise_right_shift_(40).add_(1 << 23).float().mul_(2.0**-24)
            torch.ge(uniform, rate(place), out=out[place])

        _hashed(tuple(edge_index), seed, flip, ordered=ordered)
        return out
    if rate >= 1.0:
        return out.fill_(False)
    # the bits that `edge_uniform` shows, so that a coin says whether the uniform number is at least the rate
    least = (math.ceil(rate * 2**53) - 2**52) << 11
    _hashed(tuple(edge_index), seed, lambda place, z: torch.ge(z, least, out=out[place]), ordered=ordered)
    return out


def _unit(z: Tensor) -> Tensor:
    """The upper 53 bits, as a number from 0 on; in place."""
    return z.bitwise_right_shift_(11).add_(1 << 52)


def edge_uniform(edge_index: Tensor, seed: int, *, ordered: bool = False) -> Tensor:
    """Uniform numbers in [0, 1), float64 ``[E]``: a hash of the endpoints of each edge, in either order, and a seed."""
    out = torch.empty(edge_index.size(1), dtype=torch.float64, device=edge_index.device)

    def write(place: slice, z: Tensor) -> None:
        torch.mul(_unit(z).double(), 2.0**-53, out=out[place])

    _hashed(tuple(edge_index), seed, write, ordered=ordered)
    return out


def is_undirected(edge_index: Tensor) -> bool:
    r"""Whether every edge is stored in both directions, equally often, told without sorting.

    .. math:: \sum_e h(u_e, v_e) = \sum_e h(v_e, u_e) \pmod{2^{64}}

    Two multisets of edges with one sum of hashes are the same multiset but for a chance of about :math:`2^{-64}`. The
    answers for the last graphs are remembered by content.

    Args:
        edge_index: ``int64 [2, E]``.

    Example:
        >>> is_undirected(torch.tensor([[0, 1], [1, 0]])), is_undirected(torch.tensor([[0], [1]]))
        (True, False)
    """
    plain = edge_index.as_subclass(Tensor)
    return _SEEN.of((plain,), lambda: _symmetric(plain))


_SEEN: Recalled[bool] = Recalled()


def _symmetric(edge_index: Tensor) -> bool:
    source, target = edge_index
    differences = []

    def there(place: slice, z: Tensor) -> None:
        differences.append(int(z.sum()))

    def back(place: slice, z: Tensor) -> None:
        differences.append(-int(z.sum()))

    _hashed((source, target), 0, there, ordered=True)
    _hashed((target, source), 0, back, ordered=True)
    return sum(differences) % (1 << 64) == 0
