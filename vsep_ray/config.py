"""Frozen dataclass <-> JSON <-> command line, in one place.

A config is a frozen dataclass of plain values, tuples and other configs. A union of configs (``PriorConfig = FlowConfig | ...``)
is written to JSON with the member's class name under ``"type"`` and chosen on the command line by ``--field name``.
"""

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


class UserError(ValueError):
    """The user's mistake: what was expected, what came, how to fix it. Jobs print it as one line and exit with 2."""


def members(union: Any) -> tuple[type, ...]:
    """The classes of a union of configs; a lone class is a union of one.

    Example:
        >>> members(int | str)
        (<class 'int'>, <class 'str'>)
        >>> members(int)
        (<class 'int'>,)
    """
    return tuple(a for a in typing.get_args(union) if a is not type(None)) if _is_union(union) else (union,)


def to_dict(config: Any) -> Any:
    """A config as JSON-ready values; every dataclass carries its class name under ``"type"``."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        fields = {f.name: to_dict(getattr(config, f.name)) for f in dataclasses.fields(config)}
        return {"type": type(config).__name__, **fields}
    if isinstance(config, (tuple, list)):
        return [to_dict(v) for v in config]
    if isinstance(config, Mapping):
        return {k: to_dict(v) for k, v in config.items()}
    return config


def from_dict(expected: Any, value: Any) -> Any:
    """The inverse of `to_dict`, checked against the annotated type ``expected``.

    Raises:
        UserError: an unknown class name, an unknown field, or a value of another type.
    """
    if _is_union(expected) and value is None:
        return None
    if isinstance(value, Mapping) and any(map(dataclasses.is_dataclass, members(expected))):
        return _dataclass_from_dict(expected, value)
    if typing.get_origin(expected) is tuple and isinstance(value, (list, tuple)):
        args = typing.get_args(expected)
        inner = args[:1] * len(value) if args[-1] is Ellipsis else args
        return tuple(from_dict(t, v) for t, v in zip(inner, value, strict=True))
    return _checked_scalar(expected, value)


def fingerprint(value: Any) -> str:
    """The first 12 hex digits of the SHA-256 of the canonical JSON of a config or of plain values.

    Example:
        >>> fingerprint({"b": 1, "a": 2}) == fingerprint({"a": 2, "b": 1})
        True
    """
    text = json.dumps(to_dict(value), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def replace_path(config: T, path: str, value: Any) -> T:
    """A copy of ``config`` with the field at a dotted ``path`` set, as in ``replace_path(c, "prior.steps", 8)``.

    Raises:
        UserError: no such field.
    """
    name, _, rest = path.partition(".")
    names = [f.name for f in dataclasses.fields(config)]  # type: ignore[arg-type]
    if name not in names:
        raise UserError(f"no field {name!r} in {type(config).__name__}; it has {', '.join(names)}")
    new = replace_path(getattr(config, name), rest, value) if rest else value
    return dataclasses.replace(config, **{name: new})  # type: ignore[type-var]


def parse(config_type: type[T], args: Sequence[str], presets: Mapping[str, T], description: str = "") -> T:
    """Read a config from the command line, on top of the preset that ``--preset`` names.

    ``--field name`` chooses the member of a union field (``--prior wavenet`` for ``WaveNetConfig``), after which the member's own fields are
    ``--field.x``. ``--help`` prints every field with its default.

    Raises:
        UserError: an unknown preset or union member.
        SystemExit: with 2 on unknown flags or ill-typed values, with 0 after ``--help``.
    """
    import tyro

    args = list(args)
    default = _take_preset(args, presets)
    for field, annotation in typing.get_type_hints(config_type).items():
        if len(members(annotation)) > 1 and all(map(dataclasses.is_dataclass, members(annotation))):
            default = _take_member(args, default, field, members(annotation))
    return tyro.cli(config_type, args=args, default=default, description=description, config=(tyro.conf.AvoidSubcommands,))


def _take_preset(args: list[str], presets: Mapping[str, T]) -> T:
    name = _value_of(args, "--preset", remove=False) or next(iter(presets))
    if name not in presets:
        raise UserError(f"--preset {name} is unknown; there are {', '.join(presets)}")
    return presets[name]


def _take_member(args: list[str], default: T, field: str, choices: tuple[type, ...]) -> T:
    name = _value_of(args, f"--{field.replace('_', '-')}", remove=True)
    if name is None:
        return default
    by_name = {short_name(c): c for c in choices}
    if name not in by_name:
        raise UserError(f"--{field} {name} is unknown; there are {', '.join(by_name)}")
    return dataclasses.replace(default, **{field: by_name[name]()})  # type: ignore[type-var]


def short_name(config: type) -> str:
    """The name of a config class on the command line: ``WaveNetConfig`` is ``wavenet``."""
    return config.__name__.removesuffix("Config").lower()


def _value_of(args: list[str], flag: str, remove: bool) -> str | None:
    for i, arg in enumerate(args):
        if arg == flag and i + 1 < len(args):
            value = args[i + 1]
            if remove:
                del args[i : i + 2]
            return value
        if arg.startswith(flag + "="):
            if remove:
                del args[i]
            return arg.partition("=")[2]
    return None


def _is_union(t: Any) -> bool:
    return typing.get_origin(t) in (typing.Union, types.UnionType)


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
    allowed = tuple(_runtime_type(m) for m in members(expected))
    if typing.get_origin(expected) is typing.Literal:
        if value not in typing.get_args(expected):
            raise UserError(f"expected one of {typing.get_args(expected)}, got {value!r}")
        return value
    if float in allowed and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        raise UserError(f"expected {expected}, got {value!r}")
    return value


def _runtime_type(t: Any) -> type:
    origin = typing.get_origin(t)
    return object if t is Any or origin is typing.Literal else (origin or t)
