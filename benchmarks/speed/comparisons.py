"""What is compared with what."""

from benchmarks.speed.harness import Comparison, Side

__all__ = ["COMPARISONS"]


def _ways(script: str, names: tuple[str, ...], *args: str, limit_gb: float | None = None) -> tuple[Side, ...]:
    """Sides that are one script, told by its first argument what to do."""
    return tuple(Side(name, script, (name, *args), limit_gb=limit_gb) for name in names)


_LOSSES = ("dense", "graphcl", "graphcl-bf16")
_PAIRS = {"10k": "10000", "100k": "100000", "1m": "1000000"}
_ENCODERS = ("pyg", "pyg-cached", "pyg-sparse", "graphcl", "graphcl-dense-x")

COMPARISONS: tuple[Comparison, ...] = (
    # the third pass of PyGCL's example, over the unchanged graph, does not enter the loss: the baseline goes without it
    Comparison(
        "grace-epoch-cora",
        (
            Side("pygcl", "peer_scripts/pygcl_grace.py", ("{graph}",), peer="pygcl"),
            Side("pygcl-example", "peer_scripts/pygcl_grace.py", ("{graph}", "--third-pass"), peer="pygcl"),
            Side("graphcl", "sides/graphcl_grace.py", ("{graph}",)),
        ),
        graph="cora",
    ),
    # masks and similarities of PyGCL are dense [N, 2N], 3.1 GB each at N = 19,717
    Comparison(
        "grace-step-pubmed",
        (
            Side(
                "pygcl",
                "peer_scripts/pygcl_grace.py",
                ("{graph}", "--warmup", "1", "--repeats", "1"),
                peer="pygcl",
                limit_gb=18,
                timeout=300,
            ),
            Side(
                "graphcl",
                "sides/graphcl_grace.py",
                ("{graph}", "--warmup", "1", "--repeats", "1"),
                limit_gb=18,
                timeout=300,
            ),
        ),
        graph="pubmed",
    ),
    Comparison("loss-cora", _ways("sides/contrast_loss.py", _LOSSES, "--nodes", "2708")),
    # the matrix of all pairs takes 6.2 GB, and autograd needs it several times
    Comparison(
        "loss-pubmed",
        _ways("sides/contrast_loss.py", _LOSSES, "--nodes", "19717", "--warmup", "1", "--repeats", "1", limit_gb=18),
    ),
    Comparison("gcn-pubmed", _ways("sides/gcn.py", _ENCODERS, "{graph}"), graph="pubmed"),
    Comparison("gcn-physics", _ways("sides/gcn.py", _ENCODERS, "{graph}"), graph="coauthor-physics"),
    Comparison(
        "propagate",
        _ways("sides/propagation.py", ("gather-scatter", "torch-csr", "graphcl"), "{graph}"),
        graph="coauthor-physics",
    ),
    Comparison("ppr-cora", _ways("sides/diffusion.py", ("gdc", "graphcl"), "{graph}"), graph="cora"),
    # the dense inverse and what is made of it take the square of the nodes several times
    Comparison(
        "ppr-pubmed",
        _ways("sides/diffusion.py", ("gdc", "graphcl"), "{graph}", "--warmup", "0", "--repeats", "1", limit_gb=18),
        graph="pubmed",
    ),
    # a dense inverse would be 40 GB: there is no other side
    Comparison(
        "ppr-million",
        _ways("sides/diffusion.py", ("graphcl",), "million", "--warmup", "0", "--repeats", "1", limit_gb=18),
    ),
    Comparison(
        "spectral-epoch-pubmed",
        _ways(
            "sides/spectral_epoch.py",
            ("polygcl", "aspect", "aspect-infomax", "aspect-global"),
            "{graph}",
        ),
        graph="pubmed",
    ),
    # the same number of steps, block and budget; the outcome is accuracy on the nodes that were attacked
    Comparison("attack-cora", _ways("sides/attack.py", ("pyg", "graphcl"), "{graph}"), graph="cora"),
    Comparison("attack-million", _ways("sides/attack.py", ("graphcl-million",), "none", limit_gb=4)),
    # the third side finds all its rows in the cache
    Comparison(
        "encode-texts",
        _ways("sides/sentence_encoding.py", ("sentence-transformers", "graphcl", "graphcl-again")),
    ),
    Comparison("basis-million", _ways("sides/basis.py", ("0", "300", "200"))),
    Comparison(
        "recommend-epoch",
        (
            Side("recbole", "peer_scripts/recbole_lightgcn.py", ("epoch", "{graph}"), peer="recbole"),
            Side("graphcl", "sides/recommend.py", ("epoch", "{graph}")),
        ),
        graph="ml-100k",
    ),
    # RecBole's default lists two users at a time; the second side gives it all of them at once
    Comparison(
        "recommend-rank",
        (
            Side("recbole", "peer_scripts/recbole_lightgcn.py", ("rank", "{graph}"), peer="recbole"),
            Side(
                "recbole-at-once",
                "peer_scripts/recbole_lightgcn.py",
                ("rank", "{graph}", "--eval-batch", "2000000"),
                peer="recbole",
            ),
            Side("graphcl", "sides/recommend.py", ("rank", "{graph}")),
        ),
        graph="ml-100k",
    ),
    Comparison(
        "recommend-scaling",
        tuple(Side(name, "sides/recommend.py", ("scaling", pairs)) for name, pairs in _PAIRS.items()),
    ),
    Comparison(
        "recommend-scaling-10m",
        (
            Side(
                "10m",
                "sides/recommend.py",
                ("scaling", "10000000", "--warmup", "0", "--repeats", "1"),
                limit_gb=18,
                timeout=3600,
            ),
        ),
    ),
)
