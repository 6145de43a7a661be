"""A config becomes JSON and comes back, and its fields say what they are for.

A config is a frozen dataclass of plain values, tuples and other configs. A union of configs, as in
``PriorConfig = FlowConfig | ...``, is written to JSON with the member's class name under ``"type"``
(`vsep_ray.command_line` reads configs from flags). A field that decides nothing of the result has a role,
said once, at the field, by `option`. A config whose fields do not always act says so by a method ``idle``
(`Conditional`).
"""

import dataclasses
import functools
import hashlib
import json
import types
import typing
from collections.abc import Collection, Mapping
from typing import Any, Literal, TypeVar

T = TypeVar("T")
FORMAT = 3
"""Files of configs, such as a sweep's best.json, have this number; format 1 has none in it (FORMATS.md)."""
Role = Literal["place", "input", "budget", "resource", "manner"]
"""A field with a role decides nothing of the result by its value.

place: where things lie and are shown. input: names data or a model, whose fingerprint counts in its place.
budget: how long to go on. resource: what to take for it. manner: how this one call goes about it.
"""


@typing.runtime_checkable
class Conditional(typing.Protocol):
    """The fields of such a config do not always act."""

    def idle(self) -> dict[str, str]:
        """Returns the fields that cannot act under the others: dotted path -> why, and the cure."""


@typing.runtime_checkable
class Named(typing.Protocol):
    """Some values of such a config have names on the command line."""

    @classmethod
    def named(cls) -> dict[str, Any]:
        """Returns name -> value."""


class UserError(ValueError):
    """A mistake of the user: the message says what was expected, what came, and how to fix it.

    Jobs print it as one line and exit with 2.
    """


def members(union: Any) -> tuple[type, ...]:
    """Returns the classes of a union of configs; a lone class is a union of one.

    Example:
        >>> members(int | str)
        (<class 'int'>, <class 'str'>)
        >>> members(int)
        (<class 'int'>,)
    """
    if typing.get_origin(union) not in (typing.Union, types.UnionType):
        return (union,)
    return tuple(a for a in typing.get_args(union) if a is not type(None))


def to_dict(config: Any) -> Any:
    """Returns a config as JSON-ready values; every dataclass carries its class name under ``"type"``."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        fields = {f.name: to_dict(getattr(config, f.name)) for f in dataclasses.fields(config)}
        return {"type": type(config).__name__, **fields}
    if isinstance(config, (tuple, list)):
        return [to_dict(v) for v in config]
    if isinstance(config, Mapping):
        return {k: to_dict(v) for k, v in config.items()}
    return config


def from_dict(expected: Any, value: Any) -> Any:
    """Inverts `to_dict`, and checks the value against the annotated type ``expected``.

    Raises:
        UserError: an unknown class name, an unknown field, or a value of another type.
    """
    if value is None and type(None) in typing.get_args(expected):
        return None
    if isinstance(value, Mapping) and any(map(dataclasses.is_dataclass, members(expected))):
        return _dataclass_from_dict(expected, value)
    if expected == tuple[str, ...] and isinstance(value, str):  # a field had one name before it had several
        value = [value] if value else []
    if typing.get_origin(expected) is tuple and isinstance(value, (list, tuple)):
        args = typing.get_args(expected)
        inner = args[:1] * len(value) if args[-1] is Ellipsis else args
        if len(inner) != len(value):
            raise UserError(f"expected {len(inner)} values, got {value!r}")
        return tuple(from_dict(t, v) for t, v in zip(inner, value, strict=True))
    return _checked_scalar(expected, value)


def fingerprint(value: Any) -> str:
    """Returns the first 12 hex digits of the SHA-256 of the canonical JSON of a config or of plain values.

    Example:
        >>> fingerprint({"b": 1, "a": 2}) == fingerprint({"a": 2, "b": 1})
        True
    """
    text = json.dumps(to_dict(value), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def option(
    default: Any = dataclasses.MISSING,
    *,
    default_factory: Any = dataclasses.MISSING,
    role: Role | None = None,
    **more: Any,
) -> Any:
    """Makes a field of a config with a role.

    Args:
        default: its value.
        default_factory: it makes the value in the place of ``default``.
        role: what the field is for; None means that it decides the result.
        more: ``short``, a flag without the prefixes of the configs that hold the field; ``first``, that the
            value may stand first on the command line, without a flag; ``needed``, that the field must have
            a value, and what that is; ``least``, ``most`` and ``above``, bounds of a number (the last one is
            excluded); ``was``, the field's
            earlier names, as dotted paths; ``later``, that the field came when results had names already: at
            its default it leaves them as they are.
    """
    metadata = {"role": role, **more}
    return dataclasses.field(default=default, default_factory=default_factory, metadata=metadata)


def fields_with(config: Any, role: Role) -> dict[str, Any]:
    """Returns the fields of a role and their values; fields of configs inside go by their dotted paths.

    Example:
        >>> @dataclasses.dataclass(frozen=True)
        ... class Job:
        ...     steps: int = 3
        ...     storage: str = option("/data", role="place")
        >>> fields_with(Job(), "place")
        {'storage': '/data'}
    """
    found: dict[str, Any] = {}
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if f.metadata.get("role") == role:
            found[f.name] = value
        elif dataclasses.is_dataclass(value):
            found |= {f"{f.name}.{path}": v for path, v in fields_with(value, role).items()}
    return found


def what_counts(config: Any) -> Any:
    """Returns what decides the result, as `to_dict` writes it: the fields without a role, at any depth, but
    for those that came later and have their defaults.
    """
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        return to_dict(config)
    fields = [f for f in dataclasses.fields(config) if not f.metadata.get("role")]
    kept = [f.name for f in fields if not (f.metadata.get("later") and getattr(config, f.name) == f.default)]
    return {"type": type(config).__name__, **{name: what_counts(getattr(config, name)) for name in kept}}


def idle(config: Any) -> dict[str, str]:
    """Returns the fields that cannot act under the config's other values: dotted path -> why, and the cure.

    A config says so of itself and of what it holds by a method ``idle`` of this form, in which flags begin at
    that config: ``--steps 4`` becomes ``--refinement.steps 4`` above it.
    """
    found: dict[str, str] = config.idle() if isinstance(config, Conditional) else {}
    for name, value in vars(config).items():
        if dataclasses.is_dataclass(value) and name not in found:
            flag = f"--{name.replace('_', '-')}."
            found |= {f"{name}.{path}": why.replace("--", flag) for path, why in idle(value).items()}
    return found


def settled(config: T, typed: Collection[str] = ()) -> T:
    """Returns the config with its defaults wherever a field cannot act: equal configs do equal things.

    Args:
        config: any.
        typed: dotted paths of the fields that a person set, which are refused rather than dropped.

    Raises:
        UserError: a typed field cannot act; with the cure.
    """
    found = idle(config)
    for path, why in found.items():
        for name in typed:
            if f"{name}.".startswith(f"{path}."):
                raise UserError(f"--{name.replace('_', '-')} is not used here: {why}")
    left = functools.reduce(_with_default, found, config)
    return left if left == config else settled(left, typed)  # what is dropped may leave more that cannot act


def _with_default(config: Any, path: str) -> Any:
    name, _, rest = path.partition(".")
    value = _with_default(getattr(config, name), rest) if rest else getattr(type(config)(), name)
    return dataclasses.replace(config, **{name: value})


def replace_path(config: T, path: str, value: Any) -> T:
    """Returns a copy with a field set by its dotted path, as in ``replace_path(c, "prior.steps", 8)``.

    Raises:
        UserError: no such field, or a value of another type.
    """
    name, _, rest = path.partition(".")
    hints = typing.get_type_hints(type(config))
    if name not in hints:
        raise UserError(f"no field {name!r} in {type(config).__name__}; it has {', '.join(hints) or 'none'}")
    new = replace_path(getattr(config, name), rest, value) if rest else from_dict(hints[name], value)
    return dataclasses.replace(config, **{name: new})  # type: ignore[type-var]


def short_name(config: type) -> str:
    """Returns the name of a config class on the command line: ``WaveNetConfig`` is ``wavenet``."""
    return config.__name__.removesuffix("Config").lower()


def _dataclass_from_dict(expected: Any, value: Mapping[str, Any]) -> Any:
    classes = {c.__name__: c for c in members(expected)}
    name = value.get("type", next(iter(classes)) if len(classes) == 1 else None)
    if name not in classes:
        raise UserError(f"expected one of {', '.join(classes)} in this config, got type {name!r}")
    hints = typing.get_type_hints(classes[name])
    unknown = set(value) - set(hints) - {"type"}
    if unknown:
        raise UserError(f"{name} has no field {', '.join(sorted(unknown))}; it has {', '.join(hints)}")
    return classes[name](**{k: from_dict(hints[k], v) for k, v in value.items() if k != "type"})


def _checked_scalar(expected: Any, value: Any) -> Any:
    if float in members(expected) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not any(_fits(member, value) for member in members(expected)):
        raise UserError(f"expected {expected}, got {value!r}")
    return value


def _fits(member: Any, value: Any) -> bool:
    if member is Any:
        return True
    if typing.get_origin(member) is typing.Literal:
        return value in typing.get_args(member)
    # a bool is an int in Python, not in a config
    runtime = typing.get_origin(member) or member
    return isinstance(value, runtime) and (runtime is bool or not isinstance(value, bool))
