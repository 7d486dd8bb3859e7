"""Two small real graphs that come with the installed libraries, for examples, tests and first steps."""

import numpy as np
import torch
from torch_geometric.data import Data
from torch_geometric.utils import to_undirected

from graphcl.data.spec import Counts, DatasetSpec, Files, Layout
from graphcl.errors import RequestError
from graphcl.seeding import imported

__all__ = ["DIGITS_KNN", "KARATE", "digits_knn", "karate"]

_CLUBS = ("Mr. Hi", "Officer")


def karate(files: Files | None = None) -> Data:
    """Zachary's karate club: 34 members, 78 friendships, and the club each of them chose after the split.

    The friendships are stored in both directions and without their weights; the features are the identity, so nothing
    but the structure tells two members apart.

    Args:
        files: ignored.

    Returns:
        A graph with ``x`` ``[34, 34]``, ``edge_index`` ``[2, 156]`` and ``y`` ``[34]`` in {0, 1}.

    Reference:
        Zachary, An information flow model for conflict and fission in small groups, J. Anthropological Research 1977.

    Example:
        >>> karate()
        Data(x=[34, 34], edge_index=[2, 156], y=[34])
    """
    import networkx

    graph = networkx.karate_club_graph()
    edges = torch.tensor(list(graph.edges), dtype=torch.long).t()
    y = torch.tensor([_CLUBS.index(graph.nodes[member]["club"]) for member in range(len(graph))])
    return Data(x=torch.eye(len(graph)), edge_index=to_undirected(edges, num_nodes=len(graph)), y=y)


def digits_knn(files: Files | None = None, k: int = 10) -> Data:
    r"""The 1,797 scanned digits of scikit-learn, each joined to the images that look most like it.

    .. math::
        \{u, v\} \in E \iff u \in \mathrm{top}_k \cos(x_v, \cdot) \;\text{or}\; v \in \mathrm{top}_k \cos(x_u, \cdot)

    The pixels are small integers, so that the products are exact and the graph is the same on every machine; of
    equally similar images the one with the smaller number is taken.

    Args:
        files: ignored.
        k: neighbours that each image chooses, 1 to 1796.

    Returns:
        A graph with ``x`` ``[1797, 64]`` (grey values in [0, 1]), ``edge_index`` ``[2, E]``, ``y`` ``[1797]`` in 0..9.

    Raises:
        RequestError: ``k`` out of range.

    Reference:
        Kaynak, Methods of combining multiple classifiers and their applications to handwritten digit recognition, 1995
        (the test part of the UCI data set "Optical recognition of handwritten digits").

    Example:
        >>> digits_knn(k=1).num_nodes
        1797
    """
    load_digits = imported("sklearn.datasets").load_digits
    pixels, labels = load_digits(return_X_y=True)
    n = len(pixels)
    if not 1 <= k < n:
        raise RequestError(f"digits_knn: k = {k}: input should be between 1 and {n - 1}")
    product = pixels @ pixels.T
    square = np.diag(product)
    similarity = product / np.sqrt(square[:, None] * square[None, :])
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    edges = np.stack([np.repeat(np.arange(n), nearest.shape[1]), nearest.ravel()])
    return Data(
        x=torch.from_numpy(pixels / 16).float(),
        edge_index=to_undirected(torch.from_numpy(edges), num_nodes=n),
        y=torch.from_numpy(labels.astype(np.int64)),
    )


KARATE = DatasetSpec(
    name="karate",
    title="Karate Club",
    layouts=(Layout(read=karate),),
    counts=Counts(nodes=34, edges=156, features=34, classes=2),
    content="df660dc1c69ff985",
    citation=(
        "W. W. Zachary. An information flow model for conflict and fission in small groups. "
        "Journal of Anthropological Research 33(4), 1977."
    ),
    source="networkx.karate_club_graph",
    note="Members of a club; an edge is a friendship (weights ignored), the label the club chosen after the split.",
    default_split="few-4",
    traps=(
        "34 nodes: one node is 3 to 7 points of test accuracy; an example, not a benchmark.",
        "Identity features: an encoder's input layer is a table of node vectors and knows no other graph.",
    ),
)

DIGITS_KNN = DatasetSpec(
    name="digits-knn",
    title="Digits (kNN graph)",
    layouts=(Layout(read=digits_knn),),
    counts=Counts(nodes=1797, edges=25070, features=64, classes=10),
    content="78b7ae5eb5b3f090",
    licence="CC BY 4.0 (UCI)",
    citation=(
        "C. Kaynak. Methods of combining multiple classifiers and their applications to handwritten digit "
        "recognition. MSc thesis, Bogazici University, 1995."
    ),
    source="sklearn.datasets.load_digits",
    note="8 x 8 images; an edge joins an image and one of the 10 most similar (cosine), the label is the digit.",
    traps=("The edges are computed from the features of all images, test images included.",),
)
