"""Names of sources, songs and metrics as figures can show them."""

import functools

LONGEST = 24


def label(name: str) -> str:
    """Returns a name that matplotlib draws as it is, without a warning.

    Long ones are shortened in their middle, since songs and sources differ at their ends. What the font lacks
    is escaped, such as ``\\u65e5``: another font would not be the same on every machine.
    """
    shown = "".join(c if c.isprintable() and ord(c) in _glyphs() else _escaped(c) for c in _shortened(name))
    shown = shown.replace("$", r"\$")  # two of them would enclose a formula
    return f" {shown}" if shown.startswith("_") else shown  # which legends would leave out


def _shortened(name: str) -> str:
    if len(name) <= LONGEST:
        return name
    tail = (LONGEST - 1) // 2
    return f"{name[: LONGEST - 1 - tail]}…{name[-tail:]}"


def _escaped(letter: str) -> str:
    return letter.encode("ascii", "backslashreplace").decode() if ord(letter) > 127 else " "


@functools.cache
def _glyphs() -> frozenset[int]:
    """Returns the code points of the font that comes with matplotlib."""
    from matplotlib import font_manager, ft2font

    return frozenset(ft2font.FT2Font(font_manager.findfont("DejaVu Sans")).get_charmap())
