"""What the feed said, once per feed id."""

from django.db import models
from django.db.models import Q

from conversations.logic.lifecycle import DEBT, Debt
from conversations.models.feed import Feed


class Message(models.Model):
    """One message. It is new until `decided_at` is set, in the same transaction that creates its replies."""

    MOVES = DEBT

    feed = models.ForeignKey(Feed, on_delete=models.CASCADE, related_name="messages")
    remote_id = models.CharField(max_length=200)
    raw_id = models.JSONField(help_text="The id as the feed wrote it, number or text: its queue compares strictly.")
    timestamp = models.BigIntegerField(help_text="The feed's time, ms since 1970.")
    kind = models.CharField(max_length=6, choices=[("human", "human"), ("AI", "AI")])
    username = models.CharField(max_length=200, blank=True)
    color = models.CharField(max_length=100, blank=True)
    domain = models.CharField(max_length=200, blank=True)
    conversation = models.CharField(
        max_length=200, blank=True, help_text="What it is part of: a domain, or the private talk of one human and one identity."
    )
    text = models.TextField(blank=True)
    context = models.JSONField(null=True, blank=True, help_text="The lines its author saw; empty is not the same as none.")
    bot_params = models.JSONField(null=True, blank=True)
    reply_to = models.CharField(max_length=200, blank=True)
    own = models.BooleanField(default=False, help_text="We posted it.")
    received_at = models.DateTimeField()
    born_at = models.DateTimeField(help_text="When it appeared: when we saw it, if we were looking; otherwise by its timestamp.")
    decided_at = models.DateTimeField(null=True, blank=True)
    verdict = models.JSONField(default=dict, blank=True, help_text="Who was considered and why nobody or somebody answers.")
    state = models.CharField("debt", max_length=10, default=Debt.NONE, help_text="What the feed's own queue still waits to hear from us.")
    settle_at = models.DateTimeField(null=True, blank=True)
    settle_attempts = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(name="message_once_per_feed", fields=["feed", "remote_id"]),
            models.CheckConstraint(name="message_id_not_empty", condition=~Q(remote_id="")),
            models.CheckConstraint(name="message_debt_known", condition=Q(state__in=[s.value for s in Debt])),
        ]
        indexes = [
            models.Index(name="message_new", fields=["feed", "timestamp"], condition=Q(decided_at__isnull=True)),
            models.Index(name="message_time", fields=["feed", "-timestamp"]),
            models.Index(name="message_talk", fields=["feed", "conversation", "-timestamp"]),
            models.Index(name="message_arrival", fields=["feed", "conversation", "-id"]),
            models.Index(name="message_owed", fields=["settle_at"], condition=Q(state="owed")),
        ]

    def __str__(self) -> str:
        return f"{self.username or 'anon'}: {self.text[:60]}"
