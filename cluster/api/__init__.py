"""The cluster in the REST API: read only."""
