"""What is done to an update before it is applied: one filter a file."""
