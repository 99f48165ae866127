"""What a spec may say: one model a part of it."""
