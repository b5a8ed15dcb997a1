"""The cluster's pages in the admin."""

from cluster.admin import generation, model, placement, policy, scaling, server, share

__all__ = ["generation", "model", "placement", "policy", "scaling", "server", "share"]
