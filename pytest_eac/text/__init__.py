"""How scripts write words."""
