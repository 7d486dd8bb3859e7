"""The data sets that need no file from outside: what they contain, that they are reproducible and tell no label."""

import os
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcl.catalogue import entries
from graphcl.data import python_source
from graphcl.data.block_model import CSBM, CSBM_HETEROPHILIC, CSBM_HOMOPHILIC, csbm
from graphcl.data.python_source import PYTHON_PACKAGES, PYTHON_STDLIB, source_graph, split_words
from graphcl.data.splits import draw
from graphcl.data.toy import DIGITS_KNN, KARATE, digits_knn
from graphcl.errors import DataError, RequestError
from graphcl.graph import check_graph, fingerprint, is_symmetric, normalised_adjacency

FIXED = (KARATE, DIGITS_KNN, CSBM_HOMOPHILIC, CSBM_HETEROPHILIC)
FROM_SOURCE = (PYTHON_STDLIB, PYTHON_PACKAGES)


def read(spec):
    return spec.layouts[0].read({})


def homophily(data):
    source, target = data.edge_index
    known = (data.y[source] >= 0) & (data.y[target] >= 0)
    return float((data.y[source] == data.y[target])[known].float().mean())


@pytest.fixture(scope="session")
def stdlib():
    return read(PYTHON_STDLIB)


@pytest.fixture(scope="session")
def packages():
    return read(PYTHON_PACKAGES)


def assert_sound(data):
    check_graph(data)
    assert is_symmetric(data)
    assert not data.has_self_loops()
    assert data.is_coalesced()
    assert data.x.dtype == torch.float32
    assert data.y.dtype == torch.long
    assert data.y.shape == (data.num_nodes,)
    classes = data.y[data.y >= 0].unique()
    assert classes.tolist() == list(range(len(classes)))


@pytest.mark.parametrize("spec", [*FIXED, *FROM_SOURCE], ids=lambda spec: spec.name)
def test_is_found_by_name_and_needs_no_file(spec):
    assert entries("datasets")[spec.name] is spec
    assert spec.embedded


@pytest.mark.parametrize("spec", FIXED, ids=lambda spec: spec.name)
def test_fixed_sets_have_the_stated_content(spec):
    data = read(spec)
    assert_sound(data)
    counts = spec.counts
    found = (data.num_nodes, data.num_edges, data.num_features, int(data.y.max()) + 1)
    assert found == (counts.nodes, counts.edges, counts.features, counts.classes)
    assert fingerprint(data) == spec.content
    draw(spec.default_split, data.y)


def test_karate_factions_are_led_by_the_first_and_the_last_member():
    data = read(KARATE)
    assert data.y[[0, 33]].tolist() == [0, 1]
    assert torch.bincount(data.edge_index[0])[[0, 33]].tolist() == [16, 17]


def test_digits_neighbours_are_the_most_similar_images():
    data = digits_knn(k=3)
    x = data.x.double()[:200]
    unit = torch.nn.functional.normalize(data.x.double())
    similarity = unit[:200] @ unit.T
    similarity[torch.arange(len(x)), torch.arange(len(x))] = -1
    linked = torch.zeros(data.num_nodes, data.num_nodes, dtype=torch.bool)
    linked[data.edge_index[0], data.edge_index[1]] = True
    best = similarity.topk(3).indices
    assert linked[torch.arange(len(x))[:, None], best].all()
    assert int(linked.sum(1).min()) >= 3


@pytest.mark.parametrize("k", [0, 1797])
def test_digits_refuse_impossible_neighbour_numbers(k):
    with pytest.raises(RequestError, match=f"k = {k}: input should be between 1 and 1796"):
        digits_knn(k=k)


# --- contextual stochastic block model -------------------------------------------------------------------------------


def separability(x, y):
    """Accuracy of the nearest class mean, means from one half of the nodes and scored on the other."""
    fit, test = torch.arange(len(y)) % 2 == 0, torch.arange(len(y)) % 2 == 1
    means = torch.stack([x[fit & (y == c)].mean(0) for c in y.unique()])
    return float((torch.cdist(x[test], means).argmin(1) == y[test]).float().mean())


def smoothed(data):
    operator = normalised_adjacency(data)
    return operator @ (operator @ data.x)


def test_smoothing_helps_the_homophilic_and_harms_the_heterophilic_graph():
    data = read(CSBM_HOMOPHILIC)
    assert separability(smoothed(data), data.y) > separability(data.x, data.y) + 0.15
    data = read(CSBM_HETEROPHILIC)
    assert separability(data.x, data.y) > separability(smoothed(data), data.y) + 0.1


@given(
    classes=st.integers(2, 6),
    degree=st.floats(2.0, 20.0),
    homophily_asked=st.floats(0.0, 1.0),
    seed=st.integers(0, 2**40),
)
@settings(max_examples=25, deadline=None)
def test_csbm_keeps_degree_and_homophily(classes, degree, homophily_asked, seed):
    n = 1200
    data = csbm(nodes=n, classes=classes, degree=degree, homophily=homophily_asked, features=2, seed=seed)
    assert_sound(data)
    edges = n * degree / 2
    # binomial counts: six standard deviations
    assert abs(data.num_edges / 2 - edges) <= 6 * np.sqrt(edges)
    spread = np.sqrt(homophily_asked * (1 - homophily_asked) / (data.num_edges / 2))
    assert abs(homophily(data) - homophily_asked) <= 6 * spread + 1e-9


@given(nodes=st.integers(4, 60), classes=st.integers(2, 5), seed=st.integers(0, 1000), share=st.floats(0.0, 1.0))
@settings(max_examples=60, deadline=None)
def test_csbm_small_graphs_are_sound(nodes, classes, seed, share):
    if nodes < 2 * classes:
        with pytest.raises(RequestError, match=f"{classes} classes need at least {2 * classes} nodes"):
            csbm(nodes=nodes, classes=classes)
        return
    data = csbm(nodes=nodes, classes=classes, degree=0.5, homophily=share, features=3, seed=seed)
    assert_sound(data)
    sizes = torch.bincount(data.y)
    assert len(sizes) == classes
    assert int(sizes.max() - sizes.min()) <= 1


def test_csbm_every_pair_is_equally_likely():
    total = torch.zeros(12, 12)
    for seed in range(400):
        data = csbm(nodes=12, classes=3, degree=4.0, homophily=0.5, features=1, seed=seed)
        total[data.edge_index[0], data.edge_index[1]] += 1
    within, between = CSBM(nodes=12, classes=3, degree=4.0, homophily=0.5).probabilities
    same = data.y[:, None] == data.y[None, :]
    expected = torch.where(same, within, between).fill_diagonal_(0.0)
    deviation = (total / 400 - expected).abs()
    assert float(deviation.max()) < 5 * 0.5 / 20


def test_csbm_probability_one_gives_every_pair():
    data = csbm(nodes=9, classes=3, degree=2.0, homophily=1.0, features=1)
    expected = (data.y[:, None] == data.y[None, :]).fill_diagonal_(False).nonzero().t()
    assert torch.equal(data.edge_index, expected)


def test_csbm_features_have_the_stated_mean_and_noise():
    data = csbm(nodes=6000, classes=2, features=16, signal=3.0, noise=0.5, degree=1.0)
    for c in (0, 1):
        rows = data.x[data.y == c]
        assert float(rows.mean(0).norm()) == pytest.approx(3.0, abs=0.05)
        assert float((rows - rows.mean(0)).std()) == pytest.approx(0.5, rel=0.02)
    exact = csbm(nodes=8, classes=2, features=5, signal=2.0, noise=0.0, degree=1.0)
    assert exact.x.norm(dim=1).tolist() == pytest.approx([2.0] * 8, rel=1e-6)


def test_csbm_edges_depend_on_the_seed_and_not_on_the_features():
    first, again, other = csbm(seed=1), csbm(seed=1, features=3, noise=9.0), csbm(seed=2)
    assert torch.equal(first.edge_index, again.edge_index)
    assert fingerprint(first) != fingerprint(other)
    assert torch.equal(first.x, csbm(seed=1).x)


def test_csbm_leaves_the_global_generators_alone():
    np.random.seed(0)  # noqa: NPY002 - it is this state that must not move
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    csbm()
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"homophily": 1.5}, r"CSBM.homophily = 1.5: input should be less than or equal to 1"),
        ({"homophily": -0.1}, r"CSBM.homophily = -0.1: input should be greater than or equal to 0"),
        ({"classes": 1}, r"CSBM.classes = 1: input should be greater than or equal to 2"),
        ({"nodes": 0}, r"CSBM.nodes = 0: input should be greater than or equal to 1"),
        ({"nodes": 10.0}, r"CSBM.nodes = 10.0: input should be a valid integer"),
        ({"features": 0}, r"CSBM.features = 0"),
        ({"noise": -1.0}, r"CSBM.noise = -1.0"),
        ({"signal": float("nan")}, r"CSBM.signal = nan: input should be a finite number"),
        ({"seed": -1}, r"CSBM.seed = -1"),
        ({"nodes": 12, "degree": 8.0}, r"an edge within classes would have probability 2.13; lower the degree"),
        ({"nodes": 12, "degree": 10.0, "homophily": 0.0}, r"an edge between classes would have probability 1.25"),
    ],
)
def test_csbm_refuses_values_out_of_range(changes, message):
    with pytest.raises(RequestError, match=message):
        csbm(**changes)


# --- graphs of source code: a package small enough to know by heart --------------------------------------------------

TINY = {
    "__init__.py": '"""Root of the shop."""\nfrom . import till\n',
    "till.py": (
        '"""Money of the customers."""\nimport os.path\nfrom .stock import Shelf, goods\nfrom shop import __version__\n'
    ),
    "bomb.py": (
        'raise RuntimeError("imported")\n'
        "import shop.stock.goods\n"
        "def f():\n"
        "    try:\n        pass\n    except ValueError:\n        from ..outside import nothing\n"
        "    else:\n        from shop.till import *\n"
        "match 1:\n    case 1:\n        import shop.stock\n"
    ),
    "stock/__init__.py": (
        '"""Shelf and what stands on it."""\nclass ShelfRow:\n    def count_goods(self):\n        "Number."\n'
    ),
    "stock/goods.py": '"""Goods."""\nfrom .. import till as t\nfrom . import labels\nfrom ..stock import missing\n',
    "stock/labels.py": (
        "# coding: latin-1\n"
        "'''Café StockLabel stocks restocked label of the till, the TILL and tilly shop_floor os.'''\n"
    ),
    "stock/broken.py": "def (:\n",
    "stock/nothing.py": "x = 'a\0b'\n",
    "notes/plain.py": '"""In a folder that is no package."""\n',
}
EDGES = {
    ("shop", "shop.till"),
    ("shop.till", "shop.stock"),
    ("shop.till", "shop.stock.goods"),
    ("shop.till", "shop"),
    ("shop.bomb", "shop.stock.goods"),
    ("shop.bomb", "shop.till"),
    ("shop.bomb", "shop.stock"),
    ("shop.stock.goods", "shop.till"),
    ("shop.stock.goods", "shop.stock.labels"),
    ("shop.stock.goods", "shop.stock"),
}


@pytest.fixture
def shop(tmp_path):
    for name, source in TINY.items():
        path = tmp_path / "shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.encode("latin-1"))
    return tmp_path / "shop"


def build(shop, **changes):
    return source_graph(
        {"shop": shop}, changes.pop("areas", {"shop.stock": "store", "shop": "rest"}), least=1, **changes
    )


def named(data):
    names = data.node_names
    return {(names[a], names[b]) for a, b in data.import_index.t().tolist()}


def test_source_graph_resolves_exactly_these_imports(shop):
    data = build(shop)
    assert_sound(data)
    assert data.node_names == ["shop", "shop.bomb", "shop.stock", "shop.stock.goods", "shop.stock.labels", "shop.till"]
    assert named(data) == EDGES
    assert data.unparsed == 2
    undirected = {frozenset(pair) for pair in EDGES}
    assert {frozenset((data.node_names[a], data.node_names[b])) for a, b in data.edge_index.t().tolist()} == undirected


def test_source_graph_labels_by_the_longest_prefix(shop):
    data = build(shop)
    assert data.class_names == ["rest", "store"]
    assert data.y.tolist() == [0, 0, 1, 1, 1, 0]
    assert build(shop, areas={"shop.stock": "store"}).y.tolist() == [-1, -1, 0, 0, 0, -1]
    assert build(shop, areas=lambda name: "deep" if name.count(".") > 1 else None).y.tolist() == [-1, -1, -1, 0, 0, -1]


def test_source_graph_takes_names_out_of_the_text(shop):
    data = build(shop)
    text = dict(zip(data.node_names, data.text, strict=True))
    # own name "labels" is longer than "label"; the area "store" is masked everywhere, and so is "rest"
    assert text["shop.stock.labels"] == "Café Label _ _ label of the till, the TILL and tilly floor os."
    assert text["shop.stock"] == "Shelf and what stands on it.\n\nNumber.\n\nShelfRow count_goods"
    assert text["shop.stock.goods"] == "_."
    assert text["shop"] == "Root of the _."
    assert text["shop.bomb"] == "f"
    assert "shelf" in data.vocabulary
    assert "the" not in data.vocabulary


def test_source_graph_features_are_tfidf_by_hand(tmp_path):
    for name, text in {"a": "apple apple pear", "b": "apple", "c": ""}.items():
        (tmp_path / f"{name}.py").write_text(f'"""{text}"""')
    data = source_graph({name: tmp_path / f"{name}.py" for name in "abc"}, {}, least=1)
    assert data.vocabulary == ["apple", "pear"]
    apple, pear = (1 + np.log(2)) * (1 + np.log(4 / 3)), 1 + np.log(4 / 2)
    row = np.array([apple, pear]) / np.hypot(apple, pear)
    assert torch.allclose(data.x, torch.tensor([row.tolist(), [1.0, 0.0], [0.0, 0.0]]))
    assert source_graph({"a": tmp_path / "a.py"}, {}, least=1, words=1).vocabulary == ["apple"]
    assert data.y.tolist() == [-1, -1, -1]
    assert data.edge_index.shape == (2, 0)


def test_source_graph_imports_nothing(shop, monkeypatch):
    monkeypatch.syspath_prepend(str(shop.parent))
    build(shop)
    before = set(sys.modules)
    build(shop)
    assert set(sys.modules) == before
    assert not any(name.startswith("shop") for name in sys.modules)


def test_source_graph_does_not_follow_links(shop, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "__init__.py").write_text('"""Elsewhere."""')
    try:
        (shop / "linked").symlink_to(outside, target_is_directory=True)
        (shop / "single.py").symlink_to(outside / "__init__.py")
    except OSError:
        pytest.skip("links cannot be made here")
    assert build(shop).num_nodes == 6


def test_source_graph_is_the_same_twice_and_skips_whole_packages(shop):
    assert fingerprint(build(shop)) == fingerprint(build(shop))
    assert build(shop, skip=lambda name: name == "shop.stock").node_names == ["shop", "shop.bomb", "shop.till"]


def test_source_graph_refuses(shop, tmp_path):
    with pytest.raises(RequestError, match="no roots"):
        source_graph({}, {})
    with pytest.raises(RequestError, match=r"'shop': .* is neither a file nor a folder with __init__\.py"):
        source_graph({"shop": tmp_path / "absent"}, {})
    with pytest.raises(RequestError, match="'my-shop' is no module name"):
        source_graph({"my-shop": shop}, {})
    with pytest.raises(RequestError, match="words = 0: input should be 1 or more"):
        build(shop, words=0)
    with pytest.raises(DataError, match="no Python file that can be parsed"):
        source_graph({"broken": shop / "stock" / "broken.py"}, {})
    with pytest.raises(DataError, match="no word stands in 50 of the 6 texts; lower 'least'"):
        source_graph({"shop": shop}, {}, least=50)


@given(st.text(alphabet="aA_1bT", max_size=12))
@settings(deadline=None)
def test_words_of_identifiers_keep_every_letter(identifier):
    letters = "".join(character for character in identifier if character.isalpha())
    assert "".join(split_words(identifier)) == letters.lower()


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("JSONDecoder json_tool jsonify close os OSError os_path", "Decoder tool _ close _ Error path"),
        ("ConfigParserError config parser configparser2 _config", "Error config parser _ _config"),
        ("no name here, café_json 9", "no name here, caf 9"),
    ],
)
def test_masking_takes_identifiers_apart(text, masked):
    assert python_source._masked(text, {"json", "os", "configparser"}) == masked


@given(st.lists(st.sampled_from(["json", "Json", "JSON", "os", "close", "js", "on", "_", "9", "tool"]), max_size=6))
@settings(deadline=None)
def test_masked_names_are_nowhere_left(parts):
    words = split_words(python_source._masked("".join(parts), {"json", "os"}))
    assert "os" not in words
    assert not any("json" in word for word in words)


# --- the two large ones ----------------------------------------------------------------------------------------------


def assert_text_hides_names(data):
    areas = {word.removesuffix("s") for area in data.class_names for word in split_words(area)} - {"and"}
    for name, text in zip(data.node_names, data.text, strict=True):
        words = set(split_words(text))
        own = {word for part in name.split(".") for word in split_words(part) if len(word) > 1}
        assert not own & words, (name, own & words)
        long = {word for word in own | areas if len(word) > 3}
        left = [word for word in long if any(word in other for other in words)]
        assert not left, (name, left)
    assert not areas & set(data.vocabulary)


def test_stdlib(stdlib):
    assert_sound(stdlib)
    assert len(stdlib.class_names) == 10
    assert stdlib.num_features == 2000
    assert len(stdlib.text) == len(stdlib.node_names) == stdlib.num_nodes
    assert stdlib.node_names == sorted(stdlib.node_names)
    assert {"json", "json.decoder", "os", "email.mime.text", "concurrent.futures.thread"} <= set(stdlib.node_names)
    assert not any("idle_test" in name or "site_packages" in name for name in stdlib.node_names)
    edges = named(stdlib)
    assert {("json", "json.decoder"), ("json.decoder", "re"), ("json.decoder", "json.scanner")} <= edges
    assert ("concurrent.futures.thread", "concurrent.futures._base") in edges
    assert ("concurrent.futures.thread", "threading") in edges
    assert 0.2 < homophily(stdlib) < 0.8
    sizes = torch.bincount(stdlib.y[stdlib.y >= 0])
    assert int(sizes.min()) >= 15
    assert float(sizes.max() / sizes.sum()) < 0.35
    assert float((stdlib.y < 0).float().mean()) < 0.2


def test_stdlib_tests_belong_to_what_they_test(stdlib):
    area = {
        name: stdlib.class_names[y] if y >= 0 else None for name, y in zip(stdlib.node_names, stdlib.y, strict=True)
    }
    assert area["json.decoder"] == "internet data and markup"
    assert area["_pydecimal"] == "data types and numbers"
    assert python_source._stdlib_area("test.test_json.test_decode") == "internet data and markup"
    assert python_source._stdlib_area("test.test_zipfile64") == "files and storage"
    assert python_source._stdlib_area("test.test_http_cookies") == "networking"
    assert python_source._stdlib_area("test.support.os_helper") == "development tools"
    assert python_source._stdlib_area("test.test_nothing_known") is None


def test_packages(packages):
    assert_sound(packages)
    assert len(packages.class_names) == 9
    assert {"numpy", "scipy", "sklearn", "networkx", "torch_geometric"} <= set(packages.packages)
    assert not any(part in ("tests", "test", "conftest") for name in packages.node_names for part in name.split("."))
    assert {("scipy.stats._qmc", "numpy"), ("scipy.stats", "scipy.stats._stats_py")} <= named(packages)
    assert 0.3 < homophily(packages) < 0.85


@pytest.mark.parametrize("name", ["stdlib", "packages"])
def test_no_text_gives_its_label_away(name, request):
    assert_text_hides_names(request.getfixturevalue(name))


def test_part_of_the_library_is_the_same_twice():
    folder = Path(os.__file__).parent
    roots = {name: folder / name for name in ("json", "email", "asyncio")}
    first, again = (source_graph(roots, python_source._stdlib_area) for _ in range(2))
    assert fingerprint(first) == fingerprint(again)
    assert torch.equal(first.x, again.x)
    assert first.text == again.text


def test_a_zipped_library_is_refused(tmp_path, monkeypatch):
    archive = tmp_path / "python.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("os.py", "")
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(archive))
    with pytest.raises(DataError, match=r"python-stdlib: no source files in .*zipped or frozen"):
        read(PYTHON_STDLIB)


def test_absent_packages_are_left_out(monkeypatch):
    found = python_source.importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: found(name) if name == "filelock" else None)
    data = read(PYTHON_PACKAGES)
    assert list(data.packages) == ["filelock"]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match="python-packages: none of the packages is installed"):
        read(PYTHON_PACKAGES)
