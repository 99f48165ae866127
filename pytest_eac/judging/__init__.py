"""Records in, verdicts out; never touches a model."""
