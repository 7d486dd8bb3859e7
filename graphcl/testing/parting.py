"""The contract of decouplers."""

import copy

import torch
from torch_geometric.data import Data

from graphcl.features.decoupling import Decoupled, Decoupler
from graphcl.features.text_encoder import sentences_of
from graphcl.testing.promises import Promises, check_config, leaves_global_random_state, same_graph
from graphcl.testing.sources import moved_texts, sample_texts

__all__ = ["check_decoupler"]


def check_decoupler(decoupler: Decoupler) -> list[str]:
    """Shares in [0, 1] for the sentences of each node; deterministic, blind to labels, free of side effects.

    Args:
        decoupler: an instance that can part `sample_texts`.

    Raises:
        ContractError: at the first broken promise.

    Example:
        >>> from graphcl.features import RandomSplit
        >>> "labels and masks are not read" in check_decoupler(RandomSplit())
        True
    """
    promises = Promises(decoupler)
    promises.kept += check_config(decoupler)
    data = sample_texts()
    before = copy.deepcopy(data)
    found: list[Decoupled] = []
    silent = leaves_global_random_state(lambda: found.append(decoupler(data)))
    (parted,) = found
    promises.require(silent, "the global random state stays as it was")
    promises.require(same_graph(data, before) and data.text == before.text, "the graph is never changed")
    sizes = [len(said) for said in parted.sentences]
    promises.require(len(sizes) == 8 and min(sizes) > 0, "every node that says something has sentences", sizes)
    promises.require(sizes == [len(shares) for shares in parted.shares], "a share for each sentence")
    flat = [share for shares in parted.shares for share in shares]
    promises.require(all(0 <= share <= 1 for share in flat), "shares lie in [0, 1]")
    promises.require(decoupler(data) == parted, "the same graph gives the same shares")
    blind = Data(edge_index=data.edge_index, text=data.text, num_nodes=8)
    promises.require(decoupler(blind) == parted, "labels and masks are not read")
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0)).tolist()
    moved = decoupler(moved_texts(data, order))
    same = all(
        moved.sentences[place] == parted.sentences[node]
        and torch.allclose(torch.tensor(moved.shares[place]), torch.tensor(parted.shares[node]), atol=1e-5)
        for place, node in enumerate(order)
    )
    promises.require(same, "renumbering the nodes renumbers the shares")
    said = [set(" ".join(some).split()) for some in sentences_of(data)]
    own = all(
        words >= set(" ".join(sentences).split()) for words, sentences in zip(said, parted.sentences, strict=True)
    )
    promises.require(own, "nothing is added to what a node says")
    promises.require(decoupler.describe().get("decoupler") == type(decoupler).__name__, "says what it is")
    return promises.kept
