"""What music lies where: tracks, catalogs, crop stores, ledgers; metadata first, samples last."""
