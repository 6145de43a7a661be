"""What every job does around its work: flags, Ray, checks before the start, its run in MLflow."""
