"""Hyper-parameters as data: a frozen dataclass is the configuration, its repr, its hash and its file form.

A `Config` is checked when it is built, so a value out of range is refused at the line that wrote it. `decode` and
`encode` carry it to and from plain JSON/TOML values; pydantic does the checking in strict mode, where a string is
never quietly read as a number and an unknown key is an error that names the known ones.
"""

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Self, TypeVar, get_type_hints

import annotated_types as at
from pydantic import ConfigDict, TypeAdapter, ValidationError

from graphcl.errors import RequestError, UnknownNameError

__all__ = [
    "BelowOne",
    "Config",
    "NonNegative",
    "Positive",
    "Rate",
    "Seed",
    "Size",
    "decode",
    "digest",
    "encode",
    "merged",
    "parse_setting",
    "updated",
    "valid",
]

BelowOne = Annotated[float, at.Interval(ge=0.0, lt=1.0)]
"""Share that must leave something: a training without any edge or feature is refused."""
Rate = Annotated[float, at.Interval(ge=0.0, le=1.0)]
"""Probability that something is removed, added or changed: 0 leaves everything as it is, 1 spares nothing."""
Positive = Annotated[float, at.Gt(0.0)]
NonNegative = Annotated[float, at.Ge(0.0)]
Size = Annotated[int, at.Ge(1)]
Seed = Annotated[int, at.Ge(0)]

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True)

C = TypeVar("C", bound="Config")


class Config:
    """Root of every hyper-parameter set; subclasses are ``@dataclass(frozen=True)``.

    Raises:
        RequestError: when built with a value of the wrong type or out of range.

    Example:
        >>> @dataclasses.dataclass(frozen=True)
        ... class Noise(Config):
        ...     rate: Rate = 0.1
        >>> Noise(rate=1.5)
        Traceback (most recent call last):
        graphcl.errors.RequestError: Noise.rate = 1.5: input should be less than or equal to 1
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    def __post_init__(self) -> None:
        for name, adapter in _adapters(type(self)).items():  # type: ignore[arg-type]
            value = getattr(self, name)
            try:
                # the checked value is kept: 1 for a float becomes 1.0, so that equal settings have one digest
                object.__setattr__(self, name, adapter.validate_python(value, strict=True))
            except ValidationError as error:
                raise RequestError(f"{type(self).__name__}.{_describe(name, value, error)}") from None

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed; unknown names are refused with the nearest known one."""
        known = _fields(type(self))
        for key in changes:
            if key not in known:
                raise UnknownNameError(f"parameter of {type(self).__name__}", key, known)
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]


def _fields(cls: type) -> list[str]:
    return [field.name for field in dataclasses.fields(cls) if field.init]


@cache
def _adapters(cls: Any) -> dict[str, TypeAdapter[Any]]:
    hints = get_type_hints(cls, include_extras=True)
    own = {}
    for name in _fields(cls):
        hint = hints[name]
        nested = isinstance(hint, type) and issubclass(hint, Config)
        own[name] = TypeAdapter(hint) if nested else TypeAdapter(hint, config=_STRICT)
    return own


@cache
def _plain_hints(cls: Any) -> dict[str, Any]:
    return get_type_hints(cls)


def _describe(name: str, value: object, error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    message = first["msg"][0].lower() + first["msg"][1:]
    # the repr of a module has many lines
    shown = " ".join(repr(value).split())
    return f"{name}{where} = {shown if len(shown) <= 300 else shown[:299] + '…'}: {message}"


def valid(cls: type, name: str, value: object, hint: Any) -> Any:
    """A constructor's argument, checked as a field of a `Config` is: for classes that are modules and no dataclass.

    Args:
        cls: whose argument it is, for the message.
        name: of the argument.
        value: given.
        hint: the type it must have, such as `Size`.

    Raises:
        RequestError: a value of the wrong type or out of range.

    Example:
        >>> valid(dict, "order", 0, Size)
        Traceback (most recent call last):
        graphcl.errors.RequestError: dict.order = 0: input should be greater than or equal to 1
    """
    try:
        return TypeAdapter(hint, config=_STRICT).validate_python(value)
    except ValidationError as error:
        raise RequestError(f"{cls.__name__}.{_describe(name, value, error)}") from None


def decode(cls: type[C], values: Mapping[str, Any]) -> C:
    """Build a `Config` from plain JSON/TOML values.

    Args:
        cls: the dataclass to build.
        values: field name to value; nested configs are nested mappings, tuples are lists. Missing fields keep their
            default.

    Raises:
        UnknownNameError: a key that is not a field, naming the nearest.
        RequestError: a value of the wrong type or out of range, or a field without default that is missing.
    """
    adapters, hints = _adapters(cls), _plain_hints(cls)  # type: ignore[arg-type]
    built: dict[str, Any] = {}
    for key, value in values.items():
        if key not in adapters:
            raise UnknownNameError(f"parameter of {cls.__name__}", key, adapters)
        hint = hints[key]
        if isinstance(hint, type) and issubclass(hint, Config) and isinstance(value, Mapping):
            built[key] = decode(hint, value)
            continue
        try:
            built[key] = adapters[key].validate_json(json.dumps(value), strict=True)
        except ValidationError as error:
            raise RequestError(f"{cls.__name__}.{_describe(key, value, error)}") from None
        except TypeError:
            raise RequestError(f"{cls.__name__}.{key} = {value!r}: not a plain JSON value") from None
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if field.init and required and field.name not in built:
            raise RequestError(f"{cls.__name__}.{field.name} is missing and has no default")
    return cls(**built)


def encode(config: Config) -> dict[str, Any]:
    """The plain JSON form of a config: every field, nested configs as mappings, tuples as lists."""
    values = dataclasses.asdict(config)  # type: ignore[call-overload]
    return json.loads(json.dumps({name: values[name] for name in _fields(type(config))}))


def digest(values: Mapping[str, Any], length: int = 16) -> str:
    """SHA-256 of the canonical JSON form (sorted keys, no spaces), shortened to ``length`` hex digits."""
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:length]


def parse_setting(text: str) -> tuple[list[str], Any]:
    """Read one ``path=value`` of the command line: a dotted path and a TOML value (a bare word is a string).

    Example:
        >>> parse_setting("plan.epochs=20")
        (['plan', 'epochs'], 20)
        >>> parse_setting("features=row")
        (['features'], 'row')
    """
    path, separator, value = text.partition("=")
    if not separator or not path.strip():
        raise RequestError(f"setting '{text}': write it as path=value, for example --set temperature=0.4")
    parts = [part.strip() for part in path.split(".")]
    if not all(parts):
        raise RequestError(f"setting '{text}': an empty name in its path; write it as plan.epochs=20")
    try:
        (parsed,) = tomllib.loads(f"value = {value}").values()
    except ValueError:  # no TOML, or more than one line of it
        parsed = value.strip()
    return parts, parsed


def updated(config: C, changes: Mapping[str, Any]) -> C:
    """A copy with plain values merged in, nested configs field by field.

    Raises:
        UnknownNameError: a key that is not a field.
        RequestError: a value of the wrong type or out of range.
    """
    return decode(type(config), merged(encode(config), changes))


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Changes over plain values, mapping by mapping.

    Example:
        >>> merged({"dim": 8, "plan": {"lr": 0.1, "epochs": 3}}, {"plan": {"lr": 0.2}})
        {'dim': 8, 'plan': {'lr': 0.2, 'epochs': 3}}
    """
    out = dict(old)
    for key, value in new.items():
        plain = encode(value) if isinstance(value, Config) else value
        both = isinstance(plain, Mapping) and isinstance(out.get(key), Mapping)
        out[key] = merged(out[key], plain) if both else plain
    return out
