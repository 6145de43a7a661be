"""Reading, writing and reshaping sound: files, sample rates, channels, short-time spectra."""
