"""The one row of the conversation's settings. Changing it takes effect in running engines at once."""

from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

TURN: Final = '[{"role": "user", "content": "Hello"}]'


class ConversationPolicy(models.Model):
    """What holds for all entities, and the global stop."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    stopped = models.BooleanField(default=False, editable=False, help_text="Nothing is posted anywhere.")
    stopped_at = models.DateTimeField(null=True, blank=True, editable=False)
    stopped_by = models.CharField(max_length=200, blank=True, editable=False)
    stop_reason = models.TextField(blank=True, editable=False)

    filter_out = models.JSONField(default=list, blank=True, help_text="Phrases to delete from every answer (globalFilterOut).")
    trim_after = models.JSONField(default=list, blank=True, help_text="Every answer ends before the earliest of these (globalTrimAfter).")
    stop = models.JSONField("stop texts", default=list, blank=True, help_text="Sent with every request (globalStopSequences).")
    warmup = models.JSONField(
        "warm-up turns",
        default=list,
        blank=True,
        help_text="Turns before every conversation of entities in turns that have none of their own.",
    )
    try_again = models.BooleanField(
        "second try", default=True, help_text="An answer of which nothing is left is asked for once more, with other sampling."
    )
    require_human_s = models.PositiveIntegerField(
        default=0, help_text="By chance only while a human has written within so many seconds. 0: always (requireHumanActivity)."
    )

    class Meta:
        verbose_name = "conversation policy"
        verbose_name_plural = "conversation policy"
        constraints = [
            models.CheckConstraint(name="conversationpolicy_only_one", condition=Q(id=1)),
            models.CheckConstraint(
                name="conversationpolicy_stop_has_time",
                condition=Q(stopped=False, stopped_at__isnull=True) | Q(stopped=True, stopped_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return "conversation policy"

    @classmethod
    def current(cls) -> "ConversationPolicy":
        """The row, or its defaults while nobody has saved one."""
        return cls.objects.filter(pk=1).first() or cls()

    def clean(self) -> None:
        """Lists hold texts, warm-up turns hold role and content."""
        for name in ("filter_out", "trim_after", "stop"):
            value: Any = getattr(self, name)
            if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
                raise ValidationError({name: 'A list of texts, none of them empty, for example ["one", "two"].'})
        turns: Any = self.warmup
        if not isinstance(turns, list) or not all(_turn(each) for each in turns):
            raise ValidationError(
                {"warmup": f"Write a list of turns, as {TURN}, each with a role (system, user, assistant) and a content."}
            )


def _turn(each: Any) -> bool:
    content = each.get("content") if isinstance(each, dict) and each.get("role") in ("system", "user", "assistant") else None
    return isinstance(content, str) and bool(content.strip())
