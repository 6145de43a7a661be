"""A selection says which stems are written, and how they sum to the mixture.

======================= ==================================================================================
stems asked for         what is written
======================= ==================================================================================
six: all sources        a_k s_k; what is missing from their sum goes to ``other`` where there is one, else to
                        all in equal parts
four, or none           the same, and where the model has guitar and piano beside other, both are added to it
some sources            the same stems, and the others not
some sources and rest   a_k s_k as they are, and the mixture minus their sum: two-stem separation
all sources and rest    the same; the rest is what resampling and channel mapping lost
======================= ==================================================================================
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vsep_ray.audio.resampling import Audio
from vsep_ray.config import UserError

REST = "rest"
"""The stem that is the mixture minus the others that were asked for."""
OTHER, FOLDED = "other", ("guitar", "piano")
"""Of four stems, the first holds these sources too: most data sets and players know four."""
FOUR, SIX = "four", "six"
"""These words stand in the place of names."""


@dataclass(frozen=True)
class Selection:
    """A selection of a model's sources is written as stems.

    Attributes:
        sources: names of the model's K sources, in its order.
        stems: names of the J stems, in the order of writing.
        folded: the sources that are added to the stem ``other``.
    """

    sources: tuple[str, ...]
    stems: tuple[str, ...]
    folded: tuple[str, ...] = ()

    @classmethod
    def of(cls, sources: Sequence[str], wanted: Sequence[str] = ()) -> "Selection":
        """Returns the selection of the stems ``wanted``: ``four``, ``six``, or names; none means four.

        A model without guitar and piano beside other has its own sources in the place of both words.

        Raises:
            UserError: the model does not have such a stem, or one is named twice.
        """
        if tuple(wanted) in ((), (FOUR,)) and {OTHER, *FOLDED} <= set(sources):
            return cls(tuple(sources), tuple(s for s in sources if s not in FOLDED), FOLDED)
        if tuple(wanted) in ((), (FOUR,), (SIX,)):
            return cls(tuple(sources), tuple(sources))
        known = (*sources, *([] if REST in sources else [REST]))
        if wrong := [name for name in wanted if name not in known]:
            raise UserError(
                f"the model has no source {wrong[0]!r}; it has {', '.join(known)}; "
                f"{FOUR!r} and {SIX!r} stand alone"
            )
        if len(set(wanted)) < len(wanted) or tuple(wanted) == (REST,):
            raise UserError(f"--sources {' '.join(wanted)}: name each once, and not {REST!r} alone")
        return cls(tuple(sources), tuple(wanted))

    @property
    def has_rest(self) -> bool:
        """Whether one stem is the mixture minus the others."""
        return REST in self.stems and REST not in self.sources

    @property
    def complete(self) -> bool:
        """Whether the stems sum to the mixture."""
        return self.has_rest or {*self.stems, *self.folded} == set(self.sources)

    @property
    def absorber(self) -> int:
        """The stem that takes up rounding errors, so that integers sum: the rest, ``other``, or the last."""
        takers = [name for name in (REST, OTHER) if name in self.stems]
        return self.stems.index(takers[0]) if takers else len(self.stems) - 1

    @property
    def matrix(self) -> Audio:
        """The stems as sums of sources, (J, K) of zeros and ones."""
        rest = [s for s in self.sources if s not in self.stems]
        sums = {OTHER: [OTHER, *self.folded], **({REST: rest} if self.has_rest else {})}
        rows = [[s in sums.get(name, [name]) for s in self.sources] for name in self.stems]
        return np.array(rows, np.float32)

    def apply(self, shares: Audio, mixture: Audio) -> tuple[Audio, Audio]:
        """Returns the stems, and what the model's stems lack of the mixture.

        Shape: shares a_k s_k (K, C, n) or (K, 1, n), mixture (C, n) -> (J, C, n), (C, n).
        """
        remainder = mixture - shares.sum(axis=0)
        if not self.has_rest:
            shares = self._shared_out(shares, remainder)
        if self.stems == self.sources:
            return shares, remainder
        stems = np.empty((len(self.stems), *mixture.shape), np.float32)
        chosen = [j for j, name in enumerate(self.stems) if name in self.sources]
        stems[chosen] = shares[[self.sources.index(self.stems[j]) for j in chosen]]
        for name in self.folded:
            stems[self.stems.index(OTHER)] += shares[self.sources.index(name)]
        if self.has_rest:
            stems[self.stems.index(REST)] = mixture - stems[chosen].sum(axis=0)
        return stems, remainder

    def _shared_out(self, shares: Audio, remainder: Audio) -> Audio:
        if OTHER not in self.sources:
            return shares + remainder / np.float32(len(self.sources))
        full = np.repeat(shares, len(remainder) // shares.shape[1], axis=1)
        full[self.sources.index(OTHER)] += remainder
        return full
