"""What people write: servers, sizes of models, the cluster's policy. Engines read it at their next plan.

Only the columns that are given are saved: engines write the others meanwhile. What no row may hold raises Django's ValidationError, by
field.
"""

from collections.abc import Mapping
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import transaction

from cluster.models import ClusterPolicy, LanguageModel, Server
from cluster.strategies import table
from swwbot_site.lib import networks, sound
from swwbot_site.lib.addresses import elsewhere
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.wake import Channel, wake

STAYS: Final = "The address is another machine's now, and the stored token is not sent there: give the token again, or forget it."


def add(values: Mapping[str, Any], who: str) -> int:
    """A new server; returns its key. Raises ValidationError, networks.Refused."""
    networks.allowed(str(values.get("url", "")))
    with transaction.atomic():
        row = Server(**values)
        row.full_clean()
        row.save()
        say("server.added", f"{who} added {row} at {row.url}", subject=f"server:{row}", who=who)
        wake(Channel.SETTINGS, Channel.SERVE)
        return row.pk


def server(pk: int, values: Mapping[str, Any], who: str) -> tuple[str, ...]:
    """Change a server; returns the columns that changed. A token that is stored goes to no other machine.

    Raises Server.DoesNotExist, ValidationError, networks.Refused.
    """
    if "url" in values:
        networks.allowed(str(values["url"]))
    with transaction.atomic():
        row = Server.objects.select_for_update(no_key=True).get(pk=pk)
        if row.token and "token" not in values and elsewhere(row.url, str(values.get("url", row.url))):
            raise ValidationError({"token": STAYS})
        changed = sound.saved(row, values)
        if changed:
            say("server.changed", f"{who} changed {', '.join(changed)} of {row}", subject=f"server:{row}", who=who, fields=list(changed))
            wake(Channel.SETTINGS, Channel.SERVE)
        return changed


def remove(pk: int, who: str) -> bool:
    """Remove a server with all that hangs on it; what runs there waits again for another. Returns whether it was there."""
    with transaction.atomic():
        row = Server.objects.filter(pk=pk).first()
        if row is None or not row.delete()[0]:
            return False
        say("server.removed", f"{who} removed {row}", subject=f"server:{row}", level=Level.WARNING, who=who)
        wake(Channel.SETTINGS, Channel.SERVE)
        return True


def model(pk: int, values: Mapping[str, Any], who: str) -> tuple[str, ...]:
    """Change a model; a size that people give is never learned over. Returns the columns that changed.

    Raises LanguageModel.DoesNotExist, ValidationError.
    """
    sized = {"size_source": LanguageModel.SizeSource.OPERATOR} if "size_gb" in values else {}
    with transaction.atomic():
        row = LanguageModel.objects.select_for_update(no_key=True).get(pk=pk)
        changed = sound.saved(row, {**sized, **values})
        if changed:
            say("model.changed", f"{who} changed {', '.join(changed)} of {row}", subject=f"model:{row}", who=who, fields=list(changed))
            wake(Channel.SETTINGS, Channel.SERVE)
        return changed


def policy(values: Mapping[str, Any], who: str) -> tuple[str, ...]:
    """Change the cluster's policy; returns the columns that changed. Raises ValidationError, networks.Refused."""
    strategies = table()
    if values.get("strategy", "") not in ("", *strategies):
        raise ValidationError({"strategy": f"There is no strategy {values['strategy']!r}: there are {', '.join(strategies)}."})
    if values.get("scale_webhook"):
        networks.allowed(values["scale_webhook"])
    ClusterPolicy.current()
    with transaction.atomic():
        changed = sound.saved(ClusterPolicy.locked(), values)
        if changed:
            say("policy.changed", f"{who} changed {', '.join(changed)} of the cluster's policy", subject="policy:cluster", who=who)
            wake(Channel.SETTINGS, Channel.SERVE)
        return changed
