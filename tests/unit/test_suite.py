"""Suites: what they ask for is known before anything runs."""

import pytest

from graphcl.bench import is_ranking
from graphcl.bench import run as run_module
from graphcl.bench.run import Run
from graphcl.bench.suite import Suite, Task, find_suite, suites
from graphcl.catalogue import entries
from graphcl.errors import RequestError, UnknownNameError

CONTROLS = ["majority", "propagated", "propagated-high", "random-init", "raw"]
BASELINES = ["ease", "item-knn", "popularity"]


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a suite must resolve without running or loading anything")

    monkeypatch.setattr(run_module, "execute", refuse)
    monkeypatch.setattr(run_module, "load", refuse)


def written(tmp_path, text, name="mine.toml"):
    path = tmp_path / name
    path.write_text(text)
    return str(path)


SOUND = """
description = "two columns"
methods = ["grace", "raw"]
seeds = 2
[[tasks]]
dataset = "karate"
[[tasks]]
dataset = "digits-knn"
split = "random-60-20-20"
[settings.grace]
temperature = 0.9
plan.epochs = 7
"""


@pytest.mark.parametrize("name", sorted(suites()))
def test_the_suites_that_come_along_resolve(name):
    suite = find_suite(name)
    runs = suite.runs()
    controls = BASELINES if is_ranking(suite.tasks[0].dataset) else CONTROLS
    assert len({run.id for run in runs}) == len(runs)
    if suite.protocol == "legacy":
        assert name == "legacy"
        assert {run.protocol for run in runs} == {"legacy"}
        assert not any(entries("methods")[run.method].control for run in runs)
        return
    if "all" not in suite.methods:
        given = max(1, len(suite.features))
        # the majority class looks at no features, and what reads text at none that it is given
        blind = {"majority", *(name for name, recipe in entries("methods").items() if recipe.reads_text)}
        cells = suite.seeds * sum(
            (1 + len(suite.variants.get(name, ()))) * (1 if name in blind else given)
            for task in suite.tasks
            for name in [*(task.methods or suite.methods), *controls]
        )
        attacks = sum(
            len(next((value for value in attack.values() if isinstance(value, list)), [0])) for attack in suite.attacks
        )
        assert len(runs) == cells * (1 + attacks)
    assert suite.description
    for task in suite.tasks:
        column = [run for run in runs if run.dataset == task.dataset and (not task.split or run.split == task.split)]
        assert set(controls) <= {run.method for run in column}
    assert {run.protocol for run in runs} == {"honest"}


EVERY = """
methods = ["all"]
without = ["grace"]
seeds = 2
[[tasks]]
dataset = "karate"
[[tasks]]
dataset = "mutag"
"""


def test_all_methods_are_those_of_the_level(tmp_path):
    runs = find_suite(written(tmp_path, EVERY)).runs()
    recipes = entries("methods")
    for dataset, level in (("karate", "node"), ("mutag", "graph")):
        found = sorted(run.method for run in runs if run.dataset == dataset and run.seed == 1)
        expected = {
            name
            for name, recipe in recipes.items()
            if level in recipe.levels and recipe.standing and not recipe.reads_text
        }
        assert found == sorted(expected - {"grace"})


def test_supervised_references_have_no_other_probe_and_no_best_epoch(tmp_path):
    for more in ('probe = "early-stopped"\n', 'protocol = "legacy"\n'):
        runs = find_suite(written(tmp_path, more + EVERY)).runs()
        assert not any(entries("methods")[run.method].supervised for run in runs)


def test_the_quickstart_needs_no_file():
    assert all(entries("datasets")[task.dataset].embedded for task in find_suite("quickstart").tasks)


def test_a_suite_of_ones_own(tmp_path):
    suite = find_suite(written(tmp_path, SOUND))
    assert suite.name == "mine"
    assert suite.tasks == (Task(dataset="karate"), Task(dataset="digits-knn", split="random-60-20-20"))
    cells = [(run.dataset, run.split, run.seed, run.method) for run in suite.runs()]
    methods = ["grace", "majority", "propagated", "propagated-high", "random-init", "raw"]
    assert cells == [
        (dataset, split, seed, method)
        for dataset, split in (("karate", "few-4"), ("digits-knn", "random-60-20-20"))
        for seed in (0, 1)
        for method in methods
    ]


def test_settings_reach_their_method_alone(tmp_path):
    runs = find_suite(written(tmp_path, SOUND)).runs()
    grace = next(run for run in runs if run.method == "grace")
    assert (grace.settings["temperature"], grace.settings["plan"]["epochs"], grace.settings["plan"]["lr"]) == (
        0.9,
        7,
        5e-4,
    )
    assert all(run.settings["plan"]["epochs"] == 0 for run in runs if run.method in CONTROLS)


def test_each_variant_is_a_row_beside_the_settings_it_does_not_name(tmp_path):
    more = "[[variants.grace]]\nplan.lr = 0.1\n[[variants.grace]]\ntemperature = 0.3\n"
    runs = [run for run in find_suite(written(tmp_path, SOUND + more)).runs() if run.method == "grace"]
    found = [
        (run.settings["temperature"], run.settings["plan"]["epochs"], run.settings["plan"]["lr"])
        for run in runs
        if run.dataset == "karate" and run.seed == 0
    ]
    assert found == [(0.9, 7, 5e-4), (0.9, 7, 0.1), (0.3, 7, 5e-4)]
    assert len(runs) == 2 * 2 * 3


def test_settings_reach_an_added_control(tmp_path):
    path = written(tmp_path, SOUND + "[settings.random-init]\ndim = 16\n")
    assert {run.settings["dim"] for run in find_suite(path).runs() if run.method == "random-init"} == {16}


def test_a_part_of_a_suite(tmp_path):
    suite = find_suite(written(tmp_path, SOUND.replace('"grace", "raw"', '"grace", "dgi", "raw"')))
    whole = suite.runs()
    part = suite.runs(methods=["dgi"], datasets=["karate"], seeds=1)
    assert [(run.method, run.dataset, run.seed) for run in part] == [
        (method, "karate", 0) for method in ["dgi", *CONTROLS]
    ]
    assert {run.id for run in part} < {run.id for run in whole}
    assert suite.runs(seeds=9) == whole
    with pytest.raises(UnknownNameError, match="unknown method of suite mine 'dgj': did you mean 'dgi'"):
        suite.runs(methods=["dgj"])
    with pytest.raises(UnknownNameError, match="unknown data set of suite mine 'cora'"):
        suite.runs(datasets=["cora"])
    some = find_suite(written(tmp_path, EVERY.replace('dataset = "karate"', 'dataset = "karate"\nmethods = ["dgi"]')))
    assert {run.method for run in some.runs(methods=["dgi"])} >= {"dgi", *CONTROLS}
    with pytest.raises(RequestError, match="suite mine has no cell of cca-ssg there"):
        some.runs(methods=["cca-ssg"])


@pytest.mark.parametrize(("old", "new"), [("[settings.grace]", "[settings.all]"), ("seeds = 2", 'without = ["all"]')])
def test_all_is_a_name_among_methods_alone(tmp_path, old, new):
    with pytest.raises(UnknownNameError, match="unknown method 'all'"):
        find_suite(written(tmp_path, SOUND.replace(old, new))).runs()


def test_a_task_for_some_of_the_methods(tmp_path):
    text = EVERY.replace('dataset = "karate"', 'dataset = "karate"\nmethods = ["dgi"]')
    runs = find_suite(written(tmp_path, text)).runs()
    assert {run.method for run in runs if run.dataset == "karate"} == {"dgi", *CONTROLS}
    assert "graph-cl" in {run.method for run in runs if run.dataset == "mutag"}
    with pytest.raises(UnknownNameError, match="unknown method of a task on karate 'dgj'"):
        find_suite(written(tmp_path, text.replace('["dgi"]', '["dgj"]'))).runs()


def test_a_control_that_is_listed_is_not_added_twice(tmp_path):
    runs = find_suite(written(tmp_path, SOUND)).runs()
    assert sum(run.method == "raw" for run in runs) == 4


def test_controls_for_special_tables_are_there_where_they_are_named(tmp_path):
    for named, there in ((["dgi"], False), (["dgi", "structure"], True)):
        text = f'methods = {named}\nseeds = 1\n[[tasks]]\ndataset = "karate"\n'.replace("'", '"')
        methods = [run.method for run in find_suite(written(tmp_path, text)).runs()]
        assert ("structure" in methods) == there
        assert "adjacency" not in methods
        assert "raw" in methods


def test_a_method_without_methods_still_has_its_controls(tmp_path):
    runs = find_suite(written(tmp_path, 'seeds = 1\n[[tasks]]\ndataset = "karate"\n')).runs()
    assert sorted(run.method for run in runs) == CONTROLS


def test_official_settings_are_taken_for_their_data_set(tmp_path):
    path = written(
        tmp_path, 'methods = ["grace"]\nseeds = 1\n[[tasks]]\ndataset = "citeseer"\n[[tasks]]\ndataset = "karate"'
    )
    runs = {run.dataset: run for run in find_suite(path).runs() if run.method == "grace"}
    assert runs["citeseer"].settings["temperature"] == 0.9
    assert runs["karate"].settings["temperature"] == 0.5


def test_a_legacy_suite_is_legacy_in_every_cell(tmp_path):
    runs = find_suite(written(tmp_path, 'protocol = "legacy"\n' + SOUND)).runs()
    assert {run.protocol for run in runs} == {"legacy"}


UNKNOWN = [
    (SOUND.replace('"grace", "raw"', '"grcae", "raw"'), "unknown method 'grcae': did you mean 'grace'?"),
    (SOUND.replace("karate", "karat"), "unknown data set 'karat': did you mean 'karate'?"),
    (SOUND.replace("60-20-20", "60-20-21"), "unknown split of digits-knn 'random-60-20-21': did you mean"),
    (SOUND.replace("settings.grace", "settings.grcae"), "unknown method 'grcae': did you mean 'grace'?"),
    (
        SOUND.replace("temperature", "temprature"),
        "unknown parameter of Grace 'temprature': did you mean 'temperature'?",
    ),
    (SOUND.replace("plan.epochs", "plan.epcohs"), "unknown parameter of Plan 'epcohs': did you mean 'epochs'?"),
    ('protocol = "honset"\n' + SOUND, "unknown protocol 'honset': did you mean 'honest'?"),
    (SOUND.replace("seeds", "seesd"), "unknown parameter of Suite 'seesd': did you mean 'seeds'?"),
    (SOUND.replace("split", "splti"), "unknown parameter of Task 'splti': did you mean 'split'?"),
]


@pytest.mark.parametrize(("text", "message"), UNKNOWN, ids=[message[:40] for _, message in UNKNOWN])
def test_unknown_names_are_refused(tmp_path, text, message):
    with pytest.raises(UnknownNameError) as caught:
        find_suite(written(tmp_path, text)).runs()
    assert str(caught.value).startswith(message)


WRONG = [
    ("methods = [", "is no TOML file: "),
    (SOUND.replace("seeds = 2", "seeds = 0"), "Suite.seeds = 0: input should be greater than or equal to 1"),
    (SOUND.replace("seeds = 2", 'seeds = "2"'), "Suite.seeds = '2': input should be a valid integer"),
    (SOUND.replace("0.9", "-1.0"), "Grace.temperature = -1.0: input should be greater than 0"),
    (SOUND.replace('["grace", "raw"]', '"grace"'), "Suite.methods = 'grace': input should be a valid array"),
    ('methods = ["grace"]', 'no [[tasks]]; a suite needs at least one with dataset = "…"'),
    ('methods = ["grace"]\ntasks = "karate"', "tasks = 'karate'; write each as a table [[tasks]] with dataset"),
    ('methods = ["grace"]\ntasks = ["karate"]', "tasks = ['karate']; write each as a table [[tasks]] with dataset"),
    ('methods = ["grace"]\n[tasks]\ndataset = "karate"', "write each as a table [[tasks]] with dataset"),
    (SOUND + "[settings.dgi]\ndim = 3\n", "suite mine: settings for 'dgi', which is not among its methods; add it"),
    (SOUND + "[[variants.dgi]]\ndim = 3\n", "suite mine: settings for 'dgi', which is not among its methods; add it"),
    (SOUND + "[[variants.grace]]\ndims = 3\n", "did you mean 'dim'?"),
    (SOUND + "[[variants.grace]]\nplan = 5\n", "Grace.plan = 5: input should be an object"),
    (SOUND + "[[variants.grace]]\n", "suite mine: two rows of grace with the same settings"),
    (SOUND + "[[variants.grace]]\ntemperature = 0.9\n", "suite mine: two rows of grace with the same settings"),
    (SOUND + "[[variants.adjacency]]\nfeatures = 'row'\n", "settings for 'adjacency', which is not among its methods"),
    (SOUND.replace("karate", "mutag"), "grace embeds nodes and mutag is a set at graph level"),
]


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[message[:40] for _, message in WRONG])
def test_a_wrong_suite_is_refused(tmp_path, text, message):
    with pytest.raises(RequestError) as caught:
        find_suite(written(tmp_path, text)).runs()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_task_without_a_data_set_is_refused(tmp_path):
    with pytest.raises(RequestError, match=r"^Task\.dataset is missing and has no default$"):
        find_suite(written(tmp_path, 'methods = []\n[[tasks]]\nsplit = "few-4"\n')).runs()


def test_a_file_that_is_not_there_says_where_the_others_are(tmp_path):
    with pytest.raises(RequestError) as caught:
        find_suite(str(tmp_path / "none.toml"))
    expected = f"no suite file {tmp_path / 'none.toml'}; `graphcl ls suites` lists the suites that come with graphcl"
    assert str(caught.value) == expected


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(RequestError, match="^cannot read .*bad.toml .*give a TOML file in UTF-8$"):
        find_suite(str(path))


def test_an_unknown_suite_offers_the_nearest():
    with pytest.raises(UnknownNameError) as caught:
        find_suite("quikstart")
    message = str(caught.value)
    assert message.startswith("unknown suite 'quikstart': did you mean 'quickstart'? Known: ")
    assert message.endswith(" (or the path of a .toml file)")


def test_a_suite_is_checked_when_it_is_built_by_hand():
    with pytest.raises(RequestError, match=r"^Suite\.seeds = 0"):
        Suite(name="x", seeds=0)


def test_each_source_of_features_is_a_row_of_every_method_that_looks_at_them(tmp_path):
    given = """
methods = ["grace"]
seeds = 1
[[tasks]]
dataset = "python-stdlib"
[[features]]
names = ""
[[features]]
names = "lsa+tf-idf"
settings = { lsa = { dim = 8 }, spread = "centred" }
"""
    runs = find_suite(written(tmp_path, given)).runs()
    assert len(runs) == 2 * 5 + 1
    assert [run.features for run in runs if run.method == "majority"] == [None]
    own, other = (run for run in runs if run.method == "grace")
    assert own.features is None
    assert other.features["spread"] == "centred"
    assert [part["name"] for part in other.features["sources"]] == ["lsa", "tf-idf"]
    assert other.features["sources"][0]["dim"] == 8
    assert own.id != other.id
    assert own.training != other.training


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ('names = "nothing"', "unknown feature source 'nothing'"),
        ('sources = "lsa"', "give names and, if need be, settings"),
        ('names = "lsa"\nsettings = { dims = 3 }', "did you mean 'dim'"),
        ('names = ""\nsettings = { dim = 3 }', "settings of features need some"),
    ],
)
def test_features_that_are_none_are_refused(listed, message, tmp_path):
    text = f'methods = ["grace"]\n[[tasks]]\ndataset = "python-stdlib"\n[[features]]\n{listed}\n'
    with pytest.raises(RequestError, match=message):
        find_suite(written(tmp_path, text)).runs()


def test_features_are_made_for_nodes():
    with pytest.raises(RequestError, match="mutag is a set of graphs, and features are made for nodes"):
        Run.of("graph-cl", "mutag", features="tf-idf")
