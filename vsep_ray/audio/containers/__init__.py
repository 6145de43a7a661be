"""Libraries pass over damage in single containers, and write bytes that differ from run to run."""
