"""q(s | m): a backbone and a posterior family make a Separator."""
