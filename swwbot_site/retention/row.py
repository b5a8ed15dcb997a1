"""How long rows are kept, which people decide, and how far throwing away has come."""

from typing import Self

from django.db import models
from django.db.models import Q


class Retention(models.Model):
    """How long rows are kept, in days, and how far the running round has come. There is one."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    messages_days = models.PositiveIntegerField(
        "messages and answers", default=90, help_text="Messages with the answers to them and why. 0: for ever."
    )
    requests_days = models.PositiveIntegerField(
        "requests",
        default=90,
        help_text="Requests to models. Those of an answer stay as long as it. Of 8 days the cluster learns. 0: for ever.",
    )
    details_days = models.PositiveIntegerField(
        "details",
        default=30,
        help_text="What is heavy: prompts, what models wrote and thought, who did not answer and why. 0: as long as the rest.",
    )
    permits_days = models.PositiveIntegerField(
        "permits", default=32, help_text="Permits; in any case as long as a limit counts them, and as long as the answer. 0: for ever."
    )
    placements_days = models.PositiveIntegerField(
        "models that left memory", default=30, help_text="In any case as long as the requests that ran there. 0: for ever."
    )
    events_days = models.PositiveIntegerField("events", default=90, help_text="0: for ever, as far as their number allows.")
    events_most = models.PositiveIntegerField(
        "events at most", default=200_000, help_text="Of more than so many the oldest go. 0: any number."
    )
    deliveries_days = models.PositiveIntegerField(
        "deliveries", default=30, help_text="Deliveries to webhooks that have ended; their events stay as long as they. 0: for ever."
    )
    records_days = models.PositiveIntegerField(
        "records of the machinery", default=30, help_text="Engines that ended, tasks that failed, calls for servers. 0: for ever."
    )

    kind = models.CharField("at work on", max_length=40, blank=True, editable=False, help_text="Empty: between two rounds.")
    positions = models.JSONField(default=dict, editable=False, help_text="By kind, up to which number its rows were looked at.")
    day = models.DateField(null=True, editable=False, help_text="UTC; when the positions were last begun anew.")
    counts = models.JSONField(default=dict, editable=False, help_text="What has gone in this round.")
    due_at = models.DateTimeField("next step", null=True, editable=False)
    ended_at = models.DateTimeField("last round", null=True, editable=False)
    gone = models.JSONField(default=dict, editable=False, help_text="What went in the last round in which anything went.")

    class Meta:
        verbose_name = verbose_name_plural = "retention"
        constraints = [models.CheckConstraint(name="retention_is_one_row", condition=Q(id=1))]

    def __str__(self) -> str:
        return "retention"

    @classmethod
    def written(cls) -> tuple[str, ...]:
        """The columns that people decide."""
        return tuple(field.name for field in cls._meta.concrete_fields if field.editable)

    @classmethod
    def locked(cls) -> Self:
        """The row, made if it was not there, until the running transaction ends. A step of throwing away is waited for."""
        cls.objects.get_or_create(pk=1)
        return cls.objects.select_for_update(no_key=True).get(pk=1)
