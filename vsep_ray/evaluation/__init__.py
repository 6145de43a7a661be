"""Scores that say how good a separation or a prior is, each beside its floor and its ceiling."""
