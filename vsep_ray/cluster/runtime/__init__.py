"""Every job does the same around its work: flags, Ray, checks before the start, its run in MLflow."""
