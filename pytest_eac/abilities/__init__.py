"""General abilities: is the edited model still a language model? docs/abilities.md defines each."""
