"""What a model says to prompts, and how it is scored."""
