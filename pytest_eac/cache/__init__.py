"""Results kept from run to run: entries that are checked when they are read, and their folder."""
