"""The files of two checkpoints held against each other, without loading a model."""
