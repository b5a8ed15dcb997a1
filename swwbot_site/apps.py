"""The roof's entry in Django."""

from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "swwbot_site"
    verbose_name = "Say What Want bot"
    default_auto_field = "django.db.models.BigAutoField"
