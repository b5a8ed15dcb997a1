"""A server and the policy's limits, in the words of the client."""

from cluster.lmstudio.values import Endpoint, Timeouts
from cluster.models import ClusterPolicy, Server


def endpoint(server: Server) -> Endpoint:
    """Where and how to speak to a server. An empty dialect means: find out first."""
    return Endpoint(url=server.url, token=server.token, dialect=server.spoken)


def timeouts(policy: ClusterPolicy) -> Timeouts:
    """The policy's limits."""
    return Timeouts(
        connect_s=policy.connect_timeout_s,
        probe_s=policy.probe_timeout_s,
        load_s=policy.load_timeout_s,
        first_token_s=policy.first_token_timeout_s,
        idle_s=policy.idle_timeout_s,
        total_s=policy.total_timeout_s,
    )
