"""An engine that runs, or ran: so that people see who works, and a watchdog sees where one is missing.

Not in the plan of the house, which has leases but nothing that says who holds them.
"""

from django.db import models


class Engine(models.Model):
    """One run of the three loops inside a django-q worker. `owner` is its number in every lease it takes."""

    owner = models.IntegerField(unique=True)
    cluster = models.CharField("queue", max_length=200, help_text="The django-q queue whose worker runs it.")
    host = models.CharField(max_length=200)
    pid = models.PositiveIntegerField()
    version = models.CharField(max_length=50)
    started_at = models.DateTimeField()
    beat_at = models.DateTimeField()
    leaving = models.BooleanField(default=False, help_text="Its shift is over: it finishes what it has, beside the next engine.")
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(name="engine_running", fields=["cluster"], condition=models.Q(ended_at__isnull=True))]

    def __str__(self) -> str:
        return f"engine {self.owner} on {self.host} ({self.pid})"
