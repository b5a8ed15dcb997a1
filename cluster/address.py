"""A server, the policy's limits and what is to be done there, in the words of the client."""

from dataclasses import replace

from cluster.lmstudio.values import Endpoint, Timeouts
from cluster.logic.loading import allowed
from cluster.logic.order import Errand
from cluster.models import ClusterPolicy, Offer, Placement, Server


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


def errand(placement: Placement, policy: ClusterPolicy) -> Errand:
    """What loading or unloading a placement needs to know; a load is waited for until the placement's deadline."""
    offer = Offer.objects.filter(server_id=placement.server_id, model_id=placement.model_id).first()
    limits = timeouts(policy)
    if placement.load_deadline:
        limits = replace(limits, load_s=(placement.load_deadline - placement.created_at).total_seconds())
    return Errand(
        placement_id=placement.pk,
        server_id=placement.server_id,
        server=placement.server.name,
        endpoint=endpoint(placement.server),
        key=offer.key if offer else placement.model.key,
        instance_id=placement.instance_id,
        context_length=allowed(placement.model.context_length, offer.context_limit if offer else None),
        timeouts=limits,
        poll_s=policy.load_poll_interval_s,
        polls=policy.max_load_attempts,
        kind=placement.model.kind,
    )
