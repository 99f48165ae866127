"""What the documentation is built with: reference pages from the code, links for the site."""
