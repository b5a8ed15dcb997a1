"""The personas in the REST API: read only."""
