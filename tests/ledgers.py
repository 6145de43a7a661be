"""What tests ask of a ledger."""

from vsep_ray.catalog.ledger import LedgerRow


def rows_of(ledger):
    """The latest row of every track, by track; a column that an earlier version lacks has its default."""
    return {row["track"]: LedgerRow(**_known(row)) for row in ledger.read().to_pylist()}


def _known(row):
    return {name: tuple(v) if isinstance(v, list) else v for name, v in row.items() if v is not None}
