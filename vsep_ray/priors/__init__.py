"""p(s_k): one density over the waveform of one source, one file and one name each."""
