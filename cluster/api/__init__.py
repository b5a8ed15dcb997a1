"""The cluster in the REST API."""
