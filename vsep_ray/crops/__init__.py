"""The crop store: equal-length excerpts in Parquet, written once and read by every training."""
