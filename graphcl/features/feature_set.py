"""Sources side by side, and what is done to their rows: what a run, a suite or a script names as its features."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphcl.catalogue import find
from graphcl.config import Config, Size, decode, encode, updated
from graphcl.errors import RequestError
from graphcl.features.files import FeatureFile
from graphcl.features.source import FeatureSource, FeatureWatch
from graphcl.features.vocabulary import principal
from graphcl.graph import standardised, unit_rows

__all__ = ["FeatureSet", "Spread"]

Spread: TypeAlias = Literal["raw", "centred", "standard", "whitened"]
"""What is done to the columns: nothing, mean 0, mean 0 and deviation 1, or that along the principal directions."""


@dataclass(frozen=True, kw_only=True)
class FeatureSet(Config):
    r"""Sources side by side, each with rows of length 1, then brought into another form.

    .. math:: x_v = \big[x_v^{(1)} / \|x_v^{(1)}\|_2, \dots, x_v^{(K)} / \|x_v^{(K)}\|_2\big]

    A single source keeps the lengths of its rows.

    Args:
        sources: the sources by name with their settings, as `FeatureSet.of` makes them.
        spread: what is done to the columns (over all nodes, without labels).
        principal: directions that are kept; ``None`` keeps the columns.

    Raises:
        RequestError: no source, or one that is none.

    Reference:
        Whitening: Su et al., Whitening sentence representations for better semantics and faster retrieval, 2021.

    Example:
        >>> data = Data(text=["red apple", "red pear", "green pear"], num_nodes=3)
        >>> FeatureSet.of("bag-of-words+lsa", {"bag-of-words": {"least": 1}, "lsa": {"dim": 2, "least": 1}})(data).shape
        torch.Size([3, 6])
    """

    sources: tuple[dict[str, Any], ...] = ({"name": "tf-idf"},)
    spread: Spread = "raw"
    principal: Size | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.sources:
            raise RequestError("FeatureSet.sources is empty; name at least one source")
        self.parts()

    def __hash__(self) -> int:
        return hash(repr(encode(self)))

    @classmethod
    def of(cls, names: str, changes: Mapping[str, Any] | None = None) -> Self:
        """Sources by name, joined by ``+``; a name that ends like a file of features is the path of one.

        Args:
            names: such as ``minilm``, ``lsa+minilm`` or ``made/by-me.npz``.
            changes: ``spread`` and ``principal`` of the set, and settings of the sources: below the name of the source,
                or as they are where there is only one.

        Raises:
            UnknownNameError: a source or a setting that is not known.

        Example:
            >>> FeatureSet.of("lsa", {"dim": 64}).sources[0]["dim"], FeatureSet.of("lsa", {"spread": "centred"}).spread
            (64, 'centred')
        """
        changes = dict(changes or {})
        wanted = [name.strip() for name in names.split("+")]
        own = {field: changes.pop(field) for field in ("spread", "principal") if field in changes}
        made = []
        for name in wanted:
            file = Path(name).suffix in (".npy", ".npz", ".safetensors", ".parquet")
            source = FeatureFile(path=name) if file else find("features", name)()
            mine = changes.pop(name, None)
            if mine is None and len(wanted) == 1:
                mine, changes = changes, {}
            pinned = updated(source, mine or {}).pinned()
            made.append({"name": "feature-file" if file else name, **encode(pinned)})
        if changes:
            raise RequestError(f"settings of features that are not asked for: {', '.join(changes)}")
        return cls(sources=tuple(made), **own)

    def parts(self) -> list[FeatureSource]:
        """The sources."""
        made = []
        for given in self.sources:
            settings = dict(given)
            made.append(decode(find("features", settings.pop("name", "")), settings))
        return made

    def __call__(self, data: Data, watch: FeatureWatch | None = None) -> Tensor:
        """Features ``float32 [N, F]``, as of a `FeatureSource`."""
        parts = [part(data, watch) for part in self.parts()]
        x = torch.cat([unit_rows(part) for part in parts], 1) if len(parts) > 1 else parts[0]
        if self.spread != "raw":
            x = standardised(x) if self.spread == "standard" else x - x.mean(0)
        if self.principal is not None or self.spread == "whitened":
            kept = principal(x.double(), self.principal or x.size(1))
            x = standardised(kept).float() if self.spread == "whitened" else kept.float()
        return x

    def describe(self) -> dict[str, Any]:
        """With what each source says of itself."""
        return {
            "sources": [part.describe() for part in self.parts()],
            "spread": self.spread,
            "principal": self.principal,
        }
