"""The project's own rows: what happened, for people; which configuration was read, by whom."""

from django.db import models


class Event(models.Model):
    """One line about something that happened, with its details."""

    at = models.DateTimeField()
    kind = models.CharField(max_length=60, help_text="For example placement.loaded.")
    level = models.CharField(max_length=8, default="info")
    subject = models.CharField(max_length=120, blank=True, help_text="What it is about, for example server:Mac Studio 1.")
    text = models.TextField()
    detail = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(name="event_time", fields=["at"]),
            models.Index(name="event_kind", fields=["kind", "-id"]),
            models.Index(name="event_subject", fields=["subject", "-id"]),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.text}"


class ConfigImport(models.Model):
    """One content of a configuration file, as a machine met it. The newest imported one of each source is what the source says now.

    Kept so that the next import knows what the file said before and says no longer, so that a file is not read again while it stays the
    same, and so that a machine with an older copy of it does not bring that back.
    """

    class Outcome(models.TextChoices):
        IMPORTED = "imported", "imported"
        REJECTED = "rejected", "rejected"
        STALE = "stale", "an older copy, not imported"

    source = models.CharField(max_length=200, help_text="The file's name without its folder.")
    host = models.CharField(max_length=200, help_text="The machine it was read on.")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the content.")
    outcome = models.CharField(max_length=10, choices=Outcome)
    at = models.DateTimeField()
    version = models.TextField(blank=True, help_text="What the file calls its version.")
    said = models.JSONField(default=dict, blank=True, help_text="kind → name → columns: what the file says, without the values.")
    retired = models.JSONField(default=dict, blank=True, help_text="kind → names that are disabled because the file names them no longer.")

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(name="config_source", fields=["source", "-id"])]

    def __str__(self) -> str:
        return f"{self.source} ({self.outcome})"
