"""The only code that knows Hugging Face models."""
