"""Named, derived random generators: one root seed, one independent stream per purpose.

No part of graphcl reads or moves the global random state. Whatever is random takes a ``torch.Generator``; where a
library below offers none (parameter initialisers, dropout), the code runs inside a `Stream`, which lends the global
generators a private state and puts the caller's back.
"""

import hashlib
import importlib
import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import numpy as np
import torch

from graphcl.pieces import PIECE, over_pieces

__all__ = [
    "Seeds",
    "Stream",
    "draw_coins",
    "draw_normal",
    "draw_order",
    "draw_seed",
    "draw_uniform",
    "imported",
    "python_state_kept",
]


class Seeds:
    r"""Independent generators derived from one root seed by name.

    .. math:: \text{seed}(name) = \mathrm{SHA256}(root \Vert name)_{0:8}

    Two names never share a stream, and adding a name does not move the others.

    Args:
        root: the seed of the run, any integer.

    Example:
        >>> seeds = Seeds(0)
        >>> a, b = seeds.torch("train"), seeds.torch("train")
        >>> bool(torch.rand(1, generator=a) == torch.rand(1, generator=b))
        True
    """

    def __init__(self, root: int) -> None:
        self.root = int(root)

    def integer(self, name: str) -> int:
        """A 63-bit seed for the stream ``name``."""
        digest = hashlib.sha256(f"{self.root}/{name}".encode()).digest()
        return int.from_bytes(digest[:8], "little") >> 1

    def torch(self, name: str, device: str | torch.device = "cpu") -> torch.Generator:
        """A fresh ``torch.Generator`` for the stream ``name``."""
        return torch.Generator(device).manual_seed(self.integer(name))

    def numpy(self, name: str) -> np.random.Generator:
        """A fresh ``numpy.random.Generator`` for the stream ``name``."""
        return np.random.default_rng(self.integer(name))

    def __repr__(self) -> str:
        return f"Seeds({self.root})"


def draw_seed(generator: torch.Generator | None) -> int:
    """Draw a 62-bit seed from ``generator`` (from torch's default generator when ``None``)."""
    device = generator.device if generator is not None else "cpu"
    return int(torch.randint(2**62, (), generator=generator, device=device).item())


def _source(generator: torch.Generator | None, device: torch.device) -> torch.device:
    # a generator draws on its own device; what it drew moves
    return generator.device if generator is not None else device


def draw_uniform(
    *shape: int, generator: torch.Generator | None, device: torch.device, dtype: torch.dtype | None = None
) -> torch.Tensor:
    """Uniform numbers in [0, 1) on ``device``, wherever the generator lives."""
    place, count = _source(generator, device), math.prod(shape)
    if place.type != "cpu" or (dtype or torch.get_default_dtype()) != torch.float32 or count < PIECE:
        return torch.rand(shape, generator=generator, device=place, dtype=dtype).to(device)
    # 24 bits of 32, as torch.rand takes, but drawn two at a time
    bits = torch.empty(-(-count // 2), dtype=torch.int64).random_(-(2**63), None, generator=generator).view(torch.int32)
    out = torch.empty(count, dtype=torch.float32)

    def write(begin: int, end: int) -> None:
        whole = bits[begin:end].bitwise_right_shift(8).bitwise_and_(0xFFFFFF)
        torch.mul(whole, 2.0**-24, out=out[begin:end])

    over_pieces(write, count)
    return out.view(shape).to(device)


def draw_coins(*shape: int, rate: float, generator: torch.Generator | None, device: torch.device) -> torch.Tensor:
    """Independent coins that are ``False`` with probability ``rate``, at a quarter of the cost of uniform numbers.

    Each takes 16 random bits. What the rate has beyond them decides, by one more coin, which of two neighbouring
    thresholds all coins of a call are held against, so that the probability of each is the rate to the last bit.

    Example:
        >>> draw_coins(2, 3, rate=1.0, generator=None, device=torch.device("cpu")).any()
        tensor(False)
    """
    place = _source(generator, device)
    count = math.prod(shape)
    bits = torch.empty(-(-count // 4) + 1, dtype=torch.int64, device=place).random_(-(2**63), None, generator=generator)
    coins = bits.view(torch.int16)
    level = rate * 2**16
    threshold = int(level)
    if level > threshold:
        # the last word is nobody's coins
        threshold += int(bits[-1].cpu()) % 2**53 < (level - threshold) * 2**53
    keep = (
        torch.ones(count, dtype=torch.bool, device=place) if threshold == 0 else coins[:count] > threshold - 2**15 - 1
    )
    return keep.view(shape).to(device)


def draw_normal(
    *shape: int, generator: torch.Generator | None, device: torch.device, dtype: torch.dtype | None = None
) -> torch.Tensor:
    """Standard normal numbers on ``device``, wherever the generator lives."""
    return torch.randn(shape, generator=generator, device=_source(generator, device), dtype=dtype).to(device)


def draw_order(n: int, *, generator: torch.Generator | None, device: torch.device) -> torch.Tensor:
    """A random order of ``0 .. n - 1`` on ``device``, wherever the generator lives."""
    return torch.randperm(n, generator=generator, device=_source(generator, device)).to(device)


class Stream:
    """A private continuation of the global torch generators, entered as often as needed.

    Inside ``with stream:`` the global CPU (and CUDA) generators continue where this stream last stopped; outside, the
    caller's state stands as it was. A training loop enters it around each step, so a caller who draws random numbers
    between two steps changes nothing.

    Args:
        generator: the source of the stream's seed; it is advanced by one draw.

    Example:
        >>> before = torch.get_rng_state()
        >>> with Stream(torch.Generator().manual_seed(0)):
        ...     _ = torch.rand(3)
        >>> bool((torch.get_rng_state() == before).all())
        True
    """

    def __init__(self, generator: torch.Generator | None) -> None:
        seed = draw_seed(generator)
        self._state = torch.Generator().manual_seed(seed).get_state()
        self._cuda = torch.cuda.is_available()
        self._cuda_states: list[torch.Tensor] = []
        if self._cuda:
            self._cuda_states = [
                torch.Generator(f"cuda:{index}").manual_seed(seed).get_state()
                for index in range(torch.cuda.device_count())
            ]
        self._outer: list[tuple[torch.Tensor, list[torch.Tensor]]] = []

    def __enter__(self) -> "Stream":
        self._outer.append((torch.get_rng_state(), torch.cuda.get_rng_state_all() if self._cuda else []))
        torch.set_rng_state(self._state)
        if self._cuda:
            torch.cuda.set_rng_state_all(self._cuda_states)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._state = torch.get_rng_state()
        state, cuda_states = self._outer.pop()
        torch.set_rng_state(state)
        if self._cuda:
            self._cuda_states = torch.cuda.get_rng_state_all()
            torch.cuda.set_rng_state_all(cuda_states)


@contextmanager
def python_state_kept() -> Iterator[None]:
    """Put Python's own generator back: libraries draw on it when they load, or to wait a random time."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)


def imported(module: str) -> Any:
    """A module that is slow to load, loaded where it is used, with Python's generator put back.

    Example:
        >>> imported("math").floor(2.5)
        2
    """
    with python_state_kept():
        return importlib.import_module(module)
