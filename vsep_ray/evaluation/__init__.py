"""Numbers that say how good it is, each beside its floor and its ceiling."""
