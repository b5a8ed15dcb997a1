"""A call for more servers, or for one less: told once, to the plugins and to the webhook, until somebody has heard it."""

from django.db import models
from django.db.models import Q


class Notice(models.Model):
    """One call. While it is open, the same one is not made again; it closes when the need is over, or when it is repeated."""

    class Event(models.TextChoices):
        SCALE_OUT = "scale_out", "more servers"
        SCALE_IN = "scale_in", "a server less"

    event = models.CharField(max_length=12, choices=Event)
    subject = models.CharField(max_length=320, help_text="What it is about: model:google/gemma-3-27b, server:mac-1.")
    reason = models.JSONField(help_text="Why, in figures.")
    at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True, help_text="When the need was over, or called for again.")

    due_at = models.DateTimeField(null=True, blank=True, help_text="When it is told (again). Empty: there is nobody left to tell.")
    attempts = models.PositiveSmallIntegerField(default=0)
    told_at = models.DateTimeField(null=True, blank=True, help_text="When the plugins were told.")
    delivered_at = models.DateTimeField(null=True, blank=True, help_text="When the webhook took it.")
    error = models.TextField(blank=True, help_text="Why the last attempt failed.")

    class Meta:
        ordering = ["-id"]
        verbose_name = "call for servers"
        verbose_name_plural = "calls for servers"
        constraints = [
            models.UniqueConstraint(name="notice_open_once", fields=["event", "subject"], condition=Q(closed_at__isnull=True)),
        ]
        indexes = [models.Index(name="notice_due", fields=["due_at"], condition=Q(due_at__isnull=False))]

    def __str__(self) -> str:
        return f"{self.event} {self.subject}"
