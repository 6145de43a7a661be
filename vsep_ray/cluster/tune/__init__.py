"""Sweeps: the space that is searched, who proposes points, the trials, and what is reported of them."""
