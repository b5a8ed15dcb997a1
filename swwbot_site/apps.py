"""The roof's entry in Django."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate

from swwbot_site.lib import events


class SiteConfig(AppConfig):
    name = "swwbot_site"
    verbose_name = "Say What Want bot"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Wire what listens. Imported here because rows can only be imported once every app is known."""
        from swwbot_site import checks  # noqa: F401, PLC0415 - importing them registers them
        from swwbot_site.monitoring.sink import record  # noqa: PLC0415
        from swwbot_site.rights import settle  # noqa: PLC0415

        events.listen(record)
        post_migrate.connect(settle, sender=self)
