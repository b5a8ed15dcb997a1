"""The app's entry in Django."""

from typing import Any

from django.apps import AppConfig


class ConversationsConfig(AppConfig):
    name = "conversations"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Let every worker that django-q spawns see to its engine. Imported here: rows are known only when every app is."""
        from swwbot_site.lib import shifts  # noqa: PLC0415

        shifts.post_spawn.connect(_spawned, dispatch_uid="conversations.shift")


def _spawned(**_: Any) -> None:
    from conversations import tasks  # noqa: PLC0415 - only workers need the engine and its network

    tasks.spawned()
