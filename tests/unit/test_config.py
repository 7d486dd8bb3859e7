"""Hyper-parameters as data: strict in, plain out, and a digest that never moves."""

import dataclasses
import datetime
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcl.config import Config, Positive, Rate, Size, decode, digest, encode, parse_setting, updated
from graphcl.errors import RequestError, UnknownNameError
from graphcl.plan import Plan


@dataclasses.dataclass(frozen=True)
class Inner(Config):
    rate: Rate = 0.25
    size: Size = 3


@dataclasses.dataclass(frozen=True)
class Outer(Config):
    temperature: Positive = 0.5
    pair: tuple[Rate, Rate] = (0.1, 0.2)
    blocks: tuple[str, ...] = ("x",)
    by_part: dict[str, Positive] | None = None
    flag: bool = False
    inner: Inner = Inner()


WRONG = [
    ({"temperature": "0.5"}, "Outer.temperature = '0.5': input should be a valid number"),
    ({"temperature": True}, "Outer.temperature = True: input should be a valid number"),
    ({"temperature": None}, "Outer.temperature = None: input should be a valid number"),
    ({"temperature": 0}, "Outer.temperature = 0: input should be greater than 0"),
    ({"temperature": math.nan}, "Outer.temperature = nan: input should be a finite number"),
    ({"temperature": math.inf}, "Outer.temperature = inf: input should be a finite number"),
    ({"pair": [0.1, 1.1]}, "Outer.pair[1] = [0.1, 1.1]: input should be less than or equal to 1"),
    ({"pair": [0.1]}, "Outer.pair[1] = [0.1]: field required"),
    ({"blocks": ["x", 3]}, "Outer.blocks[1] = ['x', 3]: input should be a valid string"),
    ({"by_part": {"a": -1.0}}, "Outer.by_part.a = {'a': -1.0}: input should be greater than 0"),
    ({"flag": 1}, "Outer.flag = 1: input should be a valid boolean"),
    ({"inner": {"size": 2.0}}, "Inner.size = 2.0: input should be a valid integer"),
    ({"inner": {"size": True}}, "Inner.size = True: input should be a valid integer"),
    ({"inner": {"size": 0}}, "Inner.size = 0: input should be greater than or equal to 1"),
    ({"inner": {"rate": -0.1}}, "Inner.rate = -0.1: input should be greater than or equal to 0"),
    ({"inner": 3}, "Outer.inner = 3: input should be an object"),
]


@pytest.mark.parametrize(("values", "message"), WRONG, ids=[message for _, message in WRONG])
def test_wrong_values_are_refused_naming_field_and_rule(values, message):
    with pytest.raises(RequestError) as caught:
        decode(Outer, values)
    assert str(caught.value) == message


def test_what_is_no_json_value_is_refused_in_words():
    with pytest.raises(RequestError, match=r"^Outer\.temperature = .*2020.*: not a plain JSON value$"):
        decode(Outer, {"temperature": datetime.date(2020, 1, 1)})


@pytest.mark.parametrize("value", [math.nan, math.inf, "0.5", 0.0, None])
def test_a_constructor_checks_like_decode(value):
    with pytest.raises(RequestError, match=r"^Outer\.temperature = "):
        Outer(temperature=value)


def test_an_unknown_key_names_the_nearest():
    expected = "unknown parameter of Outer 'temprature': did you mean 'temperature'? Known: blocks, by_part, flag, "
    with pytest.raises(UnknownNameError) as caught:
        decode(Outer, {"temprature": 1.0})
    assert str(caught.value) == expected + "inner, pair, temperature"


def test_an_unknown_key_of_a_nested_config_names_its_own_class():
    with pytest.raises(UnknownNameError) as caught:
        updated(Outer(), {"inner": {"siez": 4}})
    assert str(caught.value) == "unknown parameter of Inner 'siez': did you mean 'size'? Known: rate, size"


def test_replace_refuses_an_unknown_field():
    with pytest.raises(UnknownNameError, match="did you mean 'flag'"):
        Outer().replace(flagg=True)
    assert Outer().replace(flag=True) == Outer(flag=True)


def test_replace_checks_values():
    with pytest.raises(RequestError, match=r"Outer\.temperature = -1\.0"):
        Outer().replace(temperature=-1.0)


def test_whole_numbers_become_what_the_field_is():
    # else temperature=1 and temperature=1.0 would be two runs with two ids
    made = Outer(temperature=1)
    assert isinstance(made.temperature, float)
    assert digest(encode(made)) == digest(encode(Outer(temperature=1.0)))
    assert digest(encode(decode(Outer, {"temperature": 1}))) == digest(encode(made))


def test_numpy_numbers_become_plain_ones():
    made = Outer(temperature=np.float64(0.25))
    assert type(json.loads(json.dumps(encode(made)))["temperature"]) is float
    assert encode(made)["temperature"] == 0.25


def test_updated_merges_nested_plans_field_by_field():
    start = Outer(inner=Inner(rate=0.5, size=7), pair=(0.3, 0.4))
    assert updated(start, {"inner": {"size": 9}}) == Outer(inner=Inner(rate=0.5, size=9), pair=(0.3, 0.4))
    assert start.inner.size == 7


def test_updated_merges_twice_nested_and_replaces_lists_whole():
    start = Outer(by_part={"a": 1.0, "b": 2.0})
    assert updated(start, {"by_part": {"b": 3.0}}).by_part == {"a": 1.0, "b": 3.0}
    assert updated(start, {"blocks": ["y", "z"]}).blocks == ("y", "z")
    assert updated(start, {"by_part": None}).by_part is None
    assert updated(Outer(), {"by_part": {"a": 1}}).by_part == {"a": 1.0}


def test_updated_takes_a_config_as_a_value():
    assert updated(Outer(), {"inner": Inner(rate=0.0, size=1)}).inner == Inner(rate=0.0, size=1)


def test_encode_is_plain_json_with_lists_for_tuples():
    assert encode(Outer()) == {
        "temperature": 0.5,
        "pair": [0.1, 0.2],
        "blocks": ["x"],
        "by_part": None,
        "flag": False,
        "inner": {"rate": 0.25, "size": 3},
    }


rates = st.floats(0, 0.999999, allow_nan=False)
sizes = st.integers(1, 10**9)


@given(
    st.builds(
        Outer,
        temperature=st.floats(1e-300, 1e300),
        pair=st.tuples(rates, rates),
        blocks=st.lists(st.text()).map(tuple),
        by_part=st.none() | st.dictionaries(st.text(), st.floats(1e-9, 1e9)),
        flag=st.booleans(),
        inner=st.builds(Inner, rate=rates, size=sizes),
    )
)
@settings(deadline=None)
def test_every_config_survives_json(config):
    again = decode(Outer, json.loads(json.dumps(encode(config))))
    assert again == config
    assert type(again.pair) is tuple
    assert digest(encode(again)) == digest(encode(config))


def test_the_digest_never_moves():
    # ids of records that are already on somebody's disk hang on these
    assert digest({}) == "44136fa355b3678a"
    assert digest({"b": [1, 2.5, None, True], "a": {"ä": "x"}}) == "848e6e5e603c641a"
    assert digest({"a": {"ä": "x"}, "b": [1, 2.5, None, True]}) == "848e6e5e603c641a"
    # ids leave None out, so that a new setting that does nothing by default moves none of them
    assert digest({key: value for key, value in encode(Plan()).items() if value is not None}) == "d53bd65f6bf13f73"


def test_the_digest_sees_every_value():
    base = encode(Outer())
    changes = [{"temperature": 0.6}, {"pair": [0.2, 0.1]}, {"inner": {"size": 4}}, {"by_part": {"a": 1.0}}]
    seen = {digest(base), *(digest(encode(updated(Outer(), change))) for change in changes)}
    assert len(seen) == 5
    assert digest(base, length=64).startswith(digest(base))
    assert len(digest(base, length=64)) == 64


def test_the_digest_refuses_nan():
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest({"a": math.nan})


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("a=1", ["a"], 1),
        ("a=1.0", ["a"], 1.0),
        ("plan.epochs = 3", ["plan", "epochs"], 3),
        ("a=true", ["a"], True),
        ("a=True", ["a"], "True"),
        ("a=row", ["a"], "row"),
        ('a="1"', ["a"], "1"),
        ("a=", ["a"], ""),
        ("a=[0.1, 0.2]", ["a"], [0.1, 0.2]),
        ("a={b = 1}", ["a"], {"b": 1}),
        ("a=b=c", ["a"], "b=c"),
        ("a=1e-3", ["a"], 0.001),
        ("a=1\nb = 2", ["a"], "1\nb = 2"),
    ],
)
def test_parse_setting(text, path, value):
    found = parse_setting(text)
    assert found == (path, value)
    assert type(found[1]) is type(value)


@pytest.mark.parametrize("text", ["a", "", "=1", "  =1"])
def test_a_setting_without_path_or_value_says_how_to_write_it(text):
    with pytest.raises(RequestError) as caught:
        parse_setting(text)
    assert str(caught.value) == f"setting '{text}': write it as path=value, for example --set temperature=0.4"


@pytest.mark.parametrize("text", ["a..b=1", ".a=1", "a.=1"])
def test_a_setting_with_a_hole_in_its_path_is_refused(text):
    with pytest.raises(RequestError, match="an empty name in its path"):
        parse_setting(text)


def test_configs_are_frozen_and_hashable():
    config = Inner()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.rate = 0.5
    assert len({Inner(), Inner(), Inner(rate=0.5)}) == 2


def test_two_configs_never_share_state():
    first, second = Outer(by_part={"a": 1.0}), Outer(by_part={"a": 1.0})
    first.by_part["a"] = 9.0
    assert second.by_part == {"a": 1.0}


def test_a_config_does_not_share_a_mapping_with_its_caller():
    mine = {"a": 1.0}
    config = Outer(by_part=mine)
    mine["a"] = -1.0
    assert config.by_part == {"a": 1.0}


@pytest.mark.parametrize("epochs", [-1, -100])
def test_a_plan_refuses_negative_epochs(epochs):
    with pytest.raises(RequestError, match=rf"^Plan\.epochs = {epochs}: input should be 0 or more$"):
        Plan(epochs=epochs)


def test_a_plan_without_cuda_says_so(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert Plan(device="auto").torch_device().type == "cpu"
    with pytest.raises(RequestError) as caught:
        Plan(device="cuda").torch_device()
    assert str(caught.value) == "Plan.device = 'cuda': torch sees no CUDA device; use 'auto' or 'cpu'"


def test_a_plan_takes_cuda_where_there_is_one(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert [Plan(device=device).torch_device().type for device in ("auto", "cpu", "cuda")] == ["cuda", "cpu", "cuda"]
