"""Sound files: opened, decoded, resampled, written."""
