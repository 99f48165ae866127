"""What a run, a tracing, an export and a comparison of checkpoints leave behind: plain data."""
