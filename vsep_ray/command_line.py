"""Configs are read from the command line: presets, members of unions, fields, and words for mistakes."""

import contextlib
import dataclasses
import io
import itertools
import re
import typing
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from vsep_ray.config import Named, UserError, members, settled, short_name

T = TypeVar("T")
GLOB = "songs/*.mp3"
CHOICE = re.compile(r"invalid choice '(.*)' for argument '(.*)'\. Expected one of \((.*)\)\.")
"""tyro's words for a value that is none of a few."""
PLAIN = {
    r": invalid literal for int\(\) with base 10: ": " takes a whole number, got ",
    r": could not convert string to float: ": " takes a number, got ",
    r"^Error parsing \w+: ": "",
    r"^Unrecognized options: (.*?)(, [^-].*)?$": r"\1 is unknown",
}
"""Words of Python's and tyro's, as regular expressions, and what they mean."""
MOST_CURES = 3
"""A message names at most this number of flags."""


def parse(config_type: type[T], args: Sequence[str], presets: Mapping[str, T], description: str = "") -> T:
    """Reads a config from the command line, on top of the preset that ``--preset`` names.

    ``--field name`` chooses the member of a union of configs (``--prior flow`` for ``FlowConfig``), at any
    depth (``--separator.posterior factorisednormal``), or a value that a member has a name for (``--prior
    nice``, see `config.Named`); the member's own fields are ``--field.x``. ``--help``
    prints the presets, the unions, and every field with its default. What the preset sets and cannot act
    under the other values is dropped (`config.settled`).

    Raises:
        UserError: an unknown flag, preset or union member; a value of another type; a flag that another
            choice has, or that cannot act under the chosen values, with the cure.
        SystemExit: with 0 after ``--help``.
    """
    import tyro

    args = _spelled_out(args, config_type)
    typed = [_path(arg) for arg in args if arg.startswith("--")]
    preset = value_of(args, "--preset") or next(iter(presets))
    if preset not in presets:
        raise UserError(f"--preset {preset} is unknown; there are {', '.join(presets)}")
    default = _take_members(args, presets[preset])
    _refuse_strangers(args, config_type, default)
    choices = [f"    --preset {{{','.join(presets)}}}", *_choices(default)]
    text = [description.rstrip(), "", "Choices; the fields below are those of the chosen:", *choices]
    simple = (tyro.conf.AvoidSubcommands,)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            config = tyro.cli(
                config_type, args=args, default=default, description="\n".join(text), config=simple
            )
    except SystemExit as end:
        if not end.code:  # --help
            raise
        raise UserError(f"{_sentence(said.getvalue())} (--help lists all flags)") from None
    return settled(config, typed)


def _sentence(box: str) -> str:
    """Returns what tyro says of a mistake, without the box around it and the help below it, and in words
    where Python's own come through.

    Example:
        >>> _sentence("+- Value error ----+\\n| Error parsing --steps: could not convert |\\n"
        ...           "| string to float: 'many' |\\n| ------- |\\n| Argument helptext: |")
        "--steps takes a number, got 'many'"
        >>> _sentence("+- Unrecognized ----+\\n| Unrecognized options: --modle |\\n| ------- |\\n"
        ...           "| Perhaps you meant: |\\n| --model STR |")
        '--modle is unknown; perhaps you meant --model'
    """
    lines = [line.strip("|│╭╮╰╯+ ") for line in box.splitlines()]
    lines = [line for line in lines if line and not (line.startswith(("- ", "─ ")) and line[-1] in "-─")]
    blocks = [block.strip() for block in re.split("[-─]{5,}", " ".join(lines)) if block.strip()]
    titled = len(blocks) > 1 and not set(blocks[0]) & set(":'\"")  # else the title is in the frame
    sentence = re.sub(r"^Error parsing (\w+: (?=--)|(?=--))", "", blocks[titled])
    for pythons, ours in PLAIN.items():
        sentence = re.sub(pythons, ours, sentence)
    if choice := CHOICE.fullmatch(sentence):
        sentence = f"{choice[2]} {choice[1]} is unknown; there are {choice[3].replace(chr(39), '')}"
    meant = [lines[i + 1].split()[0] for i, line in enumerate(lines[:-1]) if line == "Perhaps you meant:"]
    return "; perhaps you meant ".join([sentence, *meant])


def _choices(config: Any, prefix: str = "--") -> Iterator[str]:
    """Yields a line for each union of configs."""
    for field, annotation in typing.get_type_hints(type(config)).items():
        if all(map(dataclasses.is_dataclass, members(annotation))):
            flag = prefix + field.replace("_", "-")
            names = list(_made(members(annotation)))
            if len(names) > 1:
                yield f"    {flag} {{{','.join(names)}}}"
            yield from _choices(getattr(config, field), flag + ".")


def _take_members(args: list[str], config: Any, prefix: str = "--") -> Any:
    """Returns the config with the chosen members of its unions; their flags are taken from the arguments."""
    for field, annotation in typing.get_type_hints(type(config)).items():
        if all(map(dataclasses.is_dataclass, members(annotation))):
            flag = prefix + field.replace("_", "-")
            name, made = value_of(args, flag, remove=True), _made(members(annotation))
            if name is not None and name not in made:
                raise UserError(f"{flag} {name} is unknown; there are {', '.join(made)}")
            member = getattr(config, field)
            if name not in (None, short_name(type(member))):
                member = made[name]
            config = dataclasses.replace(config, **{field: _take_members(args, member, flag + ".")})
    return config


def _made(choices: Sequence[type]) -> dict[str, Any]:
    """Returns what ``--field NAME`` may say: members of a union, and values that a member has names for."""
    named = {n: v for c in choices if issubclass(c, Named) for n, v in c.named().items()}
    return {short_name(c): c() for c in choices} | named


def value_of(args: list[str], flag: str, remove: bool = False) -> str | None:
    """Returns the value of a flag among the arguments, None where it is not there."""
    for i, arg in enumerate(args):
        name, equals, value = arg.partition("=")
        if name.replace("_", "-") == flag and (equals or i + 1 < len(args)):
            words = [value] if equals else args[i : i + 2]
            if remove:
                del args[i : i + len(words)]
            return words[-1]
    return None


class _Flag(NamedTuple):
    """A flag sets a field of a config, which is there if some members of unions are chosen.

    Attributes:
        path: the field's dotted path.
        known: the path, and the paths that it had under earlier names.
        choices: path and name of each member to choose.
        short: the flag without prefixes that stands for it, or "".
    """

    path: str
    known: tuple[str, ...]
    choices: tuple[tuple[str, str], ...]
    short: str


_ROOT = _Flag("", ("",), (), "")


def _flags(config_type: type, above: _Flag = _ROOT) -> Iterator[_Flag]:
    """Yields all fields of a config at any depth, whatever is chosen."""
    hints = typing.get_type_hints(config_type)
    for field in dataclasses.fields(config_type):
        names = (field.name, *field.metadata.get("was", ()))
        known = tuple(f"{path}.{name}".lstrip(".") for path in above.known for name in names)
        path, inner = f"{above.path}.{field.name}".lstrip("."), members(hints[field.name])
        yield _Flag(path, known, above.choices, field.metadata.get("short", ""))
        for member in filter(dataclasses.is_dataclass, inner):
            chosen = ((path, short_name(member)),) if len(inner) > 1 else ()
            yield from _flags(member, _Flag(path, known, above.choices + chosen, ""))


def _spelled_out(args: Sequence[str], config_type: type) -> list[str]:
    """Returns the arguments with every short form of a flag replaced by its path; what stands first without
    a flag is the value of the field that says so (``first``).
    """
    first = [f.name for f in dataclasses.fields(config_type) if f.metadata.get("first")]
    alone = list(itertools.takewhile(lambda arg: not arg.startswith("-"), args))
    if len(alone) > len(first):
        if not first:
            raise UserError(f"{alone[0]} stands alone, where a flag such as --preset is expected")
        several = f"; for several name their folder, or a glob in quotes, such as '{GLOB}'"
        raise UserError(f"{alone[1]} is one name too many beside {alone[0]}{several}")
    if alone:
        args = [f"--{first[0]}", *args]
    short = {f"--{f.short}": f.path for f in _flags(config_type) if f.short}
    pairs = (arg.partition("=") for arg in args)
    return [(f"--{short[name]}" if name in short else name) + equals + value for name, equals, value in pairs]


def _path(arg: str) -> str:
    """Returns the dotted path of the field that a flag sets."""
    return arg[2:].partition("=")[0].replace("-", "_").replace(".no_", ".").removeprefix("no_")


def _refuse_strangers(args: Sequence[str], config_type: type, chosen: Any) -> None:
    """Refuses a flag that exists only under another choice; tyro refuses all others.

    Raises:
        UserError: a flag does nothing here; the message has the flags to type.
    """
    flags = list(_flags(config_type))
    here = {f.path for f in flags if all(_is_chosen(chosen, *choice) for choice in f.choices)}
    for i, arg in enumerate(args):
        if arg.startswith("--") and _path(arg) not in here and (found := _meant(_path(arg), flags, here)):
            cures = " or ".join(_cure(flag, here, args[i:]) for flag in found[:MOST_CURES])
            typed = f"--{found[0].short}" if found[0].short else arg
            raise UserError(f"{typed} is not used here; say {cures}")


def _is_chosen(config: Any, path: str, name: str) -> bool:
    for part in path.split("."):
        config = getattr(config, part, None)
    return config is not None and short_name(type(config)) == name


def _meant(name: str, flags: Sequence[_Flag], here: Collection[str]) -> list[_Flag]:
    """Returns the flags that somebody who types ``--name`` may mean, those of the chosen members first.

    They end like it, now or under an earlier name. If no flag ends in the whole name, only one is meant that
    is alone with its end.
    """
    alike = {flag: max(_common_end(name, path) for path in flag.known) for flag in flags}
    most = max(alike.values())
    found = {f.path: f for f in reversed(flags) if alike[f] == most}
    enough = most > name.count(".") or (most and len(found) == 1)
    return sorted(found.values(), key=lambda f: f.path not in here) if enough else []


def _common_end(a: str, b: str) -> int:
    """Returns how many parts two dotted paths share at their ends."""
    pairs = zip(reversed(a.split(".")), reversed(b.split(".")), strict=False)
    return len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)))


def _cure(flag: _Flag, here: Collection[str], args: Sequence[str]) -> str:
    """Returns the flags to type: the members to choose, and the flag with the value that was typed."""
    choices = () if flag.path in here else flag.choices
    chosen = [f"--{path.replace('_', '-')} {name}" for path, name in choices]
    value = args[0].partition("=")[2] or next((a for a in args[1:2] if not a.startswith("--")), "")
    return " ".join([*chosen, f"--{flag.path.replace('_', '-')}", value]).rstrip()
