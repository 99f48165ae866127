"""An edited model as files: whole, as what the edits added, or as an adapter."""
