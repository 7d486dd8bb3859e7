"""An endpoint that misbehaves in every way it can: nothing is lost, nothing is paid twice, and no key is left behind."""

import json
import os
import subprocess
import sys
import time

import pytest
import torch
from torch_geometric.data import Data

from graphcl.bench.run import Run, execute
from graphcl.errors import EndpointError, MissingExtraError, RequestError
from graphcl.features import Endpoint, EndpointEncoder, cache_states
from graphcl.features import endpoint as endpoint_module
from tests.endpoint_server import TOKENS_OF_A_TEXT, WIDTH, EndpointServer, vector_of

pytest.importorskip("openai")
pytest.importorskip("tenacity")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHCL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_API_KEY", "right")


def said(count):
    return Data(text=[f"text number {number} {'x' * (number % 37)}" for number in range(count)], num_nodes=count)


def encoder(server, batch_size=64, dimensions=None, **treated):
    treated = {"timeout": 0.5, "wait": 0.01, **treated}
    return EndpointEncoder(
        model="m", endpoint=Endpoint(url=server.url, **treated), batch_size=batch_size, dimensions=dimensions
    )


def expected(data):
    return torch.tensor([vector_of(text) for text in data.text])


EVERYTHING = {
    "429": 0.03, "429-later": 0.03, "500": 0.03, "hang": 0.02, "cut": 0.03, "truncated": 0.03, "half-json": 0.03,
    "html": 0.02, "short": 0.03, "twice": 0.02, "nan": 0.03, "narrow": 0.02, "no-data": 0.02, "swapped": 0.1,
}  # fmt: skip


def test_five_thousand_texts_through_an_endpoint_that_fails_in_every_way():
    data = said(5000)
    seen = []
    with EndpointServer(EVERYTHING, seed=7, hang=1.0) as server:
        x = encoder(server, batch_size=32)(data, seen.append)
    assert torch.equal(x, expected(data))
    assert set(EVERYTHING) <= set(server.faulty), "every fault has happened"
    assert server.served == dict.fromkeys(data.text, 1), "each text was served rightly once"
    (state,) = cache_states()
    tokens = state.tokens
    assert tokens > server.claimed > TOKENS_OF_A_TEXT * 5000, "what did not come back is counted at the most it can be"
    assert state.rows == 5000
    last = seen[-1]
    good = server.faulty[None] + server.faulty["swapped"]
    assert (last.rows, last.stored, last.made, last.retries, last.tokens) == (
        5000,
        0,
        5000,
        server.requests - good,
        tokens,
    )
    assert str(last) == f"5000 rows: 0 from the cache, 5000 made, {last.retries} retries, {tokens} tokens"
    # nobody is asked again
    with EndpointServer() as other:
        again = EndpointEncoder(model="m", endpoint=Endpoint(url=server.url), batch_size=32)(data)
        assert torch.equal(again, x)
        assert other.requests == 0


@pytest.mark.parametrize("fault", [fault for fault in EVERYTHING if fault != "swapped"])
def test_each_fault_alone_costs_one_more_request(fault):
    data = said(6)
    with EndpointServer({1: fault}, hang=1.0) as server:
        assert torch.equal(encoder(server, batch_size=2)(data), expected(data))
        assert server.requests == 4


def test_a_server_that_never_recovers_is_given_up_and_what_it_answered_is_kept():
    data = said(6)
    faults = dict.fromkeys(range(1, 100), "500")
    with EndpointServer(faults) as server:
        with pytest.raises(EndpointError, match=r"no usable answer in 3 tries \(.*fault 500.*what was answered before"):
            encoder(server, batch_size=2, tries=3)(data)
        assert server.requests == 4
        server.faults = {}
        assert torch.equal(encoder(server, batch_size=2)(data), expected(data))
        assert server.served == dict.fromkeys(data.text, 1)


def test_the_time_that_a_server_asks_for_is_waited():
    with EndpointServer({0: "429-later"}) as server:
        began = time.monotonic()
        encoder(server, wait=30.0)(said(2))
        assert time.monotonic() - began < 10, "its own wait is 0.05 seconds"


@pytest.mark.parametrize(
    ("fault", "message"),
    [("400", r"refuses the request: .*fault 400"), ("quota", r"refuses the request: .*fault quota")],
)
def test_what_no_second_try_can_mend_stops_at_once(fault, message):
    with EndpointServer({0: fault}) as server:
        with pytest.raises(RequestError, match=message):
            encoder(server)(said(3))
        assert server.requests == 1


def test_a_wrong_key_stops_at_once_with_one_line_that_does_not_hold_it(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-and-secret")
    with EndpointServer() as server:
        with pytest.raises(RequestError) as caught:
            encoder(server)(said(3))
        assert server.requests == 1
    assert str(caught.value) == f"{server.url} refuses the key in OPENAI_API_KEY; set the variable to a valid one"


def test_nothing_is_sent_that_could_pass_the_budget():
    data = Data(text=[f"{number:030d}" for number in range(40)], num_nodes=40)
    # four texts of 30 bytes are 128 tokens at most, and here 80: after three requests another could pass 288
    with EndpointServer(tokens=20) as server:
        with pytest.raises(EndpointError, match=r"240 of 288 tokens are spent .*raise endpoint.budget to go on"):
            encoder(server, batch_size=4, budget=288)(data)
        assert server.requests == 3
        with pytest.raises(EndpointError, match="240 of 288 tokens are spent"):
            encoder(server, batch_size=4, budget=288)(data)  # what was spent before counts
        assert server.requests == 3
        assert torch.equal(encoder(server, batch_size=4)(data), expected(data))
        assert server.served == dict.fromkeys(data.text, 1)


def test_requests_keep_the_pace():
    with EndpointServer() as server:
        began = time.monotonic()
        encoder(server, batch_size=1, per_minute=600.0)(said(5))
        assert time.monotonic() - began >= 0.4


def test_the_request_is_as_asked():
    with EndpointServer() as server:
        source = encoder(server, dimensions=WIDTH).replace(max_length=10)
        source(Data(text=["a" * 30, "", "b"], num_nodes=3))
        (body,) = server.bodies
        assert body == {"input": ["a" * 10, "b"], "model": "m", "encoding_format": "float", "dimensions": WIDTH}
        with pytest.raises(EndpointError, match="not what was asked for"):
            encoder(server, dimensions=WIDTH + 1, tries=2)(said(2))


def test_requests_that_name_too_little_are_refused():
    for source, message in [
        (EndpointEncoder(), "model is empty"),
        (EndpointEncoder(model="m"), "the address of the endpoint is empty"),
    ]:
        with pytest.raises(RequestError, match=message):
            source(said(2))
    for url, message in [
        ("localhost", "write it as https://host/v1"),
        ("http://me:pw@host/v1", "more than an address"),
    ]:
        with pytest.raises(RequestError, match=message):
            Endpoint(url=url)


def test_a_missing_client_is_named_with_its_extra(monkeypatch):
    endpoint_module._client.cache_clear()
    monkeypatch.setattr(endpoint_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"openai is not installed: pip install 'graphcl\[llm\]'"):
        EndpointEncoder(model="m", endpoint=Endpoint(url="http://127.0.0.1:9/v1"))(said(2))


def test_a_planted_key_is_found_nowhere(tmp_path, monkeypatch, capfd):
    secret = "sk-planted-1f0c9e7b"
    monkeypatch.setenv("OPENAI_API_KEY", secret)
    monkeypatch.setenv("OPENAI_LOG", "debug")
    data = said(20)
    with EndpointServer({0: "500", 1: "html"}, key=secret) as server:
        encoder(server)(data)
        changes = {"source": {"model": "m", "endpoint": {"url": server.url, "wait": 0.01}}}
        record = execute(Run.of("raw", "karate", changes=changes, features="endpoint-encoder"))
        server.key = "another"  # its refusal repeats the key that it was sent
        with pytest.raises(RequestError) as caught:
            encoder(server)(said(30))
    (tmp_path / "record.json").write_text(json.dumps(record))
    (tmp_path / "message").write_text(str(caught.value) + repr(encoder(server)))
    said_aloud = capfd.readouterr()
    (tmp_path / "said").write_text(said_aloud.out + said_aloud.err)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) >= 4
    assert not [path for path in files if secret.encode() in path.read_bytes()]


HARNESS = """
import json, os, random, signal, sys, time
import openai, tenacity, torch
from torch_geometric.data import Data
from graphcl.features import Endpoint, EndpointEncoder, cache_states

url, kills = sys.argv[1], int(sys.argv[2])
count = 5000
data = Data(text=[f"text number {number} {'x' * (number % 37)}" for number in range(count)], num_nodes=count)
source = EndpointEncoder(model="m", endpoint=Endpoint(url=url, wait=0.01), batch_size=32)
rng, landed = random.Random(5), 0
for number in range(kills):
    child = os.fork()
    if child == 0:
        try:
            source(data)
        finally:
            os._exit(0)
    time.sleep(rng.uniform(0.02, 0.25))
    os.kill(child, signal.SIGKILL)
    landed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
rows = sum(state.rows for state in cache_states())
x = source(data)
print(json.dumps({"landed": landed, "rows": rows, "sum": x.double().sum().item(), "x": x[::500].tolist()}))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("kills", [8, pytest.param(30, marks=pytest.mark.slow)])
def test_kills_cost_a_batch_each_at_most(kills):
    data = said(5000)
    with EndpointServer(delay=0.004) as server:
        done = subprocess.run(
            [sys.executable, "-c", HARNESS, server.url, str(kills)],
            capture_output=True, text=True, timeout=240, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert told["landed"] == kills
    assert 0 < told["rows"] < 5000, "the kills fell too late or too early to tell anything"
    whole = expected(data)
    assert told["x"] == whole[::500].tolist()
    assert told["sum"] == whole.double().sum().item()
    assert set(server.sent) == set(data.text)
    again = sum(count - 1 for count in server.sent.values())
    assert again <= kills * 32
