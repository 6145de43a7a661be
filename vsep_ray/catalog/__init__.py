"""A catalog lists the tracks that bulk separation is given; its ledger says what became of each track."""
