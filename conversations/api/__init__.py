"""The conversation in the REST API: read only."""
