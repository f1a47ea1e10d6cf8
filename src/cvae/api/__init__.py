"""Python: train, and ask a run, without a command line."""
