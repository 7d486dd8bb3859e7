"""The fused kernels against the whole matrix in float64: on a GPU, else in Triton's interpreter; and that they compile.

Triton decides when it is imported whether its kernels are interpreted, and torch_geometric imports it. The checks of
the kernels (``check_*``, ``compile_*``: not collected by themselves) therefore run in processes of their own.
"""

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import torch

from graphcl.errors import RequestError
from graphcl.ops import pairwise, pairwise_triton
from graphcl.ops.pairwise import (
    logsumexp_between,
    logsumexp_between_reference,
    logsumexp_within,
    logsumexp_within_reference,
)
from graphcl.ops.pairwise_tiles import TiledLogSumExp

ROOT = Path(__file__).parents[2]
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cuda" if torch.cuda.is_available() and not INTERPRETED else "cpu"


def triton_version():
    if importlib.util.find_spec("triton") is None:
        pytest.skip("triton is not installed (dependency group dev, Linux)")
    return tuple(map(int, importlib.metadata.version("triton").split(".")[:2]))


def in_its_own_process(names, tmp_path, **environment):
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "TRITON_", "COV_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", f"python_functions={names}", __file__],
        cwd=ROOT, capture_output=True, text=True, timeout=600, check=False,
        env={**inherited, "OMP_NUM_THREADS": "1", "TRITON_CACHE_DIR": str(tmp_path), **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]


def test_the_kernels_agree_with_the_whole_matrix(tmp_path):
    version = triton_version()
    if DEVICE == "cuda" and pairwise_triton.refusal(torch.zeros(1, 1, device=DEVICE)) is None:
        in_its_own_process("check_*", tmp_path)
    elif version < (3, 7) and tuple(map(int, numpy.__version__.split(".")[:2])) >= (2, 4):
        pytest.skip("the interpreter of triton before 3.7 fails with numpy 2.4 and newer")
    else:
        in_its_own_process("check_*", tmp_path, TRITON_INTERPRET="1")


@pytest.mark.slow
def test_the_kernels_compile_for_hopper(tmp_path):
    triton_version()
    in_its_own_process("compile_*", tmp_path)


@pytest.fixture
def compiled(monkeypatch):
    """As in a process that was not started for the interpreter."""
    monkeypatch.setattr(pairwise_triton, "_INTERPRETED", False)


def test_a_request_for_triton_says_why_it_cannot_run(compiled, monkeypatch):
    z = torch.zeros(3, 2, device="cpu")
    if pairwise_triton.triton is not None:
        with pytest.raises(RequestError, match="need a CUDA device, the vectors are on cpu; use backend='tiles'"):
            logsumexp_within(z, backend="triton")
    with pytest.raises(RequestError, match="do not compute in float64; use backend='tiles'"):
        logsumexp_between(z.double(), z.double(), backend="triton")
    monkeypatch.setattr(pairwise_triton, "triton", None)
    with pytest.raises(RequestError, match="triton is not installed; use backend='tiles'"):
        logsumexp_within(z, backend="triton")


def test_which_backend_is_taken(compiled):
    z = torch.zeros(3, 2, device="cpu")
    assert pairwise._backend("auto", z, None) is TiledLogSumExp
    assert pairwise._backend("tiles", z, None) is TiledLogSumExp
    assert pairwise_triton.refusal(z) is not None
    with pytest.raises(RequestError, match="should be 'auto', 'tiles' or 'triton'"):
        logsumexp_within(z, backend="cuda")


def test_the_tiles_load_no_kernels():
    code = (
        "import sys, torch; from graphcl.ops.pairwise import logsumexp_within; logsumexp_within(torch.zeros(3, 2)); "
        "assert 'graphcl.ops.pairwise_triton' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_excluded_pairs_are_sorted_once():
    found = pairwise_triton._Excluded.of(torch.tensor([[2, 0, 2], [0, 1, 0]]), 3, both=True)
    assert list(zip(found.rows.tolist(), found.columns.tolist(), strict=True)) == [(0, 1), (0, 2), (1, 0), (2, 0)]
    exchanged = pairwise_triton._Excluded.of(torch.tensor([[0, 1], [1, 0]]), 3, both=False).exchanged()
    assert (exchanged.rows.tolist(), exchanged.columns.tolist()) == ([0, 1], [1, 0])


# ---- in a process with TRITON_INTERPRET=1, or one with a GPU ----


@pytest.fixture(autouse=True)
def _on_the_device():
    with torch.device(DEVICE):
        yield


def draw(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator("cpu").manual_seed(seed), device="cpu").to(DEVICE)


def vectors(seed, n, d, large):
    """Unit vectors at temperature 0.5, or 0.01: there, powers leave the range of float32."""
    return torch.nn.functional.normalize(draw(seed, n, d)) / (0.01 if large else 0.5) ** 0.5


def excluded_pairs(kind, n, m, within):
    """None, up to one or two per row, or lists: with duplicates, both orders, and one row that has a few blocks' worth."""
    i = torch.arange(min(n, m) // 2)
    one = torch.stack([i, i + min(n, m) // 2])
    two = torch.cat([one, torch.stack([i, (3 * i + 1) % m])], 1)
    listed = torch.stack([(draw(5, 50).abs() * n).long() % n, (draw(6, 50).abs() * m).long() % m])
    hub = torch.stack([torch.full((m // 2,), n - 3), torch.arange(m // 2)])
    listed = torch.cat([listed, hub, listed[:, :5], listed.flip(0) if within else listed], 1)
    return {"none": None, "one": one, "two": two, "listed": listed}[kind]


def relative(found, expected):
    assert found.isfinite().all()
    return float((found.double() - expected).norm() / expected.norm())


def too_slow(kind, precision):
    """The interpreter takes seconds a case: there, half precision is tried where the most happens."""
    return DEVICE == "cpu" and precision is not None and kind != "listed"


def agree(call, reference, inputs, precision, tolerance):
    """Values and gradients of every floating-point input, for one random direction."""
    own = {k: x.clone().requires_grad_() for k, x in inputs.items() if x is not None}
    exact = {k: x.double().requires_grad_() for k, x in inputs.items() if x is not None}
    found, expected = call(**own, precision=precision, backend="triton"), reference(**exact)
    found, expected = ((x,) if torch.is_tensor(x) else x for x in (found, expected))
    upstream = [draw(9 + k, len(x)) for k, x in enumerate(expected)]
    sum((g * x).sum() for g, x in zip(upstream, found, strict=True)).backward()
    sum((g.double() * x).sum() for g, x in zip(upstream, expected, strict=True)).backward()
    for x, y in zip(found, expected, strict=True):
        assert x.dtype == torch.float32
        error = float((x.detach().double() - y.detach()).abs().max())
        assert error <= tolerance * max(1.0, float(y.detach().abs().max()))
    for name, x in own.items():
        error = relative(x.grad, exact[name].grad)
        assert x.grad.dtype == x.dtype
        assert error <= tolerance, name


def tolerance_of(precision, large):
    if precision is torch.bfloat16:
        return 1e-2
    # a score of 145 (100 to the base 2) in float32 is off by 1e-5 at most, and its power by as much
    return 1e-5 if large else 5e-6


WITHIN = [
    # rows, width, large scores, excluded, weights, include_self
    (70, 20, False, "none", False, False),
    (70, 20, False, "one", True, False),
    (70, 20, False, "listed", False, True),
    (70, 20, True, "one", False, False),
    (70, 20, True, "listed", True, False),
    (45, 100, False, "two", False, False),
    (45, 100, False, "none", True, True),
    (45, 100, True, "none", True, False),
    (130, 5, False, "one", False, False),
    (1, 3, False, "none", False, True),
]


@pytest.mark.parametrize("precision", [None, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(("n", "d", "large", "kind", "weighted", "include_self"), WITHIN)
def check_within(n, d, large, kind, weighted, include_self, precision):
    if too_slow(kind, precision):
        pytest.skip("half precision of this case only on a GPU")
    excluded = excluded_pairs(kind, n, n, within=True)
    inputs = {"z": vectors(1, n, d, large), "weights": draw(2, n).abs() + 0.1 if weighted else None}
    agree(
        lambda **x: logsumexp_within(excluded=excluded, include_self=include_self, **x),
        lambda **x: logsumexp_within_reference(excluded=excluded, include_self=include_self, **x),
        inputs, precision, tolerance_of(precision, large),
    )  # fmt: skip


BETWEEN = [
    # rows, columns, width, large scores, excluded, weights of a, weights of b
    (40, 75, 20, False, "none", False, False),
    (75, 40, 20, False, "one", True, False),
    (40, 75, 20, False, "listed", True, True),
    (40, 75, 20, True, "one", False, True),
    (33, 50, 100, True, "listed", True, True),
    (33, 50, 100, False, "two", False, False),
]


@pytest.mark.parametrize("precision", [None, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(("n", "m", "d", "large", "kind", "weights_a", "weights_b"), BETWEEN)
def check_between(n, m, d, large, kind, weights_a, weights_b, precision):
    if too_slow(kind, precision):
        pytest.skip("half precision of this case only on a GPU")
    excluded = excluded_pairs(kind, n, m, within=False)
    inputs = {
        "a": vectors(1, n, d, large),
        "b": vectors(2, m, d, large),
        "weights_a": draw(3, n).abs() + 0.1 if weights_a else None,
        "weights_b": draw(4, m).abs() + 0.1 if weights_b else None,
    }
    agree(
        lambda **x: logsumexp_between(excluded=excluded, **x),
        lambda **x: logsumexp_between_reference(excluded=excluded, **x),
        inputs, precision, tolerance_of(precision, large),
    )  # fmt: skip


@pytest.mark.skipif(DEVICE == "cpu", reason="far too many programs for the interpreter")
@pytest.mark.parametrize("precision", [None, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("kind", ["none", "one", "two", "listed"])
@pytest.mark.parametrize("d", [64, 100, 256, 700])
def check_many_blocks(d, kind, large, precision):
    n, m = 3001, 2050
    for weighted in (False, True):
        weights = [draw(2 + k, size).abs() + 0.1 if weighted else None for k, size in enumerate((n, n, m))]
        pairs = excluded_pairs(kind, n, n, within=True)
        agree(
            lambda pairs=pairs, **x: logsumexp_within(excluded=pairs, **x),
            lambda pairs=pairs, **x: logsumexp_within_reference(excluded=pairs, **x),
            {"z": vectors(1, n, d, large), "weights": weights[0]}, precision, tolerance_of(precision, large),
        )  # fmt: skip
        pairs = excluded_pairs(kind, n, m, within=False)
        agree(
            lambda pairs=pairs, **x: logsumexp_between(excluded=pairs, **x),
            lambda pairs=pairs, **x: logsumexp_between_reference(excluded=pairs, **x),
            {"a": vectors(1, n, d, large), "b": vectors(2, m, d, large), "weights_a": weights[1],
             "weights_b": weights[2]}, precision, tolerance_of(precision, large),
        )  # fmt: skip


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def check_short_formats(dtype, large):
    inputs = {"z": vectors(1, 45, 20, large).to(dtype)}
    agree(logsumexp_within, logsumexp_within_reference, inputs, None, 1e-2)


def check_column_sums_in_several_strips(monkeypatch):
    monkeypatch.setattr(pairwise_triton, "_STRIP", 1)
    inputs = {"z": vectors(1, 100, 20, False)}
    agree(logsumexp_within, logsumexp_within_reference, inputs, None, 5e-6)


def check_the_columns_are_divided_among_programs():
    device = torch.device("cpu")
    assert pairwise_triton._splits(device, 3, 7, 16) > 1
    assert pairwise_triton._splits(device, 3, 7, 1) == 1
    assert pairwise_triton._splits(device, 800, 100, 16) == 1


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("by", ["pairs", "weights", "weights of opposites"])
def check_rows_without_candidates(by, large):
    a, b = vectors(1, 40, 20, large), vectors(2, 50, 20, large)
    excluded, weights_a, weights_b = None, torch.ones(40), torch.ones(50)
    if by == "pairs":
        row = torch.stack([torch.full((50,), 7), torch.arange(50)])
        excluded = torch.cat([row, torch.stack([torch.arange(40), torch.full((40,), 33)])], 1)
    else:
        # rows 1 to 39 have no candidate but the last row of b, which is excluded for row 7
        weights_b[:-1] = 0.0
        excluded = torch.tensor([[7], [49]])
        if by == "weights of opposites":
            a, b = b[:1].expand(40, 20) + 0.01 * a, torch.cat([b[:1].expand(49, 20), -b[:1]]) + 0.01 * b
    inputs = [x.requires_grad_() for x in (a.clone(), b.clone(), weights_a.clone(), weights_b.clone())]
    exact = [x.detach().double().requires_grad_() for x in inputs]
    for x, backend in ((inputs, "triton"), (exact, "tiles")):
        rows, columns = logsumexp_between(
            x[0], x[1], weights_a=x[2], weights_b=x[3], excluded=excluded, backend=backend
        )
        assert rows[7] == -torch.inf
        assert not rows.isnan().any() | columns.isnan().any()
        assert columns[33].isfinite() == (by != "pairs")
        (rows[rows.isfinite()].sum() + 2 * columns[columns.isfinite()].sum()).backward()
    for x, y in zip(inputs[:3], exact[:3], strict=True):
        assert relative(x.grad, y.grad) <= 1e-5
    assert inputs[3].grad[49].isfinite()
    if by == "pairs":
        assert (inputs[0].grad[7] == 0).all()
        assert (inputs[1].grad[33] == 0).all()


def check_a_candidate_without_weight_far_above_the_others():
    a, b = torch.full((20, 8), -3.0), torch.full((30, 8), 3.0) + 0.1 * draw(1, 30, 8)
    a[3] *= -1
    weights = torch.ones(20)
    weights[3] = 0.0
    inputs = [x.requires_grad_() for x in (a, b, weights)]
    exact = [x.detach().double().requires_grad_() for x in inputs]
    for x, backend in ((inputs, "triton"), (exact, "tiles")):
        # no gradient comes from the columns, whose powers of row 3 are infinite in float32
        logsumexp_between(x[0], x[1], weights_a=x[2], backend=backend)[0].sum().backward()
    assert (inputs[2].grad == 0).all()
    for x, y in zip(inputs[:2], exact[:2], strict=True):
        assert relative(x.grad, y.grad) <= 1e-5


def check_all_rows_without_candidates():
    z = draw(1, 5, 3).requires_grad_()
    everything = torch.combinations(torch.arange(5)).T.contiguous()
    found = logsumexp_within(z, excluded=everything, backend="triton")
    assert (found == -torch.inf).all()
    found.sum().backward()
    assert (z.grad == 0).all()


def check_only_what_is_asked_for_is_computed():
    a, b = draw(1, 20, 5).requires_grad_(), draw(2, 20, 5)
    logsumexp_between(a, b, backend="triton")[0].sum().backward()
    expected = a.grad
    a.grad = None
    logsumexp_between_reference(a, b)[0].sum().backward()
    assert relative(expected, a.grad.double()) < 5e-6


def check_double_precision_is_refused():
    z = torch.zeros(3, 2)
    assert pairwise_triton.refusal(z) is None
    assert pairwise_triton.refusal(z.double()) is not None
    with pytest.raises(RequestError, match="do not compute in float64"):
        logsumexp_within(z.double(), backend="triton")
    with pytest.raises(RequestError, match="use backend='tiles'"):
        logsumexp_within(z, precision=torch.float64, backend="triton")


# ---- in a process without the interpreter; the compiler needs no GPU ----


def built_for_hopper(kernel, constants, sizes, vectors):
    from triton import compile as build
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    pointers = {"left": vectors, "right": vectors}
    pointers |= dict.fromkeys(("partners", "near", "pair_rows", "pair_columns", "pair_starts"), "*i32")
    numbers = ("blocks", "first_block", "n", "m", "padded_n", "padded_m", "splits")
    signature = {
        name: "constexpr" if name in constants else pointers.get(name, "i32" if name in numbers else "*fp32")
        for name in kernel.arg_names
    }
    aligned = {
        (k,): [["tt.divisibility", 16]] for k, kind in enumerate(signature.values()) if kind.startswith("*")
    }  # as for tensors of torch
    source = ASTSource(kernel, signature, {(kernel.arg_names.index(k),): v for k, v in constants.items()}, aligned)
    options = {"num_warps": sizes.warps, "num_stages": sizes.stages, "enable_fp_fusion": True}
    return build(source, target=GPUTarget("cuda", 90, 32), options=options)


@pytest.mark.parametrize(
    ("dtype", "size", "direct", "weighted", "slots", "listed"),
    [
        (torch.bfloat16, 256, True, False, 1, False),
        (torch.float32, 300, False, True, 0, True),
    ],
)
def compile_both_kernels(dtype, size, direct, weighted, slots, listed):
    import triton.language as tl

    width = pairwise_triton._width(dtype, size)
    vectors, narrow = ("*bf16", tl.bfloat16) if dtype == torch.bfloat16 else ("*fp32", tl.float32)
    absent = [name for name, there in (("partners", slots), ("near", slots), ("pair_rows", listed),
                                       ("pair_columns", listed), ("pair_starts", listed)) if not there]  # fmt: skip
    for gradient in (False, True):
        sizes = pairwise_triton._sizes(dtype, width, size, gradient)
        constants = {
            "width": width, "chunk": sizes.chunk, "held": sizes.held, "tile_rows": sizes.rows,
            "tile_columns": sizes.columns, "digits": pairwise_triton._digits(dtype), "direct": direct,
            "own": True, "slots": slots, "listed": listed, **dict.fromkeys(absent),
        }  # fmt: skip
        if gradient:
            constants |= {"size": size, "product": sizes.product, "weighted": weighted, "narrow": narrow}
            constants |= {} if weighted else {"of_weights": None}
        else:
            constants |= {"upper": direct, "columns_too": direct} | ({} if direct else {"by_column": None})
        kernel = pairwise_triton._gradient if gradient else pairwise_triton._sums
        made = built_for_hopper(kernel, constants, sizes, vectors)
        assert made.metadata.shared <= 227 * 1024
        assert "wgmma" in made.asm["ptx"]
        # loads run ahead of the products, except where the list of pairs is walked
        assert listed or "cp.async" in made.asm["ptx"]
