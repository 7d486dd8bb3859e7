"""The repository itself: generated files up to date, layers kept, nothing of one machine in it."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "graphcl"
RESULTS = ROOT / "benchmarks" / "results"


def run(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def repository_files():
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout: which files belong to the repository is not known")
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_the_stubs_are_up_to_date():
    done = run(sys.executable, "tools/stubs.py", "--check")
    assert done.returncode == 0, done.stderr


def test_a_stale_stub_is_noticed(tmp_path):
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "stubs.py").write_text((ROOT / "tools" / "stubs.py").read_text())
    for path in PACKAGE.rglob("*.py*"):
        if path.suffix in {".py", ".pyi"}:
            copy = tmp_path / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(path.read_text())
    source = tmp_path / "graphcl" / "augment" / "edges.py"
    source.write_text(source.read_text().replace("__all__ = [", '__all__ = ["Another", ', 1))
    done = run(sys.executable, str(tmp_path / "tools" / "stubs.py"), "--check")
    assert done.returncode == 1
    assert "augment/__init__.pyi" in done.stderr
    assert "methods/__init__.pyi" not in done.stderr


def test_the_layers_are_kept():
    command = Path(sys.executable).with_name("lint-imports")
    if not command.exists():
        pytest.skip("import-linter is not installed (dependency group dev)")
    done = run(str(command), "--no-cache")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_folder_of_the_package_is_in_the_layers():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = " ".join(contracts[0]["layers"])
    known = set(re.findall(r"\w+", layers)) | set(contracts[0].get("exhaustive_ignores", []))
    here = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert here - {"__init__"} <= known


def test_method_files_are_all_declared_independent():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert contracts[1]["modules"] == ["graphcl.methods.*"]
    ignored = contracts[1]["ignore_imports"]
    pairs = {tuple(part.removeprefix("graphcl.methods.") for part in line.split(" -> ")) for line in ignored}
    assert pairs == {("*", "recipe"), ("*", "two_view"), ("aspect_s", "defences"), ("sdm_scr", "defences")}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_prints_outside_the_command_line(path):
    if path.name == "cli.py":
        pytest.skip("the command line prints")
    tree = ast.parse(path.read_text())
    entry = {
        id(node)
        for main in tree.body
        if isinstance(main, ast.FunctionDef) and main.name == "main"
        for node in ast.walk(main)
    }
    printing = [
        node.lineno
        for node in ast.walk(tree)
        if id(node) not in entry
        and (
            (isinstance(node, ast.Name) and node.id == "print")
            or (isinstance(node, ast.Attribute) and node.attr in {"stdout", "stderr"} and isinstance(node.value, ast.Name)
                and node.value.id == "sys")
        )
    ]  # fmt: skip
    assert printing == []


# put together here, so that this file does not hold what it looks for
MACHINE = re.compile("(?<![\\w.~])/(?:" + "|".join(["work", "home", "root", "Users", "mnt", "scratch"]) + r")/\w")


def test_the_pattern_finds_what_it_should():
    assert MACHINE.search("see " + "/ho" + "me/somebody/data")
    assert MACHINE.search('"' + "/wo" + 'rk/main"')
    assert not MACHINE.search("https://example.org/home/page")
    assert not MACHINE.search("framework/main")


def test_no_path_of_one_machine_is_in_the_repository():
    found = []
    for path in repository_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if MACHINE.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert found == []


def test_no_file_is_large():
    files = [path for path in repository_files() if not path.is_relative_to(RESULTS)]
    limits = {path: 500_000 if path.is_relative_to(ROOT / "benchmarks") else 200_000 for path in files}
    assert [str(path.relative_to(ROOT)) for path, limit in limits.items() if path.stat().st_size > limit] == []


def test_no_record_is_large():
    # a file of records grows with its suite, and all are kept for good: what stays small is each of them
    records = [path for path in repository_files() if path.is_relative_to(RESULTS) and path.suffix == ".jsonl"]
    lines = [(path.name, len(line)) for path in records for line in path.read_bytes().splitlines()]
    assert [line for line in lines if line[1] > 60_000] == []
