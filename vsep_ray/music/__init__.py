"""Band music is composed by seed, in styles that are data."""
