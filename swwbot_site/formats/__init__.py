"""How times are written in the admin; Django looks for a package of each language."""
