"""Numbers of a config have bounds, and some fields must have a value: `config.option` says so of each."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from vsep_ray.config import UserError


def check_values(config: Any, prefix: str = "--") -> None:
    """Refuses a value out of the bounds of its field (``needed``, ``least``, ``most`` and ``above`` of
    `option`), at any depth.

    Raises:
        UserError: the flag, what it should be and what it is.
    """
    for field in dataclasses.fields(config):
        value, flag = getattr(config, field.name), prefix + field.name.replace("_", "-")
        if (what := field.metadata.get("needed")) and not value:
            raise UserError(f"{flag} is missing: {what}")
        for number in value if isinstance(value, tuple) else (value,):
            if words := _out_of_bounds(number, field.metadata):
                raise UserError(f"{flag} must be {words}, got {number:g}")
        if dataclasses.is_dataclass(value):
            check_values(value, f"{flag}.")


def _out_of_bounds(value: Any, bounds: Mapping[str, Any]) -> str:
    """Returns what a value should be and is not, in words; "" where it is."""
    least, most, above = (bounds.get(name) for name in ("least", "most", "above"))
    if least is not None and most is not None:
        return "" if least <= value <= most else f"between {least:g} and {most:g}"
    if least is not None and value < least:
        return f"at least {least:g}"
    if most is not None and value > most:
        return f"at most {most:g}"
    return f"more than {above:g}" if above is not None and value <= above else ""
