"""Frozen dataclass <-> JSON <-> command line, in one place.

A config is a frozen dataclass of plain values, tuples and other configs. A union of configs, as in
``PriorConfig = FlowConfig | ...``, is written to JSON with the member's class name under ``"type"`` and is
chosen on the command line by ``--field name``.
"""

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


class UserError(ValueError):
    """The user's mistake: what was expected, what came, how to fix it.

    Jobs print it as one line and exit with 2.
    """


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
    if value is None and type(None) in typing.get_args(expected):
        return None
    if isinstance(value, Mapping) and any(map(dataclasses.is_dataclass, members(expected))):
        return _dataclass_from_dict(expected, value)
    if typing.get_origin(expected) is tuple and isinstance(value, (list, tuple)):
        args = typing.get_args(expected)
        inner = args[:1] * len(value) if args[-1] is Ellipsis else args
        if len(inner) != len(value):
            raise UserError(f"expected {len(inner)} values, got {value!r}")
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
    """A copy of ``config`` with a field set by its dotted path, as in ``replace_path(c, "prior.steps", 8)``.

    Raises:
        UserError: no such field, or a value of another type.
    """
    name, _, rest = path.partition(".")
    hints = typing.get_type_hints(type(config))
    if name not in hints:
        raise UserError(f"no field {name!r} in {type(config).__name__}; it has {', '.join(hints) or 'none'}")
    new = replace_path(getattr(config, name), rest, value) if rest else from_dict(hints[name], value)
    return dataclasses.replace(config, **{name: new})  # type: ignore[type-var]


def parse(config_type: type[T], args: Sequence[str], presets: Mapping[str, T], description: str = "") -> T:
    """Read a config from the command line, on top of the preset that ``--preset`` names.

    ``--field name`` chooses the member of a union of configs (``--prior flow`` for ``FlowConfig``), at any
    depth (``--separator.posterior factorisednormal``); the member's own fields are ``--field.x``. ``--help``
    prints the presets, the unions, and every field with its default.

    Raises:
        UserError: an unknown preset or union member.
        SystemExit: with 2 on unknown flags or ill-typed values, with 0 after ``--help``.
    """
    import tyro

    args = list(args)
    default = _take_members(args, _take_preset(args, presets))
    choices = [f"    --preset {{{','.join(presets)}}}", *_choices(default)]
    text = "\n".join(
        [description.rstrip(), "", "Choices; the fields below are those of the chosen:", *choices]
    )
    return tyro.cli(
        config_type, args=args, default=default, description=text, config=(tyro.conf.AvoidSubcommands,)
    )


def _choices(config: Any, prefix: str = "--") -> Iterator[str]:
    """A line for each union of configs."""
    for field, annotation in typing.get_type_hints(type(config)).items():
        if all(map(dataclasses.is_dataclass, members(annotation))):
            flag = prefix + field.replace("_", "-")
            names = [short_name(member) for member in members(annotation)]
            if len(names) > 1:
                yield f"    {flag} {{{','.join(names)}}}"
            yield from _choices(getattr(config, field), flag + ".")


def _take_preset(args: list[str], presets: Mapping[str, T]) -> T:
    name = value_of(args, "--preset") or next(iter(presets))
    if name not in presets:
        raise UserError(f"--preset {name} is unknown; there are {', '.join(presets)}")
    return presets[name]


def _take_members(args: list[str], config: Any, prefix: str = "--") -> Any:
    for field, annotation in typing.get_type_hints(type(config)).items():
        if all(map(dataclasses.is_dataclass, members(annotation))):
            flag = prefix + field.replace("_", "-")
            member = _take_member(args, getattr(config, field), flag, members(annotation))
            config = dataclasses.replace(config, **{field: _take_members(args, member, flag + ".")})
    return config


def _take_member(args: list[str], default: Any, flag: str, choices: tuple[type, ...]) -> Any:
    name = value_of(args, flag, remove=True)
    by_name = {short_name(c): c for c in choices}
    if name is not None and name not in by_name:
        raise UserError(f"{flag} {name} is unknown; there are {', '.join(by_name)}")
    return default if name is None or type(default) is by_name[name] else by_name[name]()


def short_name(config: type) -> str:
    """The name of a config class on the command line: ``WaveNetConfig`` is ``wavenet``."""
    return config.__name__.removesuffix("Config").lower()


def value_of(args: list[str], flag: str, remove: bool = False) -> str | None:
    """The value of a flag among the arguments, None where it is not there."""
    for i, arg in enumerate(args):
        name, equals, value = arg.partition("=")
        if name.replace("_", "-") == flag and (equals or i + 1 < len(args)):
            words = [value] if equals else args[i : i + 2]
            if remove:
                del args[i : i + len(words)]
            return words[-1]
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
