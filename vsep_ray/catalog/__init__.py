"""Catalogs: the tracks that bulk separation is given, and the ledger of what became of them."""
