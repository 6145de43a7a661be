"""Whether a file ends before its sound does, which libsndfile notes in its log and passes over otherwise."""

import re

_SIZE = re.compile(r"^\s*(?:data|SSND|riff|Riff size|Data Size)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
_CUT_PAGE = ("Ogg: Last page lacks an end-of-stream bit.", "Ogg: Junk after the last page.")
_UNKNOWN = (range(0x7FFF0000, 0x80000001), range(0xFFFF0000, 0x100000000))
"""Sizes that programs write into the header of a stream whose length they do not know."""


def truncation(log: str) -> str | None:
    """What is missing, in words, by libsndfile's log of opening a file (``SoundFile.extra_info``).

    Example:
        >>> truncation("data : 529200 (should be 264578)")
        'truncated: 264578 of 529200 bytes of sound'
        >>> truncation("data : 4294967295 (should be 264578)") is None  # length unknown: a stream
        True
    """
    if all(words in log for words in _CUT_PAGE):
        return "truncated: it ends within an Ogg page"
    for stated, there in ((int(a), int(b)) for a, b in _SIZE.findall(log)):
        if stated > there and not any(stated in sizes for sizes in _UNKNOWN):
            return f"truncated: {there} of {stated} bytes of sound"
    return None
