"""The cluster's pages in the admin."""

from cluster.admin import generation, model, policy, scaling, server, share

__all__ = ["generation", "model", "policy", "scaling", "server", "share"]
