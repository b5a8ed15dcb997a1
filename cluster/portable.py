"""The door of the cluster's rows for configuration: servers and the policy, read as columns and brought to wanted values.

Run inside one transaction of the caller. Only what an operator writes is touched; what probes observe stays.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

from cluster.models import ClusterPolicy, Server
from swwbot_site.lib.addresses import elsewhere
from swwbot_site.lib.changes import Action, Change, Wanted, brought, freed, made, matched, target

SERVER: Final = "server"
POLICY: Final = "policy"


def servers() -> list[dict[str, Any]]:
    """Every server, column → value, by name. Tokens are among the values."""
    return [dict(row) for row in Server.objects.order_by("name").values()]


def policy() -> dict[str, Any]:
    """The cluster settings, column → value."""
    return {each.name: getattr(ClusterPolicy.current(), each.name) for each in ClusterPolicy._meta.concrete_fields}


def put_servers(wanted: Sequence[Wanted]) -> list[Change]:
    """Make or change servers, found by name, else by address. A token goes to no other machine: it is said again, or forgotten.

    Raises IntegrityError if an address belongs to another server.
    """
    rows = matched(Server.objects.select_for_update(no_key=True).order_by("pk"), wanted, "name", "url")
    freed(rows, wanted, "url", lambda row: f"http://moving.invalid/{row.pk}")
    changes: list[Change | None] = []
    for each in wanted:
        row = rows.get(each.name)
        values = target(Server, each, new=row is None)
        if isinstance(row, Server) and elsewhere(row.url, str(values.get("url", row.url))):
            values.setdefault("token", "")
        changes.append(made(SERVER, Server(), each.name, values) if row is None else brought(SERVER, row, each.name, values))
    return [change for change in changes if change is not None]


def put_policy(wanted: Wanted) -> list[Change]:
    """Change the cluster settings."""
    row = ClusterPolicy.objects.select_for_update(no_key=True).get(pk=ClusterPolicy.current().pk)
    change = brought(POLICY, row, "of the cluster", target(ClusterPolicy, wanted, new=False))
    return [] if change is None else [change]


def retire_servers(names: Collection[str]) -> list[Change]:
    """Disable servers that a configuration names no longer: they finish what they have and get nothing new."""
    changes: list[Change] = []
    for row in Server.objects.select_for_update(no_key=True).filter(name__in=names, enabled=True).order_by("pk"):
        row.enabled = False
        row.save(update_fields=["enabled"])
        changes.append(Change(kind=SERVER, name=row.name, action=Action.DISABLED, fields={"enabled": (True, False)}))
    return changes
