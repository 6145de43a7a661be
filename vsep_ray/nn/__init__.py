"""Network blocks with explicit arguments; they know nothing of priors or separators."""
