"""The rows as one document, in this bot's own form of the format: every value spelled out, no secret in it.

Importing it gives the same rows, and exporting them again the same bytes. Texts stand as they are (`"escapes": "literal"`).
"""

import json
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from cluster import portable as cluster
from conversations import portable as conversations
from entities import portable as entities
from swwbot_site.config import chat, machine, persona, policy, section, tables
from swwbot_site.models import ConfigImport
from swwbot_site.retention import portable as retention


def document() -> dict[str, Any]:
    """The rows as the tree of a configuration file."""
    with transaction.atomic():
        settings = cluster.policy()
        return {
            "version": _version(),
            "escapes": "literal",
            "lmStudioServers": [machine.show(row) for row in cluster.servers()],
            "clusterSettings": policy.show(settings),
            "feeds": [chat.show(row) for row in conversations.feeds()],
            "entities": [persona.show(row) for row in entities.entities()],
            "globalSettings": _general(settings, entities.limits(), conversations.talk()),
            "retention": section.show(tables.RETENTION, retention.days()),
        }


def entity(slug: str) -> dict[str, Any] | None:
    """One entity as the tree of a configuration file that holds nothing else; None if there is no such entity."""
    row = next((row for row in entities.entities() if row["slug"] == slug), None)
    return {"escapes": "literal", "entities": [persona.show(row)]} if row else None


def text() -> str:
    """The rows as JSON text, indented, with a newline at its end."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def _general(settings: Mapping[str, Any], limits: Mapping[str, Any], talk: Mapping[str, Any]) -> dict[str, Any]:
    return section.show(tables.GLOBAL, {"default_model": settings["default_model"], **limits, **talk})


def _version() -> str | None:
    newest = ConfigImport.objects.filter(outcome=ConfigImport.Outcome.IMPORTED).order_by("-id").first()
    return (newest.version or None) if newest else None
