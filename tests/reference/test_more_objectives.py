"""Objectives beyond InfoNCE, CCA and DGI: arithmetic by hand, dense forms, edges, and what they refuse."""

import math

import pytest
import torch
from scipy import stats
from torch.autograd import gradcheck

from graphcl.catalogue import entries
from graphcl.errors import EmbeddingError, RequestError
from graphcl.objectives import jensen_shannon, mixture
from graphcl.objectives.asymmetric import AsymmetricInfoNCE, asymmetric_info_nce
from graphcl.objectives.contrast import (
    DebiasedInfoNCE,
    DecoupledInfoNCE,
    HardInfoNCE,
    InfoNCE,
    NTXent,
    decoupled_info_nce,
    info_nce,
)
from graphcl.objectives.cosine import BootstrapCosine, ScaledCosineError, bootstrap_cosine, scaled_cosine_error
from graphcl.objectives.hypersphere import AlignmentUniformity, alignment, uniformity
from graphcl.objectives.jensen_shannon import NodeGraphJSD, NodeNodeJSD, node_graph_jsd, node_node_jsd
from graphcl.objectives.margin import BoundedTriplet, TripletMargin, distance_bound, row_distances, triplet_margin
from graphcl.objectives.mixture import (
    BetaMixture,
    MixtureInfoNCE,
    fit_beta_mixture,
    mixture_info_nce,
    sampled_similarities,
)
from graphcl.objectives.node_graph import node_graph_bce
from graphcl.objectives.redundancy import BarlowTwins, VICReg, barlow_twins, vicreg
from graphcl.objectives.spectral import SpectralContrast, spectral_contrast
from graphcl.objectives.supervised import SupCon, sup_con
from graphcl.testing import check_objective


def tensor(rows):
    return torch.tensor(rows, dtype=torch.float64)


def draw(seed, n, d, dtype=torch.float64):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def unit(x):
    return x / x.norm(dim=1, keepdim=True)


def near(value):
    return pytest.approx(value, rel=1e-10, abs=1e-12)


SKEWED = BetaMixture((0.7, 0.3), (1.5, 4.0), (3.0, 1.2))

SETTINGS = [
    NTXent(0.1),
    NTXent(2.0),
    DecoupledInfoNCE(0.5),
    DecoupledInfoNCE(0.1, symmetric=True),
    DebiasedInfoNCE(debias=0.0),
    DebiasedInfoNCE(1.0, False, debias=0.3),
    DebiasedInfoNCE(0.2, debias=0.9),
    BarlowTwins(0.0),
    BarlowTwins(0.5),
    VICReg(1.0, 2.0, 3.0, spread=2.0, eps=0.1),
    VICReg(0.0, 0.0, 1.0),
    ScaledCosineError(1.0),
    ScaledCosineError(3.0),
    TripletMargin(0.0),
    TripletMargin(4.0),
    BoundedTriplet(0.5, 0.0, 2.0),
    BoundedTriplet(3.0, 1.0, 0.5),
    SupCon(0.5),
    AlignmentUniformity(0.0),
    AlignmentUniformity(2.0, power=1.0, scale=0.5),
    AlignmentUniformity(0.3, power=3.0, scale=5.0),
    SpectralContrast(3.0, "dot"),
    SpectralContrast(0.0),
    AsymmetricInfoNCE(0.1),
    AsymmetricInfoNCE(1.0),
    MixtureInfoNCE(1.0, SKEWED),
    MixtureInfoNCE(0.2, BetaMixture((0.5, 0.5))),
]


@pytest.mark.parametrize("objective", SETTINGS, ids=repr)
def test_contract_holds_away_from_the_defaults(objective):
    assert "equals its plain reference" in check_objective(objective)


NEW = {
    "alignment-uniformity", "asymmetric-info-nce", "barlow-twins", "bootstrap-cosine", "bounded-triplet",
    "debiased-info-nce", "decoupled-info-nce", "mixture-info-nce", "node-graph-jsd", "node-node-jsd", "nt-xent",
    "scaled-cosine-error", "spectral-contrast", "sup-con", "triplet-margin", "vicreg",
}  # fmt: skip


def test_all_are_found_by_name():
    assert set(entries("objectives")) >= NEW


def test_defaults_are_those_of_the_papers():
    assert DecoupledInfoNCE() == DecoupledInfoNCE(temperature=0.2, symmetric=False)
    assert DebiasedInfoNCE() == DebiasedInfoNCE(temperature=0.5, intra_view=True, debias=0.1)
    assert SupCon().temperature == 0.1
    assert VICReg() == VICReg(invariance=25.0, variance=25.0, covariance=1.0, spread=1.0, eps=1e-4)
    assert AlignmentUniformity() == AlignmentUniformity(weight=1.0, power=2.0, scale=2.0)
    assert ScaledCosineError().gamma == 2.0
    assert BetaMixture() == BetaMixture((0.95, 0.05), (1.0, 2.0), (2.0, 1.0))


@pytest.mark.parametrize("name", sorted(NEW))
def test_what_is_not_a_number_is_refused(name):
    objective = entries("objectives")[name]()
    for where in ("a", "b"):
        for value in (torch.nan, torch.inf):
            inputs = objective.sample(torch.Generator().manual_seed(0))
            inputs[where] = inputs[where].clone()
            inputs[where][1, 2] = value
            with pytest.raises(
                EmbeddingError, match=r"1 of \d rows of `\w+` hold NaN or infinity, first row 1"
            ) as error:
                objective(**inputs)
            assert not error.value.finite


@pytest.mark.parametrize("name", sorted(NEW - {"vicreg", "barlow-twins", "triplet-margin", "bounded-triplet",
                                              "node-graph-jsd", "node-node-jsd"}))  # fmt: skip
def test_a_row_without_direction_is_refused(name):
    objective = entries("objectives")[name]()
    inputs = objective.sample(torch.Generator().manual_seed(0))
    inputs["a"] = inputs["a"].clone()
    inputs["a"][2] = 0
    with pytest.raises(EmbeddingError, match="rows of `.*` are zero, first row 2"):
        objective(**inputs)


@pytest.mark.parametrize("name", sorted(NEW))
def test_shapes_types_and_emptiness_are_checked(name):
    objective = entries("objectives")[name]()
    inputs = objective.sample(torch.Generator().manual_seed(0))
    for wrong in (
        {"b": inputs["b"][:, :-1]},
        {"b": inputs["b"].float()},
        {"a": inputs["a"][0]},
        {"a": inputs["a"][:0], "b": inputs["b"][:0]},
        {"a": inputs["a"].long(), "b": inputs["b"].long()},
    ):
        with pytest.raises(RequestError, match="embeddings are|embeddings have shapes"):
            objective(**{**inputs, **wrong})


@pytest.mark.parametrize("name", sorted(NEW))
def test_inputs_stay_as_they_were(name):
    objective = entries("objectives")[name]()
    inputs = objective.sample(torch.Generator().manual_seed(0))
    before = {key: value.clone() for key, value in inputs.items()}
    objective(**inputs)
    assert all(torch.equal(before[key], inputs[key]) for key in inputs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", sorted(NEW))
def test_half_precision_is_summed_in_float32(name, dtype):
    objective = entries("objectives")[name]()
    inputs = objective.sample(torch.Generator().manual_seed(0), n=40, d=32)
    exact = float(objective(**inputs))
    narrow = {key: value.to(dtype) if value.is_floating_point() else value for key, value in inputs.items()}
    found = objective(**narrow)
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(exact, abs=0.01, rel=0.01)


@pytest.mark.parametrize(
    "name",
    sorted(NEW & {"nt-xent", "decoupled-info-nce", "debiased-info-nce", "barlow-twins", "vicreg", "bootstrap-cosine",
                  "scaled-cosine-error", "alignment-uniformity", "spectral-contrast", "node-node-jsd"}),
)  # fmt: skip
def test_positives_say_which_row_belongs_to_which(name):
    objective = entries("objectives")[name]()
    a, b = draw(0, 6, 4), draw(1, 6, 4)
    order = torch.tensor([3, 5, 0, 1, 4, 2])
    assert float(objective(a, b, order)) == near(float(objective(a, b[order])))
    assert float(objective(a, b, order)) == near(objective.reference(a, b, order))
    assert float(objective(a, b, order)) != near(float(objective(a, b)))
    for wrong in (order[:-1], order.int(), order + 1, order - 1):
        with pytest.raises(RequestError, match="positives"):
            objective(a, b, wrong)
    if name in {"nt-xent", "decoupled-info-nce", "debiased-info-nce"}:
        with pytest.raises(RequestError, match="repeats one"):
            objective(a, b, torch.zeros(6, dtype=torch.int64))
        with pytest.raises(RequestError, match=r"should be int64 \[N\]"):
            objective(a, b, torch.stack([order, order]))


@pytest.mark.parametrize(
    "name",
    sorted(NEW - {"asymmetric-info-nce", "bounded-triplet", "mixture-info-nce", "node-graph-jsd", "spectral-contrast",
                  "triplet-margin"}),
)  # fmt: skip
def test_negatives_are_refused_where_a_loss_has_its_own(name):
    objective = entries("objectives")[name]()
    inputs = objective.sample(torch.Generator().manual_seed(0))
    with pytest.raises(RequestError, match="leave `negatives` out"):
        objective(**inputs, negatives=inputs["a"])


@pytest.mark.parametrize("name", ["asymmetric-info-nce", "bounded-triplet", "triplet-margin"])
def test_negatives_are_asked_for_where_a_loss_has_none(name):
    with pytest.raises(RequestError, match="needs `negatives`"):
        entries("objectives")[name]()(draw(0, 3, 2), draw(1, 3, 2))
    with pytest.raises(RequestError, match="needs `negatives`"):
        entries("objectives")[name]().reference(draw(0, 3, 2), draw(1, 3, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda z: decoupled_info_nce(z, z), "at least two"),
        (lambda z: barlow_twins(z, z), "N >= 2"),
        (lambda z: vicreg(z, z), "N >= 2"),
        (lambda z: node_node_jsd(z, z), "at least two"),
        (lambda z: node_graph_jsd(z, z), "give `corrupted` nodes"),
        (lambda z: uniformity(z), "at least two"),
        (lambda z: spectral_contrast(z, z), "no negative"),
        (lambda z: mixture_info_nce(z, z, BetaMixture()), "at least two"),
        (lambda z: DebiasedInfoNCE()(z, z), "at least two"),
    ],
)
def test_one_row_has_nothing_to_be_told_from(call, message):
    with pytest.raises(RequestError, match=message):
        call(tensor([[1.0, 2.0]]))


def test_one_row_is_enough_where_nothing_is_told_apart():
    one, other = tensor([[3.0, 0.0]]), tensor([[1.0, 1.0]])
    half = math.sqrt(0.5)
    assert bootstrap_cosine(one, other).item() == near(2 - 2 * half)
    assert scaled_cosine_error(one, other, 1.0).item() == near(1 - half)
    assert alignment(one, other).item() == near(2 - 2 * half)
    assert info_nce(one, other).item() == NTXent()(one, other).item() == near(0.0)
    assert sup_con(one, other, torch.tensor([0])).item() == near(0.0)
    # the constant of one's own row: e^(1/τ)
    assert asymmetric_info_nce(one, other, one, temperature=1.0).item() == near(math.log1p(math.exp(1 - half)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: decoupled_info_nce(draw(0, 3, 2), draw(1, 3, 2), 0.0), "temperature = 0.0"),
        (lambda: sup_con(draw(0, 3, 2), draw(1, 3, 2), torch.zeros(3).long(), -1.0), "temperature = -1.0"),
        (lambda: mixture_info_nce(draw(0, 3, 2), draw(1, 3, 2), SKEWED, math.nan), "temperature = nan"),
        (lambda: barlow_twins(draw(0, 3, 2), draw(1, 3, 2), -0.1), "decorrelation = -0.1"),
        (lambda: vicreg(draw(0, 3, 2), draw(1, 3, 2), variance=-1.0), "variance = -1.0"),
        (lambda: vicreg(draw(0, 3, 2), draw(1, 3, 2), eps=0.0), "eps = 0.0"),
        (lambda: scaled_cosine_error(draw(0, 3, 2), draw(1, 3, 2), 0.5), "gamma = 0.5"),
        (lambda: alignment(draw(0, 3, 2), draw(1, 3, 2), 0.5), "power = 0.5"),
        (lambda: uniformity(draw(0, 3, 2), 0.0), "scale = 0.0"),
        (lambda: triplet_margin(torch.ones(3), torch.ones(3), -1.0), "margin = -1.0"),
        (lambda: triplet_margin(torch.ones(3), torch.ones(2)), "distances have shapes"),
        (lambda: distance_bound(torch.ones(3), torch.ones(3), -1.0), "limit = -1.0"),
        (lambda: row_distances(draw(0, 3, 2), draw(1, 4, 2)), "as many for each anchor"),
        (lambda: spectral_contrast(draw(0, 3, 2), draw(1, 3, 2), repulsion=-1.0), "repulsion = -1.0"),
        (lambda: spectral_contrast(draw(0, 3, 2), draw(1, 3, 2), similarity="l2"), "similarity = 'l2'"),
        (lambda: spectral_contrast(draw(0, 3, 2), draw(1, 4, 2)), "say with `positives`"),
        (lambda: SpectralContrast()(draw(0, 3, 2), draw(1, 3, 2), negatives=draw(0, 3, 2)), "pairs of rows"),
        (lambda: sup_con(draw(0, 3, 2), draw(1, 3, 2), torch.tensor([0, 1, -2])), "at least -1"),
        (lambda: sup_con(draw(0, 3, 2), draw(1, 3, 2), torch.tensor([0, 1])), r"expected int64 \[3\]"),
        (lambda: SupCon()(draw(0, 3, 2), draw(1, 3, 2)), "the class of each node"),
        (lambda: node_graph_jsd(draw(0, 3, 2), draw(1, 2, 2)), "say which belongs"),
        (lambda: node_graph_jsd(draw(0, 3, 2), draw(1, 2, 2), torch.tensor([0, 1, 2])), "reach to row 2"),
        (lambda: node_graph_jsd(draw(0, 3, 2), draw(1, 1, 2), corrupted=draw(0, 2, 2)), "corrupted nodes have shape"),
        (lambda: node_node_jsd(draw(0, 3, 2), draw(1, 4, 2)), "embeddings have shapes"),
        (lambda: bootstrap_cosine(draw(0, 3, 2), draw(1, 3, 2), weights=torch.ones(2)), r"expected numbers \[3\]"),
        (lambda: bootstrap_cosine(draw(0, 3, 2), draw(1, 3, 2), weights=tensor([1, -1, 1])), "not negative"),
        (lambda: bootstrap_cosine(draw(0, 3, 2), draw(1, 3, 2), weights=torch.zeros(3)), "not all zero"),
        (lambda: bootstrap_cosine(draw(0, 3, 2), draw(1, 3, 2), torch.tensor([[0, 3], [0, 0]])), "`a` has 3 rows"),
        (lambda: bootstrap_cosine(draw(0, 3, 2), draw(1, 3, 2), torch.tensor([[0, 1], [0, -1]])), "reach from .0, -1."),
        (lambda: bootstrap_cosine(draw(0, 3, 2), draw(1, 3, 2), torch.empty(2, 0).long()), "P > 0"),
        (lambda: asymmetric_info_nce(draw(0, 3, 2), draw(1, 3, 2), draw(2, 4, 2)), r"both must be \[N, D\]"),
        (
            lambda: asymmetric_info_nce(draw(0, 3, 2), draw(1, 3, 2), draw(2, 3, 2), weight=-torch.ones(3)),
            r"expected floats from 0, \[3\]",
        ),
        (
            lambda: asymmetric_info_nce(draw(0, 3, 2), draw(1, 3, 2), draw(2, 3, 2), sampled=torch.zeros(2, 3).long()),
            r"expected int64 \[3, S\]",
        ),
        (lambda: mixture_info_nce(draw(0, 3, 2), draw(1, 3, 2), SKEWED, seen=(draw(0, 4, 2),) * 2), "from 4 nodes"),
        (lambda: MixtureInfoNCE()(draw(0, 3, 2), draw(1, 3, 2), negatives=draw(2, 3, 3)), "side by side"),
        (lambda: fit_beta_mixture(torch.tensor([0.1, 1.1])), r"in \[0, 1\]"),
        (lambda: fit_beta_mixture(torch.tensor([0.1, math.nan])), "finite"),
        (lambda: fit_beta_mixture(torch.empty(0)), "finite"),
        (lambda: fit_beta_mixture(torch.full((5,), 0.3)), "all alike"),
        (lambda: fit_beta_mixture(torch.rand(5), 0), "iterations = 0"),
        (lambda: sampled_similarities(draw(0, 3, 2), draw(1, 3, 2), 0, generator=torch.Generator()), "columns = 0"),
        (lambda: BetaMixture(alpha=(0.0, 1.0)), "greater than 0"),
        (lambda: DebiasedInfoNCE(debias=1.0), "less than 1"),
        (lambda: ScaledCosineError(0.9), "greater than or equal to 1"),
        (lambda: TripletMargin(-1.0), "greater than or equal to 0"),
    ],
)
def test_wrong_arguments_are_refused(call, message):
    with pytest.raises(RequestError, match=message):
        call()


# --- NT-Xent, decoupled, debiased


@pytest.mark.parametrize("t", [0.1, 0.5, 1.0])
def test_nt_xent_is_info_nce(t):
    a, b = draw(0, 9, 5), draw(1, 9, 5)
    assert torch.equal(NTXent(t)(a, b), InfoNCE(t)(a, b))
    assert NTXent(t).reference(a, b) == near(InfoNCE(t).reference(a, b))


def test_decoupled_by_hand():
    # a = e1, e2; b = e1, (e1 + e2)/√2: cos(a1,b1) = 1, cos(a1,b2) = s, cos(a2,b1) = 0, cos(a2,b2) = s
    s, t = math.sqrt(0.5), 0.25
    a, b = tensor([[1, 0], [0, 1]]), tensor([[1, 0], [1, 1]])
    rows = ((s - 1) + (0 - s)) / t / 2
    columns = ((0 - 1) + (s - s)) / t / 2
    assert decoupled_info_nce(a, b, t).item() == near(rows)
    assert decoupled_info_nce(b, a, t).item() == near(columns)
    assert decoupled_info_nce(a, b, t, symmetric=True).item() == near((rows + columns) / 2)


def test_decoupled_is_the_dense_form_of_the_graph_level_papers():
    x, y = draw(0, 12, 6), draw(1, 12, 6)
    powers = (unit(x) @ unit(y).T / 0.2).exp()
    own = powers.diagonal()
    assert decoupled_info_nce(x, y).item() == near(-(own / (powers.sum(1) - own)).log().mean().item())
    both = -((own / (powers.sum(0) - own)).log().mean() + (own / (powers.sum(1) - own)).log().mean()) / 2
    assert decoupled_info_nce(x, y, symmetric=True).item() == near(both.item())


def test_decoupled_reaches_its_bound():
    # antipodes on a line: positives equal, the only negative opposite
    z = tensor([[1.0], [-1.0]])
    assert decoupled_info_nce(z, z, 0.2).item() == near(math.log(1) - 2 / 0.2)
    # and stays finite and differentiable where a power would overflow
    z = draw(0, 5, 3).float().requires_grad_()
    decoupled_info_nce(z, z, 1e-3).backward()
    assert z.grad.isfinite().all()


def test_debiased_is_a_hard_loss_without_hardness():
    a, b = draw(0, 9, 5), draw(1, 9, 5)
    for debias in (0.0, 0.2):
        for intra in (False, True):
            expected = HardInfoNCE(0.3, intra, hardness=0.0, debias=debias)(a, b)
            assert torch.equal(DebiasedInfoNCE(0.3, intra, debias)(a, b), expected)
    assert DebiasedInfoNCE(debias=0.0)(a, b).item() == near(InfoNCE()(a, b).item())


# --- Jensen–Shannon


def test_node_graph_jsd_is_the_masked_form_of_infograph():
    # its released code takes both expectations of a masked matrix: a pair of the other kind counts log 2 - log 2 = 0
    nodes, summaries, graph = draw(0, 9, 4), draw(1, 3, 4), torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2])
    scores, mask = nodes @ summaries.T, torch.nn.functional.one_hot(graph).double()

    def softplus(x):
        return (1 + x.exp()).log()

    real = (math.log(2) - softplus(-scores * mask)).sum() / 9
    fake = (softplus(-scores * (1 - mask)) + scores * (1 - mask) - math.log(2)).sum() / (9 * 2)
    assert node_graph_jsd(nodes, summaries, graph).item() == near((fake - real).item())
    assert NodeGraphJSD().reference(nodes, summaries, graph) == near((fake - real).item())


def test_node_graph_jsd_of_corrupted_nodes_is_twice_the_cross_entropy():
    nodes, summary, corrupted = draw(0, 5, 3), draw(1, 1, 3), draw(2, 5, 3)
    expected = 2 * node_graph_bce(nodes, summary, corrupted).item() - 2 * math.log(2)
    assert node_graph_jsd(nodes, summary, corrupted=corrupted).item() == near(expected)
    objective = NodeGraphJSD()
    assert objective(nodes, summary, negatives=corrupted).item() == near(expected)
    assert objective.reference(nodes, summary, negatives=corrupted) == near(expected)
    graph = torch.tensor([0, 1, 1, 0, 1])
    found = objective(nodes, draw(3, 2, 3), graph, corrupted)
    assert found.item() == near(objective.reference(nodes, draw(3, 2, 3), graph, corrupted))


def test_jsd_by_hand():
    # two nodes, two graphs, scores 2 on the diagonal and -1 beside it
    nodes, summaries = torch.eye(2).double(), tensor([[2, -1], [-1, 2]])
    expected = math.log1p(math.exp(-2)) + math.log1p(math.exp(-1)) - 2 * math.log(2)
    assert node_graph_jsd(nodes, summaries, torch.tensor([0, 1])).item() == near(expected)
    assert node_node_jsd(nodes, summaries).item() == near(expected)
    # at best -2 log 2
    assert node_node_jsd(1e3 * nodes, summaries).item() == near(-2 * math.log(2))
    assert node_node_jsd(0 * nodes, summaries).item() == near(0.0)


def test_jsd_takes_sets_of_different_sizes():
    a, b, own = draw(0, 4, 3), draw(1, 6, 3), torch.tensor([5, 0, 0, 2])
    assert NodeNodeJSD()(a, b, own).item() == near(NodeNodeJSD().reference(a, b, own))


@pytest.mark.parametrize("scores", [1, 7, 24, 10**6])
def test_jsd_does_not_depend_on_the_blocks(scores, monkeypatch):
    monkeypatch.setattr(jensen_shannon._SoftplusOfOthers, "SCORES", scores)
    a, b = draw(0, 11, 3).requires_grad_(), draw(1, 11, 3).requires_grad_()
    value = node_node_jsd(a, b)
    assert value.item() == near(NodeNodeJSD().reference(a.detach(), b.detach()))
    assert gradcheck(node_node_jsd, (a, b))
    assert gradcheck(lambda x: node_node_jsd(x, b.detach()), (a,))
    assert gradcheck(lambda x: node_node_jsd(a.detach(), x), (b,))
    assert node_node_jsd(a.detach(), b.detach()).grad_fn is None
    (3 * value).backward()
    dense = a.detach().clone().requires_grad_()
    score = dense @ b.detach().T
    off = ~torch.eye(11, dtype=torch.bool)
    loss = torch.nn.functional.softplus(-score.diagonal()).mean() + torch.nn.functional.softplus(score[off]).mean()
    (3 * loss).backward()
    torch.testing.assert_close(a.grad, dense.grad, rtol=1e-8, atol=1e-12)


def test_jsd_of_large_scores_is_finite():
    a, b = 1e3 * draw(0, 6, 4).float(), 1e3 * draw(1, 6, 4).float()
    a.requires_grad_()
    value = node_node_jsd(a, b)
    value.backward()
    assert value.isfinite()
    assert a.grad.isfinite().all()
    # a positive far above the negatives does not swallow them: it is left out, not taken off
    huge = tensor([[1e9, 0.0], [0.0, 1e9]]).float()
    assert node_node_jsd(huge, torch.eye(2)).item() == pytest.approx(math.log(2) - 2 * math.log(2), rel=1e-6)


# --- redundancy


def test_barlow_twins_by_hand():
    # standardised columns: ±√(3)/2 over four nodes (sample deviation 2/√3), products over N: own 3/4
    h = tensor([[1, 1], [-1, 1], [1, -1], [-1, -1]])
    assert barlow_twins(h, h).item() == near(2 * 0.25**2)
    assert barlow_twins(h, 5 * h + 3).item() == near(2 * 0.25**2)
    # columns exchanged: own 0, others 3/4
    assert barlow_twins(h, h.flip(1), 0.5).item() == near(2 + 0.5 * 2 * 0.75**2)
    assert barlow_twins(h, h.flip(1)).item() == near(2 + 0.5 * 2 * 0.75**2)  # 1/D


def test_barlow_twins_of_a_constant_dimension():
    h = draw(0, 6, 3)
    h[:, 1] = 2.0
    h.requires_grad_()
    value = barlow_twins(h, draw(1, 6, 3))
    value.backward()
    assert value.isfinite()
    assert h.grad.isfinite().all()
    assert barlow_twins(torch.ones(4, 3).double(), torch.ones(4, 3).double()).item() == near(3.0)


def test_vicreg_by_hand():
    h = tensor([[1, 1], [-1, 1], [1, -1], [-1, -1]])
    # variance 4/3 each: no penalty below deviation √(4/3)
    assert vicreg(h, h).item() == near(0.0)
    assert vicreg(h, -h, 1.0, 0.0, 0.0).item() == near(4.0)
    short = 2 - math.sqrt(4 / 3 + 1e-4)
    assert vicreg(h, h, 0.0, 1.0, 0.0, spread=2.0).item() == near(short)
    # two equal dimensions: covariance 4/3 twice, over D, in each view
    twin = h[:, :1].repeat(1, 2)
    assert vicreg(twin, twin, 0.0, 0.0, 1.0).item() == near(2 * (2 * (4 / 3) ** 2 / 2))
    assert vicreg(twin, h, 0.0, 0.0, 1.0).item() == near(2 * (4 / 3) ** 2 / 2)


def test_vicreg_of_a_collapsed_view():
    h = torch.ones(5, 3, dtype=torch.float64, requires_grad=True)
    value = vicreg(h, h.detach())
    value.backward()
    assert value.item() == near(25 * (1 - 0.01))
    assert h.grad.isfinite().all()


# --- cosine


def test_bootstrap_cosine_of_listed_pairs():
    q, y = draw(0, 4, 3), draw(1, 6, 3)
    pairs = torch.tensor([[0, 0, 3, 2, 0], [5, 1, 2, 2, 5]])
    cosines = (unit(q) @ unit(y).T)[pairs[0], pairs[1]]
    assert BootstrapCosine()(q, y, pairs).item() == near((2 - 2 * cosines).mean().item())
    assert BootstrapCosine().reference(q, y, pairs) == near((2 - 2 * cosines).mean().item())
    weights = tensor([1, 2, 0, 3, 4])
    assert bootstrap_cosine(q, y, pairs, weights).item() == near(2 - 2 * (weights @ cosines).item() / 10)
    assert bootstrap_cosine(q, y, torch.tensor([0, 0, 5, 1])).item() == near(
        2 - 2 * torch.cosine_similarity(q, y[[0, 0, 5, 1]]).mean().item()
    )
    assert gradcheck(lambda u, v, w: bootstrap_cosine(u, v, pairs, w),
                     (q.requires_grad_(), y.requires_grad_(), (weights + 1).requires_grad_()))  # fmt: skip


def test_bootstrap_cosine_is_the_squared_distance_of_directions():
    q, y = draw(0, 5, 3), draw(1, 5, 3)
    expected = (unit(q) - unit(y)).pow(2).sum(1).mean()
    assert bootstrap_cosine(q, y).item() == near(expected.item())
    assert bootstrap_cosine(q, -q).item() == near(4.0)
    assert bootstrap_cosine(7 * q, q).item() == near(0.0)


def test_scaled_cosine_error_of_a_node_without_features():
    z, x = tensor([[1, 0], [0, 2]]).requires_grad_(), tensor([[0, 0], [1, 1]])
    expected = (1 + (1 - math.sqrt(0.5)) ** 3) / 2
    value = scaled_cosine_error(z, x, 3.0)
    assert value.item() == near(expected)
    assert ScaledCosineError(3.0).reference(z.detach(), x) == near(expected)
    value.backward()
    assert z.grad[0].abs().max() == 0
    assert z.grad.isfinite().all()


def test_scaled_cosine_error_of_a_perfect_reconstruction():
    # a cosine that rounds above 1 must not become NaN under a broken power
    x = draw(0, 500, 7).float().requires_grad_()
    value = scaled_cosine_error(x, 3 * x.detach(), 1.5)
    value.backward()
    assert 0 <= value.item() < 1e-8
    assert x.grad.isfinite().all()


# --- margin


def test_triplets_by_hand():
    a, b = tensor([[0, 0], [0, 0]]), tensor([[3, 4], [0, 1]])
    n = tensor([[0, 6], [0, 2], [8, 6], [0, 1.5]])
    # distances: positive 5, 1; negatives 6, 2 and 10, 1.5
    assert row_distances(a, b).tolist() == [5, 1]
    assert row_distances(a, n).tolist() == [[6, 2], [10, 1.5]]
    assert TripletMargin(2.0)(a, b, negatives=n).item() == near((1 + 1 + 0 + 1.5) / 4)
    assert TripletMargin(2.0).reference(a, b, negatives=n) == near((1 + 1 + 0 + 1.5) / 4)
    found = BoundedTriplet(2.0, 1.0, 10.0)
    assert found(a, b, negatives=n).item() == near((1 + 1 + 0 + 1.5) / 4 + 10 * 2 / 4)
    assert found.reference(a, b, negatives=n) == near((1 + 1 + 0 + 1.5) / 4 + 10 * 2 / 4)
    assert TripletMargin(2.0)(a, b, torch.tensor([1, 0]), n[:2]).item() == near((0 + 5) / 2)
    # a band that holds all differences costs nothing
    assert BoundedTriplet(0.5, 5.0)(a, b, negatives=n).item() == near(0.0)


def test_sugrl_objective_from_its_parts():
    # the sums of the released code: over negatives, and over nodes with the positive held constant
    anchor, near_rows, far_rows = draw(0, 6, 4).requires_grad_(), draw(1, 6, 4), draw(2, 18, 4)
    close, far = row_distances(anchor, near_rows), row_distances(anchor, far_rows)
    value = 2.0 * 3 * triplet_margin(close, far, 0.8) + 0.5 * 6 * distance_bound(close.detach(), far, 1.0)
    expected = torch.zeros((), dtype=torch.float64)
    for rows in far_rows.split(6):
        apart = (anchor - rows).pow(2).sum(1).sqrt()
        held = (anchor - near_rows).pow(2).sum(1).sqrt()
        expected = expected + 2.0 * (held - apart + 0.8).clamp(min=0).mean()
        expected = expected + 0.5 * (apart - held.detach() - 1.0).clamp(min=0).sum() / 3
    assert value.item() == near(expected.item())
    mine, theirs = torch.autograd.grad(value, anchor, retain_graph=True)[0], torch.autograd.grad(expected, anchor)[0]
    torch.testing.assert_close(mine, theirs)


def test_distance_of_equal_rows_has_a_gradient():
    a = draw(0, 3, 2).requires_grad_()
    triplet_margin(row_distances(a, a.detach()), row_distances(a, draw(1, 3, 2))).backward()
    assert a.grad.isfinite().all()


# --- supervised


def test_sup_con_by_hand():
    # two nodes of one class: all three other rows are positive; rows e1, e2 | e1, e1
    a, b, t = tensor([[1, 0], [0, 1]]), tensor([[1, 0], [1, 0]]), 1.0
    e = math.e
    anchor = -((1 + 1 + 0) / 3 - math.log(e + e + 1))  # each row that is e1: two equal ones, one orthogonal
    odd = -(0 - math.log(3))
    assert sup_con(a, b, torch.tensor([4, 4]), t).item() == near((3 * anchor + odd) / 4)
    # of two classes the other view alone
    split = (-(1 - math.log(2 * e + 1)) - (0 - math.log(3)) - (1 - math.log(2 * e + 1)) - (0 - math.log(2 * e + 1))) / 4
    assert sup_con(a, b, torch.tensor([0, 1]), t).item() == near(split)


def test_sup_con_of_classes_of_one_is_info_nce():
    a, b = draw(0, 8, 4), draw(1, 8, 4)
    expected = info_nce(a, b, 0.3).item()
    assert sup_con(a, b, torch.arange(8), 0.3).item() == near(expected)
    assert sup_con(a, b, torch.full((8,), -1), 0.3).item() == near(expected)
    mixed = torch.tensor([7, -1, 7, -1, 2, 2, 2, 0])
    assert sup_con(a, b, mixed, 0.3).item() == near(SupCon(0.3).reference(a, b, mixed))
    assert sup_con(a, b, torch.where(mixed < 0, -1, mixed * 1000), 0.3).item() == near(
        SupCon(0.3).reference(a, b, mixed)
    )


# --- alignment and uniformity


def test_uniformity_is_that_of_pairwise_distances():
    x = draw(0, 13, 4)
    for t in (0.5, 2.0, 8.0):
        expected = torch.pdist(unit(x)).pow(2).mul(-t).exp().mean().log().item()
        assert uniformity(x, t).item() == near(expected)
    assert uniformity(torch.ones(4, 2)).item() == pytest.approx(0.0, abs=1e-6)
    assert uniformity(tensor([[1.0], [-2.0]])).item() == near(-8.0)  # antipodes: distance 2


def test_alignment_by_hand():
    a, b = tensor([[2, 0], [0, 1]]), tensor([[1, 0], [-3, 0]])
    assert alignment(a, b).item() == near((0 + 2) / 2)
    assert alignment(a, b, 1.0).item() == near(math.sqrt(2) / 2)
    assert alignment(a, b, 4.0).item() == near(4 / 2)
    a.requires_grad_()
    alignment(a, b, 1.0).backward()  # a pair at distance 0
    assert a.grad.isfinite().all()


def test_alignment_uniformity_adds_up():
    a, b = draw(0, 7, 3), draw(1, 7, 3)
    expected = alignment(a, b, 3.0) + 0.25 * (uniformity(a, 1.5) + uniformity(b, 1.5))
    assert AlignmentUniformity(0.5, 3.0, 1.5)(a, b).item() == near(expected.item())


# --- spectral


def test_spectral_contrast_is_the_dense_form():
    a, b = draw(0, 9, 4), draw(1, 9, 4)
    squares = (a @ b.T) ** 2
    off = (torch.triu(squares, 1) + torch.tril(squares, -1)).mean() * 9 / 8
    expected = -2 * (a * b).sum(1).mean() + off
    assert spectral_contrast(a, b, similarity="dot").item() == near(expected.item())


def test_spectral_contrast_of_listed_pairs():
    h = draw(0, 5, 3)
    positives = torch.tensor([[0, 0, 1, 2, 3, 4, 0], [1, 2, 3, 0, 4, 0, 1]])  # one twice
    negatives = torch.tensor([[0, 1, 2, 3], [3, 4, 4, 0]])
    cosine = unit(h) @ unit(h).T
    close = cosine[positives[0], positives[1]].mean()
    for repulsion in (1.0, 4.0):
        objective = SpectralContrast(repulsion)
        expected = -2 * close + repulsion * cosine[negatives[0], negatives[1]].pow(2).mean()
        assert objective(h, h, positives, negatives).item() == near(expected.item())
        assert objective.reference(h, h, positives, negatives) == near(expected.item())
        assert objective(h, h, positives).item() == near(objective.reference(h, h, positives))
    rows = torch.tensor([2, 2, 0])
    assert SpectralContrast()(h[:3], h, rows).item() == near(SpectralContrast().reference(h[:3], h, rows))
    with pytest.raises(RequestError, match="no negative"):
        spectral_contrast(h[:1], h[:2], torch.tensor([[0, 0], [0, 1]]))


def test_spectral_contrast_is_least_at_the_eigenvectors():
    # mean over all pairs of ⟨z_i, z_j⟩² less twice the positives: the trace form ‖A - ZZᵀ‖², least at A's square root
    vectors = torch.linalg.qr(draw(0, 6, 6))[0]
    values = tensor([3, 2, 1, 0.5, 0.2, 0.1])
    graph = (vectors * values) @ vectors.T
    best = vectors[:, :2] * values[:2].sqrt()

    def gap(z):
        i, j = torch.cartesian_prod(torch.arange(6), torch.arange(6)).T
        pull = (graph.flatten() * (z[i] * z[j]).sum(1)).sum()
        push = spectral_contrast(z, z, torch.tensor([[0], [0]]), torch.stack([i, j]), 1.0, similarity="dot")
        push = push + 2 * (z[0] @ z[0])  # takes the one positive back out
        return -2 * pull + 36 * push

    least = gap(best).item()
    assert least == near(-values[:2].pow(2).sum().item())
    for seed in range(5):
        assert gap(best + 0.1 * draw(seed, 6, 2)).item() > least


# --- asymmetric


def test_asymmetric_by_hand():
    # embeddings orthogonal: negatives of a node e + 1; node 0 has neighbours 0 and 1, node 1 has node 0
    z = torch.eye(2).double()
    q, u = tensor([[1, 0], [1, 0]]), tensor([[1, 0], [0, 1]])
    edges = torch.tensor([[0, 0, 1], [0, 1, 0]])
    e = math.e
    of_0 = (-math.log(e / (e + e + 1)) - math.log(1 / (1 + e + 1))) / 2
    of_1 = -math.log(e / (e + e + 1))
    assert asymmetric_info_nce(q, u, z, edges, temperature=1.0).item() == near((of_0 + of_1) / 2)
    # a node without neighbours is left out of the mean
    assert asymmetric_info_nce(q, u, z, edges[:, :2], temperature=1.0).item() == near(of_0)
    # weights 3 : 1 of the two neighbours; a positive of weight 0 is none
    heavy = tensor([3, 1, 0])
    of_0 = -0.75 * math.log(e / (e + e + 1)) - 0.25 * math.log(1 / (1 + e + 1))
    assert asymmetric_info_nce(q, u, z, edges, temperature=1.0, weight=heavy).item() == near(of_0)
    # sampled negatives: own row twice for node 0, node 0 for node 1
    sampled = torch.tensor([[0, 0], [0, 0]])
    of_0 = (-math.log(e / (e + 2 * e)) - math.log(1 / (1 + 2 * e))) / 2
    of_1 = -math.log(e / (e + 2))
    assert asymmetric_info_nce(q, u, z, edges, sampled, 1.0).item() == near((of_0 + of_1) / 2)


def test_asymmetric_of_edges_is_its_reference():
    q, u, h = draw(0, 6, 3), draw(1, 6, 3), draw(2, 6, 3)
    edges = torch.tensor([[0, 0, 0, 1, 2, 4, 4, 2], [0, 1, 5, 0, 3, 2, 2, 2]])
    objective = AsymmetricInfoNCE(0.3)
    assert objective(q, u, edges, h).item() == near(objective.reference(q, u, edges, h))
    everyone = torch.arange(6).repeat(6, 1)
    assert asymmetric_info_nce(q, u, h, edges, everyone, 0.3).item() == near(objective.reference(q, u, edges, h))
    leaves = [x.requires_grad_() for x in (q, u, h)]
    assert gradcheck(lambda x, y, z: asymmetric_info_nce(x, y, z, edges, temperature=0.3), leaves)
    some = torch.randint(6, (6, 3), generator=torch.Generator().manual_seed(0))
    assert gradcheck(lambda x, y, z: asymmetric_info_nce(x, y, z, edges, some, 0.3), leaves)


# --- mixture


def test_the_density_of_a_mixture_is_that_of_scipy():
    x = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    true, false = (
        SKEWED.share[c] * stats.beta.pdf(x.numpy(), SKEWED.alpha[c], SKEWED.beta[c]) for c in (0, 1)
    )  # fmt: skip
    torch.testing.assert_close(SKEWED.log_posterior(x).exp(), torch.from_numpy(true / (true + false)))
    ends = SKEWED.log_posterior(torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert ends.isfinite().all()
    assert ends[0].exp() == near(1.0)
    assert ends[1].exp() < 1e-12
    assert BetaMixture((1.0, 0.0)).log_posterior(x).exp().min() == near(1.0)
    assert BetaMixture((0.0, 1.0)).log_posterior(x).isfinite().all()


def test_one_step_of_the_fit_by_loops():
    x = torch.rand(40, generator=torch.Generator().manual_seed(0), dtype=torch.float64).tolist()
    true = [0.95 * 2 * (1 - v) / (0.95 * 2 * (1 - v) + 0.05 * 2 * v) for v in x]
    found = fit_beta_mixture(tensor(x), 1)
    for c, weights in enumerate((true, [1 - r for r in true])):
        mean = sum(w * v for w, v in zip(weights, x, strict=True)) / sum(weights)
        variance = sum(w * (v - mean) ** 2 for w, v in zip(weights, x, strict=True)) / sum(weights)
        k = mean * (1 - mean) / variance - 1
        assert found.share[c] == near(sum(weights) / 40)
        assert found.alpha[c] == near(mean * k)
        assert found.beta[c] == near((1 - mean) * k)


def test_the_fit_finds_what_drew_the_sample():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        low, high = torch.distributions.Beta(2.0, 6.0), torch.distributions.Beta(9.0, 2.0)
        x = torch.cat([low.sample((7000,)), high.sample((3000,))])
    found = fit_beta_mixture(x)
    assert found.share == pytest.approx((0.7, 0.3), abs=0.02)
    assert [a / (a + b) for a, b in zip(found.alpha, found.beta, strict=True)] == pytest.approx(
        [2 / 8, 9 / 11], abs=0.02
    )
    assert fit_beta_mixture(x.flip(0)).share == pytest.approx(found.share, rel=1e-9)
    true = found.log_posterior(x).exp() > 0.5
    truth = torch.arange(10000) < 7000
    assert (true == truth).float().mean() > 0.95
    # with the floor of the released code the second part keeps beta above 1
    assert fit_beta_mixture(x, 10, floor=1.01).beta[1] >= 1.01


def test_the_fit_survives_extreme_values():
    for values in ([0.0, 1.0], [0.0, 0.0, 0.0, 1.0], [0.5, 0.5, 0.5001], [1e-13, 1.0, 0.3]):
        found = fit_beta_mixture(tensor(values))
        assert all(map(math.isfinite, (*found.share, *found.alpha, *found.beta)))


def test_sampled_similarities_are_columns_of_all():
    a, b = draw(0, 12, 3), draw(1, 12, 3)
    everything = (unit(a) @ unit(b).T + 1) / 2
    found = sampled_similarities(a, b, 5, generator=torch.Generator().manual_seed(3))
    assert found.shape == (12, 5)
    gaps = (found.T[:, None] - everything.T).abs().amax(2)
    assert (gaps < 1e-12).sum(1).tolist() == [1] * 5
    assert len(gaps.argmin(1).unique()) == 5
    assert sampled_similarities(a, b, generator=torch.Generator().manual_seed(0)).shape == (12, 12)
    again = sampled_similarities(a, b, 5, generator=torch.Generator().manual_seed(3))
    assert torch.equal(found, again)


def test_weights_from_the_views_themselves_are_held_constant():
    a, b = draw(0, 7, 4).requires_grad_(), draw(1, 7, 4).requires_grad_()
    objective = MixtureInfoNCE(0.5, SKEWED)
    value = objective(a, b)
    frozen = torch.cat([a, b], 1).detach()
    assert value.item() == near(objective.reference(a.detach(), b.detach()))
    assert torch.equal(value, objective(a, b, negatives=frozen))
    mine, theirs = torch.autograd.grad(value, (a, b)), torch.autograd.grad(objective(a, b, negatives=frozen), (a, b))
    for x, y in zip(mine, theirs, strict=True):
        assert torch.equal(x, y)
    through = torch.autograd.grad(mixture_info_nce(a, b, SKEWED, 0.5, seen=(a, b)), a)[0]
    assert not torch.allclose(through, mine[0])


def test_equal_weights_give_info_nce():
    # x alike for all pairs of the views that weights are computed from
    a, b = draw(0, 7, 4), draw(1, 7, 4)
    same = torch.ones(7, 3, dtype=torch.float64)
    assert mixture_info_nce(a, b, SKEWED, 0.4, seen=(same, same)).item() == near(info_nce(a, b, 0.4).item())


def test_similar_negatives_weigh_less_where_they_are_likely_false():
    # anchor e1: a negative near it and one across; a mixture that calls the near one false leaves it out
    z = unit(tensor([[1, 0], [1, 0.2], [-1, 0.5], [0.2, -1]]))
    sharp = BetaMixture((0.5, 0.5), (5.0, 50.0), (5.0, 1.1))
    plain, weighed = info_nce(z, z, 0.5).item(), mixture_info_nce(z, z, sharp, 0.5).item()
    assert weighed < plain


@pytest.mark.parametrize("scores", [1, 15, 30, 10**6])
def test_mixture_loss_does_not_depend_on_the_blocks(scores, monkeypatch):
    a, b = draw(0, 10, 3).requires_grad_(), draw(1, 10, 3).requires_grad_()
    expected = mixture_info_nce(a, b, SKEWED, 0.5)
    gradient = torch.autograd.grad(expected, a)[0]
    monkeypatch.setattr(mixture, "_SCORES", scores)
    found = mixture_info_nce(a, b, SKEWED, 0.5)
    assert found.item() == near(expected.item())
    torch.testing.assert_close(torch.autograd.grad(found, a)[0], gradient)


def test_mixture_loss_of_opposite_views_is_finite():
    # every between-view similarity 0: log weights are those of the edge, and their ratio is 1
    z = torch.ones(4, 3, dtype=torch.float64)
    assert mixture_info_nce(z, -z, BetaMixture(), 0.5).isfinite()
    assert mixture_info_nce(z, z, BetaMixture(), 0.5).item() == near(math.log(7))
    x = draw(0, 5, 3).float().requires_grad_()
    mixture_info_nce(x, x, BetaMixture(), 1e-2).backward()
    assert x.grad.isfinite().all()


def test_similarities_that_round_beyond_the_ends_are_taken_back():
    x = draw(0, 300, 5, torch.float32)
    far, close = (sampled_similarities(x, y, 300, generator=torch.Generator().manual_seed(0)) for y in (-x, x))
    assert 0 <= far.min() < 1e-6
    assert 1 >= close.max() > 1 - 1e-6
    fit_beta_mixture(far)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", sorted(NEW))
def test_a_gpu_gives_the_same_value_and_gradient(name):
    objective = entries("objectives")[name]()
    inputs = objective.sample(torch.Generator().manual_seed(0), n=30, d=16)
    found = []
    for device in ("cpu", "cuda"):
        moved = {key: value.detach().to(device) for key, value in inputs.items()}
        moved["a"].requires_grad_()
        value = objective(**moved)
        value.backward()
        found.append((value.detach().cpu(), moved["a"].grad.cpu()))
    torch.testing.assert_close(found[0], found[1])
