"""The benchmark compares the system with the bare work inside it, as ratios within one run."""
