"""Libraries pass over damage and truncation in single containers, and write bytes that differ from run to
run.
"""
