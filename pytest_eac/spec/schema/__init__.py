"""What a spec may say: one pydantic model for each part."""
