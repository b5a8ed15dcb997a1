"""One entity's answer to one message, from the verdict to the confirmed post."""

from typing import Any

from django.db import models
from django.db.models import Q

from conversations.logic.lifecycle import REPLY, Mode, ReplyState
from conversations.models.message import Message
from swwbot_site.lib.leases import Leased


class Reply(Leased):
    """An outbox row. Its outgoing id and timestamp are written before the first attempt and never change."""

    MOVES = REPLY
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="replies")
    entity = models.ForeignKey("entities.Entity", on_delete=models.CASCADE, related_name="replies")
    state = models.CharField(max_length=10, choices=[(s.value, s.value) for s in ReplyState], default=ReplyState.WAITING)
    mode = models.CharField(max_length=10, choices=[(m.value, m.value) for m in Mode])
    conversation = models.CharField(max_length=200, blank=True, editable=False, help_text="The message's, so that it is found by it.")
    verdict = models.JSONField(default=dict, help_text="Rules that fired, probability, dice, limits left.")
    decided_at = models.DateTimeField()
    deadline = models.DateTimeField(help_text="An answer that would come later is worth nothing.")
    prepared = models.JSONField(null=True, blank=True, help_text="The request, frozen at the decision, while the limits refuse it.")
    permit = models.OneToOneField("entities.Permit", on_delete=models.SET_NULL, null=True, blank=True, related_name="reply")
    permit_at = models.DateTimeField(null=True, blank=True, help_text="While the limits refuse: when to ask again.")
    generation = models.OneToOneField("cluster.Generation", on_delete=models.SET_NULL, null=True, blank=True, related_name="reply")

    username = models.CharField(max_length=16, help_text="The identity it is posted under.")
    color = models.CharField(max_length=40)
    text = models.TextField(blank=True, help_text="What is posted, cleaned.")
    reason = models.TextField(blank=True, help_text="Why it ended as it did.")
    outgoing_id = models.CharField(max_length=64, null=True, blank=True)  # noqa: DJ001 - only null is not unique
    outgoing_timestamp = models.BigIntegerField(null=True, blank=True)
    drafts = models.JSONField(
        default=list, blank=True, help_text="Earlier generations of this answer: number, what was written, why not posted."
    )
    original = models.TextField(blank=True, help_text="What would have been posted before a person changed it.")
    judged_by = models.CharField(max_length=200, blank=True, help_text="Who approved, changed or rejected it.")
    judged_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    attempt_at = models.DateTimeField(null=True, blank=True, help_text="Next attempt to post or confirm not before.")
    accepted_at = models.DateTimeField(null=True, blank=True, help_text="The feed took the last attempt.")
    ready_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "replies"
        constraints = [
            models.UniqueConstraint(name="reply_once_per_message_and_entity", fields=["message", "entity"]),
            models.UniqueConstraint(name="reply_outgoing_id_once", fields=["outgoing_id"]),
            models.CheckConstraint(name="reply_state_known", condition=Q(state__in=[s.value for s in ReplyState])),
            models.CheckConstraint(
                name="reply_posted_has_outgoing_id",
                condition=~Q(state__in=["posting", "posted"]) | Q(outgoing_id__isnull=False, outgoing_timestamp__isnull=False),
            ),
        ]
        indexes = [
            models.Index(name="reply_open", fields=["state", "id"], condition=~Q(state__in=["posted", "dropped", "failed"])),
            models.Index(name="reply_ended", fields=["ended_at"]),
            models.Index(name="reply_in_line", fields=["entity", "id"], condition=Q(state="waiting", permit_at__isnull=False)),
            models.Index(name="reply_talk", fields=["conversation", "-decided_at"]),
            models.Index(name="reply_identity", fields=["username", "entity"]),
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save; a new answer belongs to the conversation of its message."""
        if self._state.adding and not self.conversation:
            self.conversation = self.message.conversation
        super().save(*args, **kwargs)

    def __str__(self) -> str:
        return f"{self.entity_id} on message {self.message_id} ({self.state})"
