"""Everything about a loaded model and its process that later results depend on."""
