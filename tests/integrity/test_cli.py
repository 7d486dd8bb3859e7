"""The command line: what it prints, what it refuses, and with which exit code."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import graphcl
from graphcl import cli
from graphcl._version import __version__
from graphcl.bench.suite import suites
from graphcl.catalogue import KINDS, entries
from graphcl.evaluate.probes import MajorityProbe


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """Run the entry point in this process, far from any mirror, cache or network."""
    monkeypatch.setenv("GRAPHCL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GRAPHCL_MIRROR", raising=False)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def called(*arguments):
        monkeypatch.setattr(sys, "argv", ["graphcl", *arguments])
        capsys.readouterr()
        code = cli.main()
        out, err = capsys.readouterr()
        return code, out, err

    return called


SHORT = ("--split", "few-4", "--set", "plan.epochs=2", "--set", "dim=8")


# --- ls, show ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*KINDS, "suites"])
def test_ls_json_is_an_array_of_named_objects(call, kind):
    code, out, err = call("ls", kind, "--json")
    assert (code, err) == (0, "")
    rows = json.loads(out)
    assert [row["name"] for row in rows] == list(suites() if kind == "suites" else entries(kind))
    assert all(row["about"] for row in rows)


def test_ls_without_a_kind_counts_the_kinds(call):
    code, out, _ = call("ls", "--json")
    assert code == 0
    rows = {row["name"]: row["entries"] for row in json.loads(out)}
    assert set(rows) == {*KINDS, "suites"}
    assert rows["probes"] == len(entries("probes"))


def test_ls_tells_methods_from_controls(call):
    rows = {row["name"]: row for row in json.loads(call("ls", "methods", "--json")[1])}
    assert rows["grace"]["kind"] == "method"
    assert rows["raw"]["kind"] == "control"
    assert rows["raw"]["level"] == "node graph"


def test_ls_as_a_table_names_everything(call):
    code, out, err = call("ls", "methods")
    assert (code, err) == (0, "")
    assert all(name in out for name in entries("methods"))


def test_show_a_method_with_defaults_presets_and_paper(call):
    code, out, _ = call("show", "grace", "--json")
    assert code == 0
    about = json.loads(out)
    assert (about["name"], about["kind"]) == ("grace", "method")
    assert about["parameters"]["temperature"] == 0.5
    assert about["parameters"]["plan"]["epochs"] == 200
    assert about["presets"]["cora"]["temperature"] == 0.4
    assert about["paper"]["key"] == "zhu2020grace"
    text = call("show", "grace")[1]
    assert "temperature" in text
    assert "Deep graph contrastive representation learning" in text
    assert "settings made for: cora, cora-wide, citeseer, pubmed, dblp" in text


@pytest.mark.parametrize("name", ["edge-dropout", "info-nce", "logistic", "raw"])
def test_show_any_part(call, name):
    code, out, err = call("show", name, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["name"] == name


def test_show_a_data_set_is_its_card(call):
    code, out, _ = call("show", "karate")
    assert code == 0
    assert out == call("data", "card", "karate")[1]
    assert "Zachary" in out


def test_interactions_have_cards_too(call):
    code, out, _ = call("data", "card", "gowalla")
    assert code == 0
    assert out == call("show", "gowalla")[1]
    assert "29,858 users" in out


def test_version(call):
    assert call("--version")[:2] == (0, f"graphcl {__version__}\n")


def test_nothing_asked_is_help(call):
    code, out, err = call()
    assert code in (0, 2)
    assert "Commands" in out + err
    assert call("--help")[0] == 0


# --- run ---------------------------------------------------------------------------------------------------------------


def test_run_json_is_one_object_with_all_that_was_promised(call):
    code, out, err = call("run", "grace", "karate", *SHORT, "--json")
    assert (code, err) == (0, "")
    assert out.count("\n") == 1
    record = json.loads(out)
    assert record["status"] == "ok"
    assert len(record["run_id"]) == 16
    assert {name: record["run"][name] for name in ("method", "dataset", "split", "seed", "protocol")} == {
        "method": "grace", "dataset": "karate", "split": "few-4", "seed": 0, "protocol": "honest",
    }  # fmt: skip
    assert record["run"]["settings"]["plan"]["epochs"] == 2
    assert set(record["metrics"]) == {f"{metric}/{part}" for metric in ("acc", "f1", "auc") for part in ("val", "test")}
    assert all(0 <= value <= 1 for value in record["metrics"].values())
    assert record["metrics_per_split"]["acc/test"] == [record["metrics"]["acc/test"]]
    assert record["dataset"]["fingerprint"] == entries("datasets")["karate"].content
    assert record["dataset"]["counts"] == {"nodes": 34, "edges": 156, "features": 34, "classes": 2, "graphs": 1}
    assert record["selection"]["legacy"] is False
    assert record["selection"]["probe"]["probe"] == "logistic"
    assert len(record["selection"]["chosen"]) == 1
    assert record["seconds"]["total"] > 0
    assert record["peak_mb"] > 1
    assert {"torch", "torch_geometric", "graphcl"} <= set(record["env"]["versions"])


def test_the_same_seed_gives_the_same_figures_and_another_one_others(call):
    def figures(seed):
        record = json.loads(call("run", "grace", "karate", *SHORT, "--seed", seed, "--json")[1])
        return json.dumps([record["metrics"], record["metrics_per_split"], record["selection"]["chosen"]])

    assert figures("3") == figures("3")
    assert figures("3") != figures("4")


def test_run_scores_what_embed_embeds(call):
    data, split = graphcl.load("karate", "few-4", seed=5)
    h = graphcl.embed("grace", data, seed=5, preset="karate", dim=8, plan={"epochs": 2})
    record = json.loads(call("run", "grace", "karate", *SHORT, "--seed", "5", "--json")[1])
    assert record["metrics"] == graphcl.evaluate.probe(h, data, split, seed=5)


def test_majority_is_scored_by_the_majority_probe(call):
    record = json.loads(call("run", "majority", "karate", "--json")[1])
    assert record["run"]["probe"] == {"name": MajorityProbe.name}


def test_legacy_is_flagged_in_record_and_in_words(call):
    record = json.loads(call("run", "grace", "karate", *SHORT, "--protocol", "legacy", "--json")[1])
    assert record["selection"]["legacy"] is True
    assert record["selection"]["protocol"] == "legacy"
    assert record["run"]["protocol"] == "legacy"
    assert (
        "LEGACY: selected on test, not comparable" in call("run", "grace", "karate", *SHORT, "--protocol", "legacy")[1]
    )


def test_run_in_words(call):
    code, out, err = call("run", "raw", "karate", "--split", "few-4")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "raw on karate, split few-4, seed 0"
    names = [f"{metric}/{part}" for part in ("val", "test") for metric in ("acc", "f1", "auc")]
    assert [line.split()[0] for line in lines[1:7]] == names


def test_run_out_appends_the_record(call, tmp_path):
    out = tmp_path / "runs"
    records = [
        json.loads(call("run", "raw", "karate", "--seed", str(seed), "--out", str(out), "--json")[1]) for seed in (0, 1)
    ]
    written = [json.loads(line) for line in (out / "raw" / "karate.jsonl").read_text().splitlines()]
    assert written == records


def test_a_run_that_diverges_has_exit_code_one(call):
    code, out, err = call("run", "grace", "karate", "--set", "plan.epochs=5", "--set", "plan.lr=1e30")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert err.startswith(
        "graphcl: 34 of 34 rows of `a` hold NaN or infinity, first row 0, at step 2 (epoch 2); lower plan.lr"
    )
    code, out, err = call("run", "grace", "karate", "--set", "plan.epochs=5", "--set", "plan.lr=1e30", "--json")
    assert code == 1
    assert json.loads(out)["status"] == "failed"
    assert err.count("\n") == 1


# --- what is refused ---------------------------------------------------------------------------------------------------

BAD = {
    "unknown method": (("run", "grcae", "karate"), "unknown method 'grcae': did you mean 'grace'?"),
    "unknown data set": (("run", "grace", "karat"), "unknown data set 'karat': did you mean 'karate'?"),
    "unknown split": (("run", "grace", "karate", "--split", "random-10-10-8"), "did you mean 'random-10-10-80'?"),
    "split of another": (("run", "grace", "karate", "--split", "geom-gcn"), "unknown split of karate 'geom-gcn'"),
    "unknown parameter": (("run", "grace", "karate", "--set", "temprature=1"), "did you mean 'temperature'?"),
    "unknown nested": (("run", "grace", "karate", "--set", "plan.epcohs=1"), "did you mean 'epochs'?"),
    "wrong type": (("run", "grace", "karate", "--set", "temperature=warm"), "Grace.temperature = 'warm': input should be"),
    "wrong nested type": (("run", "grace", "karate", "--set", "plan.epochs=1.5"), "Plan.epochs = 1.5: input should be"),
    "out of range": (("run", "grace", "karate", "--set", "temperature=0"), "input should be greater than 0"),
    "not finite": (("run", "grace", "karate", "--set", "temperature=nan"), "input should be a finite number"),
    "rate of one": (("run", "grace", "karate", "--set", "edge_dropout=[0.1, 1.0]"), "input should be less than 1"),
    "no equals sign": (("run", "grace", "karate", "--set", "temperature"), "write it as path=value"),
    "negative seed": (("run", "grace", "karate", "--seed", "-1"), "seed = -1: input should be 0 or more"),
    "seed in words": (("run", "grace", "karate", "--seed", "one"), "--seed"),
    "missing argument": (("run", "grace"), "dataset"),
    "unknown option": (("run", "grace", "karate", "--sed", "1"), "--sed"),
    "unknown command": (("rnu",), "rnu"),
    "unknown protocol": (("run", "grace", "karate", "--protocol", "test"), "unknown protocol 'test'"),
    "epochs for a control": (("run", "raw", "karate", "--set", "plan.epochs=3"), "has nothing to train; leave plan.epochs"),
    "wrong level": (("run", "grace", "mutag"), "grace embeds nodes and mutag is a set at graph level"),
    "missing files": (("run", "grace", "cora"), "GRAPHCL_MIRROR"),
    "missing files to fetch": (("data", "fetch", "texas"), "GRAPHCL_MIRROR"),
    "unknown kind": (("ls", "method"), "did you mean 'methods'?"),
    "unknown part": (("show", "grcae"), "did you mean 'grace'?"),
    "unknown card": (("data", "card", "karat"), "did you mean 'karate'?"),
    "unknown suite": (("bench", "run", "quikstart"), "did you mean 'quickstart'?"),
    "no suite file": (("bench", "run", "none.toml"), "no suite file none.toml"),
    "no such comparison": (("bench", "report", ".", "--against", "papers"), "unknown comparison 'papers'"),
    "no folder of records": (("show", "grace", "--records", "none"), "none is no folder of results"),
    "no results": (("bench", "report", "none"), "none is no folder of results"),
    "nothing to import": (("check", "no_such_module:X"), "write it as package.module:Thing"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_a_wrong_request_has_exit_code_two_and_one_line(call, arguments, message):
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("graphcl: ")
    assert message in err


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(call, tmp_path, monkeypatch):
    monkeypatch.setattr(cli, "execute", lambda *_: pytest.fail("it must not start"))
    (tmp_path / "file").write_text("")
    code, out, err = call("run", "raw", "karate", "--out", str(tmp_path / "file" / "deeper"))
    assert (code, out) == (2, "")
    assert err == f"graphcl: cannot write to {tmp_path / 'file' / 'deeper'} (Not a directory); choose another --out\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("methods = [", "is no TOML file"),
        ('methods = ["grcae"]\n[[tasks]]\ndataset = "karate"', "did you mean 'grace'?"),
        ('methods = ["grace"]', "no [[tasks]]"),
        ('methods = ["grace"]\ntasks = ["karate"]', "write each as a table [[tasks]]"),
    ],
)
def test_a_bad_suite_is_refused(call, tmp_path, text, message):
    (tmp_path / "bad.toml").write_text(text)
    code, out, err = call("bench", "run", "bad.toml", "--out", "runs")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err
    assert not (tmp_path / "runs").exists()


def test_a_message_of_many_lines_becomes_one(call, monkeypatch):
    def execute(run, watch=None):
        return {
            "run_id": "x",
            "run": {},
            "status": "error",
            "error": "RuntimeError: first\n  second",
            "kind": "RuntimeError",
        }

    monkeypatch.setattr(cli, "execute", execute)
    assert call("run", "raw", "karate") == (1, "", "graphcl: RuntimeError: first second\n")


# --- bench -------------------------------------------------------------------------------------------------------------

SUITE = """
methods = ["dgi"]
seeds = 2
[[tasks]]
dataset = "karate"
[settings.dgi]
dim = 8
plan.epochs = 3
"""


def test_a_bench_runs_reports_and_is_not_run_again(call, tmp_path):
    (tmp_path / "small.toml").write_text(SUITE)
    code, out, err = call("bench", "run", "small.toml", "--out", "runs", "--seeds", "1", "--dry-run")
    assert code == 0
    assert "small.toml: 6 cells, 0 already recorded, 6 to run; records in runs" in err
    assert [line.split() for line in out.splitlines() if line.startswith("dgi")] == [
        ["dgi", "karate", "few-4", "logistic", "honest", "0", "–"]
    ]
    assert not Path("runs").exists()
    code, out, err = call("bench", "run", "small.toml", "--out", "runs")
    assert code == 0
    assert "small.toml: 12 cells, 0 already recorded, 12 to run; records in runs" in err
    assert "dgi" in out
    assert "majority" in out
    files = {path: path.read_bytes() for path in Path("runs").rglob("*.jsonl")}
    assert sum(content.count(b"\n") for content in files.values()) == 12

    code, again, err = call("bench", "run", "small.toml", "--out", "runs")
    assert code == 0
    assert "12 cells, 12 already recorded, 0 to run" in err
    assert again == out
    assert {path: path.read_bytes() for path in Path("runs").rglob("*.jsonl")} == files

    code, report, err = call("bench", "report", "runs", "--markdown", "table.md", "--html", "table.html")
    assert (code, err) == (0, "")
    assert report in out
    markdown = Path("table.md").read_text()
    assert markdown.startswith("| method | karate · few-4 · acc |\n")
    assert "| *majority* (control) | " in markdown
    html = Path("table.html").read_text()
    assert html.lstrip().startswith("<!DOCTYPE html>")
    assert "random-init" in html
    code, _, err = call("bench", "report", "runs", "--html", "no/such/folder/table.html")
    assert code == 2
    assert err == "graphcl: cannot write no/such/folder/table.html (No such file or directory); choose another file\n"


def test_a_bench_with_a_failed_cell_has_exit_code_one_and_still_reports(call, tmp_path):
    (tmp_path / "bad.toml").write_text(SUITE.replace("dim = 8", "plan.lr = 1e30"))
    code, out, err = call("bench", "run", "bad.toml", "--out", "runs")
    assert code == 1
    assert err.splitlines()[-1] == "graphcl: 2 runs failed; their records say why"
    assert "failed (2)" in out
    assert "lower plan.lr = 1e+30" in out


@pytest.fixture
def small_runs(call, tmp_path):
    """Records of DGI on karate, honest and legacy, in ``runs``."""
    (tmp_path / "honest.toml").write_text(SUITE)
    (tmp_path / "legacy.toml").write_text(f'protocol = "legacy"\n{SUITE}')
    assert call("bench", "run", "honest.toml", "--out", "runs/honest")[0] == 0
    shutil.copytree("runs/honest", "runs/both", ignore=shutil.ignore_patterns(".lock"))
    assert call("bench", "run", "legacy.toml", "--out", "runs/both")[0] == 0


def test_a_report_shows_the_bias_of_selection_on_test(call, small_runs):
    code, out, err = call("bench", "report", "runs/both", "--markdown", "both.md", "--html", "both.html")
    assert (code, err) == (0, "")
    assert "Bias of selection on test" in out
    assert "### Bias of selection on test" in Path("both.md").read_text()
    assert "Bias of selection on test" in Path("both.html").read_text()
    page = json.loads(call("bench", "report", "runs/both", "--json")[1])
    (bias,) = [bias for bias in page["bias"] if bias["row"].startswith("dgi")]
    assert bias["seeds"] == [0, 1]
    # the best of several looks at the test set is no worse than the last of them
    assert bias["bias"] >= 0
    by_protocol = {c["protocol"]: c["mean"] for c in page["cells"] if c["method"] == "dgi"}
    assert bias["bias"] == pytest.approx(100 * (by_protocol["legacy"] - by_protocol["honest"]))
    assert "Bias" not in call("bench", "report", "runs/honest")[1]


def test_a_report_beside_published_numbers(call, small_runs):
    code, out, err = call("bench", "report", "runs/honest", "--against", "published", "--markdown", "beside.md")
    assert (code, err) == (0, "")
    assert "No record here has a published counterpart under its protocol." in out
    assert "Published, and not run here" in out
    assert "| dgi | public | citeseer, cora, pubmed |" in Path("beside.md").read_text()
    page = json.loads(call("bench", "report", "runs/honest", "--against", "published", "--json")[1])
    assert {figure["method"] for figure in page["published"]["not_run"]} == {"dgi"}
    assert "published" not in call("bench", "report", "runs/honest")[1].lower()


def test_show_a_method_with_published_numbers_and_records(call, small_runs):
    code, out, err = call("show", "dgi", "--records", "runs/honest")
    assert (code, err) == (0, "")
    assert "82.30 ± 0.60" in out
    assert "karate · few-4 · acc" in out
    assert "Records: runs/honest" in out
    about = json.loads(call("show", "dgi", "--json", "--records", "runs/honest")[1])
    assert about["records"]["folder"] == "runs/honest"
    (cell,) = about["records"]["cells"]
    assert (cell["method"], cell["dataset"], list(cell["values"])) == ("dgi", "karate", ["0", "1"])
    cora = [f for f in about["published"] if (f["dataset"], f["split"], f["by"]) == ("cora", "public", "authors")]
    assert [(figure["mean"], figure["std"]) for figure in cora] == [(82.3, 0.6)]
    # by itself it looks into the usual folders
    assert json.loads(call("show", "dgi", "--json")[1])["records"]["folder"] == "runs"
    assert "No records in runs." in call("show", "grace")[1]


def test_show_a_method_where_there_are_no_records(call):
    out = call("show", "raw")[1]
    assert "No published numbers are on file." in out
    assert "No folder of records here; name one with --records DIR." in out
    assert "records" not in json.loads(call("show", "info-nce", "--json")[1])


def test_a_corrupt_record_is_named(call, tmp_path):
    (tmp_path / "small.toml").write_text(SUITE)
    folder = tmp_path / "runs" / "raw"
    folder.mkdir(parents=True)
    (folder / "karate.jsonl").write_text("nonsense\n")
    for command in (("bench", "run", "small.toml", "--out", "runs"), ("bench", "report", "runs")):
        code, _, err = call(*command)
        assert code == 2
        assert err == "graphcl: runs/raw/karate.jsonl:1 is no record; restore the line or delete it\n"


# --- data, check -------------------------------------------------------------------------------------------------------


def test_data_ls_says_what_is_here(call):
    code, out, _ = call("data", "ls", "--json")
    assert code == 0
    rows = {row["name"]: row for row in json.loads(out)}
    assert rows["karate"]["files"] == "embedded"
    assert rows["cora"]["files"] == "to fetch"
    assert (rows["cora"]["nodes"], rows["cora"]["classes"]) == (2708, 7)


def test_data_fetch_of_an_embedded_set_checks_it(call):
    code, out, err = call("data", "fetch", "karate")
    assert (code, err) == (0, "")
    assert out == f"karate: complete, fingerprint {entries('datasets')['karate'].content}\n"


def test_check_lists_the_promises_kept(call):
    code, out, err = call("check", "graphcl.augment.edges:EdgeDropout")
    assert (code, err) == (0, "")
    assert "an undirected graph stays undirected" in out.splitlines()
    assert "removes the share that `rate` says" in out.splitlines()


def test_check_of_a_broken_part_in_the_current_folder(call, tmp_path):
    # under a name that no other test imports
    module = f"broken_{os.getpid()}_part"
    (tmp_path / f"{module}.py").write_text(
        "from dataclasses import dataclass\n"
        "from graphcl.augment import Augmenter\n"
        "from graphcl.config import Rate\n"
        "@dataclass(frozen=True)\n"
        "class Eraser(Augmenter):\n"
        "    rate: Rate = 0.2\n"
        "    def forward(self, data, generator=None):\n"
        "        data.x.zero_()\n"
        "        return data\n"
    )
    before = list(sys.path)
    code, out, err = call("check", f"{module}:Eraser")
    sys.path[:] = before
    sys.modules.pop(module, None)
    assert (code, out) == (2, "")
    assert err == "graphcl: Eraser(rate=0.2): broken promise: the input is never changed\n"


# --- the installed command ---------------------------------------------------------------------------------------------


def test_the_installed_command_exits_as_promised(tmp_path):
    command = Path(sys.executable).with_name("graphcl")
    if not command.exists():
        pytest.skip("graphcl is not installed as a command here")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def run(*arguments):
        return subprocess.run(
            [command, *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
            timeout=120,
            check=False,
        )

    done = run("run", "propagated", "karate", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["status"] == "ok"
    done = run("run", "grcae", "karate")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
