"""What all contracts are made of: promises that are kept or broken, graphs to try them on, and those of a config."""

import copy
import json
import random
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.config import Config, decode, encode
from graphcl.errors import GraphclError, RequestError
from graphcl.seeding import Seeds

__all__ = [
    "ContractError",
    "Promises",
    "check_config",
    "leaves_global_random_state",
    "same_graph",
    "sample_graph",
    "tensors_of",
]


class ContractError(GraphclError, AssertionError):
    """A part breaks a promise."""


class Promises:
    """Collects what was kept, raises at what was not."""

    def __init__(self, part: object) -> None:
        self.part = part
        self.kept: list[str] = []

    def require(self, holds: object, promise: str, found: object = None) -> None:
        """Note a promise as kept, or raise that it is broken."""
        if not holds:
            detail = "" if found is None else f" (found {found})"
            raise ContractError(f"{self.part}: broken promise: {promise}{detail}")
        if promise not in self.kept:
            self.kept.append(promise)


def sample_graph(seed: int = 0, nodes: int = 60, *, directed: bool = False) -> Data:
    """A small random graph that carries everything a view must keep aligned; its last node is isolated.

    Args:
        seed: draws it.
        nodes: N.
        directed: keep one direction of each edge.
    """
    generator = Seeds(seed).torch("sample graph")
    pairs = torch.randint(nodes - 1, (2, 4 * nodes), generator=generator)
    pairs = torch.unique(pairs[:, pairs[0] < pairs[1]], dim=1)
    weight = torch.rand(pairs.size(1), generator=generator) + 0.5
    attr = torch.randn(pairs.size(1), 3, generator=generator)
    if not directed:
        pairs, weight, attr = torch.cat([pairs, pairs.flip(0)], 1), weight.repeat(2), attr.repeat(2, 1)
    return Data(
        x=torch.randn(nodes, 40, generator=generator) + 3.0,
        edge_index=pairs,
        edge_weight=weight,
        edge_attr=attr,
        y=torch.randint(3, (nodes,), generator=generator),
        train_mask=torch.rand(nodes, generator=generator) < 0.5,
    )


def tensors_of(data: Data) -> dict[str, Tensor]:
    """All tensors of a graph by name."""
    return {name: value for name, value in data.to_dict().items() if isinstance(value, Tensor)}


def same_graph(a: Data, b: Data) -> bool:
    """Whether two graphs have the same tensors, bit for bit."""
    mine, other = tensors_of(a), tensors_of(b)
    return mine.keys() == other.keys() and all(torch.equal(mine[name], other[name]) for name in mine)


def leaves_global_random_state(call: Callable[[], Any]) -> bool:
    """Whether a call leaves the generators of torch, NumPy and Python as they were."""
    with torch.random.fork_rng(devices=[]):
        # a state of its own: a part that always seeds the process alike would leave its own state as it found it
        torch.manual_seed(0x5EED)
        kept = random.getstate(), np.random.get_state()  # noqa: NPY002
        random.seed(0x5EED)
        np.random.seed(0x5EED)  # noqa: NPY002
        before = torch.get_rng_state(), random.getstate(), str(np.random.get_state())  # noqa: NPY002
        try:
            call()
            after = torch.get_rng_state(), random.getstate(), str(np.random.get_state())  # noqa: NPY002
        finally:
            random.setstate(kept[0])
            np.random.set_state(kept[1])  # noqa: NPY002
        return torch.equal(before[0], after[0]) and before[1:] == after[1:]


def check_config(config: Config) -> list[str]:
    """A part's hyper-parameters: hashable, equal to their copy, carried through JSON, unknown keys refused."""
    promises = Promises(config)
    cls = type(config)
    promises.require(leaves_global_random_state(cls), "construction leaves the global random state alone")
    promises.require(copy.copy(config) == config, "equal to its copy")
    try:
        values = json.loads(json.dumps(encode(config)))
    except TypeError:
        return promises.kept  # parts that hold parts (chains) are Python objects, not file formats
    values_held = (getattr(config, field.name) for field in fields(cls))  # type: ignore[arg-type]
    nested = any(isinstance(value, (Config, tuple)) for value in values_held)
    try:
        again = decode(cls, values)
    except GraphclError:
        promises.require(nested, "carried through JSON")
        return promises.kept
    promises.require(again == config, "carried through JSON unchanged", again)
    try:
        decode(cls, {"no_such_parameter": 1})
    except RequestError as error:
        promises.require("no_such_parameter" in str(error), "an unknown parameter is refused by name")
    else:
        promises.require(False, "an unknown parameter is refused by name")
    return promises.kept
