"""Work beside the caller's: threads that fetch ahead, random streams per item, workers of one training."""
