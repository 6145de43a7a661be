"""The crop store holds excerpts of equal length in Parquet, written once and read by every training."""
