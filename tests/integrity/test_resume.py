"""A bench that is killed twenty times ends with the same records as one that was left alone.

Starting Python takes seconds and computing a cell here a tenth of one, so most of the benches are forked from a process
that has everything loaded: their kills fall where they matter, while records are read, cells computed and lines
written. Lines are written a few bytes at a time there, so that a kill can fall into the middle of one. Further kills hit
the installed way in, one of them during start-up. Seven kills are the everyday version of this test.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

if not hasattr(os, "fork"):
    pytest.skip("needs fork", allow_module_level=True)

SUITE = """
methods = ["grace", "dgi", "cca-ssg"]
seeds = 3
[[tasks]]
dataset = "karate"
[settings.grace]
dim = 16
act = "rrelu"
plan.epochs = 12
[settings.dgi]
dim = 16
plan.epochs = 12
[settings.cca-ssg]
dim = 16
plan.epochs = 12
[settings.random-init]
dim = 16
"""
CELLS = 24

HARNESS = """
import json, os, random, signal, sys, time
from pathlib import Path
import graphcl.bench.store as store_module
from graphcl.bench.runner import run_all
from graphcl.bench.store import Store
from graphcl.bench.suite import find_suite

suite, out, kills = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
runs = find_suite(suite).runs()
rng = random.Random(20)

def written():
    return sum(path.stat().st_size for path in out.glob("*/*.jsonl"))

def lines():
    return [line for path in out.glob("*/*.jsonl") for line in path.read_bytes().split(b"\\n") if line]

def torn():
    return sum(not line.endswith(b"}") for line in lines())

def bench(slow):
    real = os.write
    if slow:
        def write(descriptor, data):
            time.sleep(0.0015)
            return real(descriptor, bytes(data)[:100])
        store_module.os.write = write
    for _ in run_all(runs, Store(out)):
        pass

told = {"landed": 0, "torn": 0, "progress": []}
for number in range(kills):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            bench(slow=True)
            code = 0
        finally:
            os._exit(code)
    before, began = written(), time.monotonic()
    if number % 3 == 0:  # anywhere: reading, locking, loading, training, scoring
        time.sleep(rng.uniform(0, 0.25))
    else:  # while, or just after, a line is written
        while written() == before and time.monotonic() - began < 20:
            time.sleep(0.0002)
        time.sleep(rng.uniform(0, 0.06 if number % 3 == 1 else 0.14))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    told["landed"] += os.WIFSIGNALED(status)
    told["torn"] += torn()
    told["progress"].append(len(lines()))
if kills == 0:
    bench(slow=False)
print(json.dumps(told))
"""


def environment():
    return {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def start(*command):
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return out


COMMAND = ("-c", "from graphcl.cli import main; raise SystemExit(main())", "bench", "run")


def records(folder):
    found = {}
    for path in sorted(folder.glob("*/*.jsonl")):
        content = path.read_bytes()
        assert content.endswith(b"\n"), path
        for line in content.splitlines():
            record = json.loads(line)
            found.setdefault(record["run_id"], []).append(record)
    return found


def outcome(record):
    """What must be equal to the last byte: everything but times, memory and dates."""
    timed = {"seconds", "peak_mb", "time"}
    return json.dumps({name: value for name, value in record.items() if name not in timed}, sort_keys=True)


def kill_when_it_writes(late, killed):
    """The real command again, killed when it has written something."""
    before, began = sum(path.stat().st_size for path in killed.glob("*/*.jsonl")), time.monotonic()
    while sum(path.stat().st_size for path in killed.glob("*/*.jsonl")) <= before:
        assert time.monotonic() - began < 120
        assert late.poll() is None
        time.sleep(0.001)
    late.kill()
    late.communicate()
    assert late.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("forked", "torn", "least"), [(6, 1, 1), pytest.param(18, 3, 5, marks=pytest.mark.slow)], ids=["seven", "twenty"]
)
def test_kills_change_nothing(forked, torn, least, tmp_path):
    (tmp_path / "small.toml").write_text(SUITE)
    (tmp_path / "harness.py").write_text(HARNESS)
    suite, killed, whole = tmp_path / "small.toml", tmp_path / "killed", tmp_path / "whole"
    rng = random.Random(7)

    # the unbroken bench, and beside it the first kill: the real command, somewhere during its start-up
    unbroken = start(tmp_path / "harness.py", suite, whole, 0)
    early = start(*COMMAND, suite, "--out", killed)
    time.sleep(rng.uniform(0.5, 3))
    early.kill()
    early.communicate()
    assert early.returncode == -signal.SIGKILL
    finish(unbroken)

    told = json.loads(finish(start(tmp_path / "harness.py", suite, killed, forked)))
    assert told["landed"] == forked
    assert told["torn"] >= torn, "too few kills fell into the writing of a line"
    assert least <= told["progress"][-1] < CELLS, "the kills fell too late or too early to tell anything"

    if forked == 18:
        kill_when_it_writes(start(*COMMAND, suite, "--out", killed), killed)

    table = finish(start(*COMMAND, suite, "--out", killed))
    assert "grace" in table
    assert "not run" not in table

    expected, found = records(whole), records(killed)
    assert len(expected) == CELLS
    assert {run: len(kept) for run, kept in found.items()} == dict.fromkeys(expected, 1)
    for run, [record] in found.items():
        [twin] = expected[run]
        assert record["status"] == "ok"
        assert json.dumps(record["metrics"]) == json.dumps(twin["metrics"])
        assert json.dumps(record["metrics_per_split"]) == json.dumps(twin["metrics_per_split"])
        assert outcome(record) == outcome(twin)


@pytest.mark.slow
def test_several_processes_give_the_same_records_as_one(tmp_path):
    (tmp_path / "small.toml").write_text(SUITE.replace("seeds = 3", "seeds = 1"))
    folders = [tmp_path / "one", tmp_path / "two"]
    for jobs, folder in enumerate(folders, 1):
        finish(start(*COMMAND, tmp_path / "small.toml", "--out", folder, "--jobs", jobs))
    one, two = (records(folder) for folder in folders)
    assert len(one) == 8
    assert {run: outcome(kept[0]) for run, kept in one.items()} == {run: outcome(kept[0]) for run, kept in two.items()}
