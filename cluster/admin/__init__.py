"""The cluster's pages in the admin."""

from cluster.admin import generation, model, policy, server

__all__ = ["generation", "model", "policy", "server"]
