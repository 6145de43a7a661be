"""Short-time spectra, cosine transforms and companding of tensors."""
