"""The project's own row: what happened, for people."""

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
