"""Edits from data files, one public format a file."""
