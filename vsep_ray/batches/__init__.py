"""Training batches: clips that are drawn, changed as a musician would, and mixed anew."""
