"""The personas in the REST API."""
