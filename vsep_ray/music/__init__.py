"""Band music, composed: styles as data, and songs by seed."""
