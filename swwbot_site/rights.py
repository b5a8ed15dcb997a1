"""Who may do what: three groups, made once, when the tables are first there. What people change in them later stays.

::

    viewer          looks at everything but keys and webhooks
    operator        and stops and resumes posting, judges answers, switches entities, tries them, asks several; drains, probes and loads
                    servers; calls requests off, brings them forward, asks them again; has models kept, unloaded and pinned
    administrator   and changes everything: entities, limits, servers, feeds, policies, keys, people
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db.models import Q

OURS: Final = ("cluster", "conversations", "entities", "swwbot_site")
WORKER: Final = "django_q"
SECRET: Final = ("token", "webhook", "delivery", "repeat")
"""Rows about keys, for administrators only."""

IMPORTING: Final = (
    "entities.add_entity",
    "entities.change_entity",
    "entities.change_ratelimit",
    "cluster.add_server",
    "cluster.change_server",
    "cluster.change_clusterpolicy",
    "conversations.add_feed",
    "conversations.change_feed",
    "conversations.change_conversationpolicy",
    "swwbot_site.change_retention",
)
"""What whoever reads in a configuration file needs: it holds all of these."""

OWN: Final = (
    ("cluster", "server", "operate_server", "Can switch, drain, probe and load servers"),
    ("entities", "entity", "operate_entity", "Can switch and try entities, and begin their limits anew"),
    ("conversations", "conversationpolicy", "stop_posting", "Can stop and resume all posting"),
)
"""Permissions beside those that Django makes: app, model, codename, what for."""

OPERATING: Final = (
    "change_generation",
    "change_placement",
    "change_offer",
    "change_reply",
    "change_ensemble",
    "add_ensemble",
    *(codename for _, _, codename, _ in OWN),
)
"""What an operator may beside looking. Rows of the first five are written by engines alone: to change them is to act on them."""


def settle(**_: Any) -> None:
    """After migrating the last of the apps: make what is missing of our permissions, and the groups if these are the first."""
    ContentType.objects.clear_cache()  # a database that was emptied has new ones
    if not all([*_own()]):
        return
    mine = Q(content_type__app_label__in=OURS)
    seen = Permission.objects.filter(mine | Q(content_type__app_label=WORKER), codename__startswith="view_")
    seen = seen.exclude(content_type__app_label="swwbot_site", content_type__model__in=SECRET)
    _group("viewer", seen)
    _group("operator", [*seen, *Permission.objects.filter(mine, codename__in=OPERATING)])
    _group("administrator", Permission.objects.filter(mine | Q(content_type__app_label__in=(WORKER, "auth"))))


def _own() -> Iterator[bool]:
    """Make our permissions; of each, whether it was not there."""
    for app, model, codename, name in OWN:
        kind = ContentType.objects.get_for_model(apps.get_model(app, model))
        yield Permission.objects.get_or_create(content_type=kind, codename=codename, defaults={"name": name})[1]


def _group(name: str, permissions: Iterable[Permission]) -> None:
    """A group of this name with at least these permissions."""
    Group.objects.get_or_create(name=name)[0].permissions.add(*permissions)
