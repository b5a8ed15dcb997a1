"""The roof's entry in Django."""

from django.apps import AppConfig

from swwbot_site.lib import events


class SiteConfig(AppConfig):
    name = "swwbot_site"
    verbose_name = "Say What Want bot"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Wire what listens. Imported here because rows can only be imported once every app is known."""
        from swwbot_site import checks  # noqa: F401, PLC0415 - importing them registers them
        from swwbot_site.monitoring.sink import record  # noqa: PLC0415

        events.listen(record)
