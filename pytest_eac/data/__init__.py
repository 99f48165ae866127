"""Tables and texts from files and from data sets of the Hugging Face hub."""
