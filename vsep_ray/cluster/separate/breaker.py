"""A job must stop when its tracks fail alike: a model or an option is to blame, and no file."""

import re

from vsep_ray.audio.formats import Failure


class Breaker:
    """Counts tracks in a row that fail alike, whatever numbers and names are in the words.

    Attributes:
        limit: this number of tracks is too many; at 0 any number may fail.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self._count = limit, 0
        self._last: Failure | None = None

    def feed(self, track: str, failure: Failure | None) -> str | None:
        """Counts a track and what it failed with, if it did.

        Returns:
            Why the job must stop, or None if it may go on.
        """
        # a message without the track's name and without numbers
        kind = failure and Failure(failure.stage, re.sub(r"\d+", "#", failure.message.replace(track, "")))
        self._count = self._count + 1 if kind == self._last else 1
        self._last = kind
        if not failure or not self.limit or self._count < self.limit:
            return None
        return (
            f"{self._count} tracks in a row failed alike ({failure.stage}: {failure.message}); mend the "
            "cause and run the same command with --retry-failed, or set --max-alike 0"
        )
