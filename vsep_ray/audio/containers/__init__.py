"""What libraries pass over in single containers: damage, truncation, bytes that differ from run to run."""
