"""A model and its tokenizer from their files, looked at before any library reads them."""
