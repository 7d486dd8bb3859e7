"""From a name to interactions and a split of them."""

from graphcl.catalogue import entries, find
from graphcl.data.interaction_spec import InteractionContent, InteractionSpec, interaction_fingerprint
from graphcl.data.interaction_splits import InteractionSplit, draw_interactions, given
from graphcl.data.interactions import Interactions
from graphcl.data.loading import refusal, unproven_among
from graphcl.data.spec import Files
from graphcl.data.store import locate
from graphcl.errors import DataError, RequestError, UnknownNameError

__all__ = ["find_interactions", "load_interactions", "open_interactions"]


def find_interactions(name: str) -> InteractionSpec:
    """The facts about an interaction set by name.

    Raises:
        UnknownNameError: with the nearest known name.
        RequestError: the name of a graph.
    """
    if name not in entries("interactions") and name in entries("datasets"):
        raise RequestError(f"'{name}' is a graph, no interaction set: take graphcl.data.load('{name}') instead")
    return find("interactions", name)


def open_interactions(name: str) -> tuple[InteractionSpec, InteractionContent, Files]:
    """Read an interaction set, checked against what is known of it.

    Returns:
        The facts, the pairs (or a training and a test part), and the raw files used.

    Raises:
        UnknownNameError: no such interaction set.
        DataError: files missing, corrupt, or with another content than the stated one.
    """
    spec = find_interactions(name)
    layout, files = locate(spec)
    unproven = unproven_among(layout.files, files)
    try:
        content = layout.read(files)
        _check(spec, content)
        if spec.content is None and any(file.sha256 for file in unproven):
            raise DataError("no fingerprint on record to compare the content with")
    except MemoryError:
        raise
    except Exception as error:  # raw formats break in many ways; whatever it is, the file is to blame
        raise refusal(name, files, unproven, error) from error
    return spec, content, files


def _check(spec: InteractionSpec, content: InteractionContent) -> None:
    parts = (content,) if isinstance(content, Interactions) else content
    if spec.has_test != (len(parts) == 2):
        raise DataError(f"{spec.name}: read {len(parts)} part(s), expected {1 + spec.has_test}")
    if spec.timed and any(part.times is None for part in parts):
        raise DataError(f"{spec.name}: the pairs have no times")
    if spec.counts is not None:
        found = {
            "users": parts[0].num_users,
            "items": parts[0].num_items,
            **{what: len(part) for what, part in zip(("train", "test"), parts, strict=False)},
        }
        for what, number in found.items():
            if number != getattr(spec.counts, what):
                unit = what if what in ("users", "items") else f"pairs in {what}"
                raise DataError(f"{spec.name}: read {number} {unit}, expected {getattr(spec.counts, what)}")
    if spec.content is not None:
        fingerprint = interaction_fingerprint(content)
        if fingerprint != spec.content:
            raise DataError(f"{spec.name}: the pairs have fingerprint {fingerprint}, expected {spec.content}")


def load_interactions(name: str, split: str | None = None, seed: int = 0) -> InteractionSplit:
    """An interaction set by name, in the parts of a split.

    Looked for in the folders of ``GRAPHCL_MIRROR``, then in the cache. The embedded sets (``python-imports``,
    ``planted-factors``) need nothing.

    Args:
        name: catalogue name.
        split: one of the set's `InteractionSpec.splits`; ``None`` takes its default: ``given`` where the files bring a
            test part, else ``ratio-80-10-10``. The others split all pairs anew.
        seed: draws what is random in the split.

    Raises:
        UnknownNameError: no such interaction set or split.
        RequestError: the name of a graph.
        DataError: the files cannot be had or are not what they should be.

    Example:
        >>> load_interactions("planted-factors")
        InteractionSplit('ratio-80-10-10', train / val / test 9,560 / 1,220 / 1,220, drawn with seed 0)
    """
    spec = find_interactions(name)
    wanted = split or spec.default_split
    # refused before any file is read or fetched
    if wanted not in spec.splits:
        raise UnknownNameError(f"split of {name}", wanted, spec.splits)
    _, content, _ = open_interactions(name)
    if isinstance(content, Interactions):
        return draw_interactions(wanted, content, seed)
    train, test = content
    if wanted.startswith("given"):
        return given(train, test, seed, validation=0.1 if wanted == "given" else 0.0)
    return draw_interactions(wanted, train.joined(test), seed)
