"""Tensors become short-time spectra, lapped cosine coefficients and companded samples, and come back."""
