"""Several voices: one question to several entities in turn, each seeing the earlier answers, then a synthesis of all."""

from django.db import models
from django.db.models import Q

from conversations.logic.lifecycle import ENSEMBLE, VOICE, EnsembleState, VoiceState
from conversations.models.message import Message
from conversations.models.reply import Reply


class Ensemble(models.Model):
    """One question and what became of it. It holds no worker: each step is a generation in the queue, and rows say what comes next."""

    MOVES = ENSEMBLE
    state = models.CharField(max_length=10, choices=[(s.value, s.value) for s in EnsembleState], default=EnsembleState.RUNNING)
    question = models.TextField()
    message = models.ForeignKey(
        Message,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="ensembles",
        help_text="The message it answers.",
    )
    key = models.CharField(max_length=200, null=True, blank=True, unique=True, help_text="Asked twice with one key is asked once.")
    synthesizer = models.ForeignKey("entities.Entity", on_delete=models.SET_NULL, null=True, blank=True, related_name="syntheses")
    synthesis_model = models.CharField(max_length=300, blank=True, help_text="The model of the synthesis. Empty: the synthesizer's.")
    voice_prompt = models.TextField(
        blank=True, help_text="With {originalQuestion}, {previousContext} and {previousCount}. Empty: the usual one."
    )
    synthesis_prompt = models.TextField(
        blank=True, help_text="With {originalQuestion}, {entityCount} and {entityResponses}. Empty: the usual one."
    )
    post = models.BooleanField(default=False, help_text="Post every voice and the synthesis as answers to the message.")
    asked_by = models.CharField(max_length=200, blank=True)
    priority = models.PositiveSmallIntegerField(default=50)
    created_at = models.DateTimeField()
    deadline = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    text = models.TextField(blank=True, help_text="The synthesis.")
    reason = models.TextField(blank=True, help_text="Why it ended as it did.")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(name="ensemble_state_known", condition=Q(state__in=[s.value for s in EnsembleState])),
            models.CheckConstraint(name="ensemble_priority_0_to_99", condition=Q(priority__gte=0, priority__lte=99)),
            models.CheckConstraint(
                name="ensemble_ended_has_time",
                condition=Q(state="running", ended_at__isnull=True) | (~Q(state="running") & Q(ended_at__isnull=False)),
            ),
            models.CheckConstraint(name="ensemble_posts_to_a_message", condition=Q(post=False) | Q(message__isnull=False)),
        ]
        indexes = [models.Index(name="ensemble_running", fields=["id"], condition=Q(state="running"))]

    def __str__(self) -> str:
        return f"{self.question[:60]} ({self.state})"


class Voice(models.Model):
    """One step of an ensemble: an entity's answer, or, as the last one, the synthesis."""

    MOVES = VOICE
    ensemble = models.ForeignKey(Ensemble, on_delete=models.CASCADE, related_name="voices")
    ordinal = models.PositiveSmallIntegerField(help_text="0 is asked first; the synthesis is the last.")
    entity = models.ForeignKey("entities.Entity", on_delete=models.CASCADE, related_name="voices")
    synthesis = models.BooleanField(default=False)
    state = models.CharField(max_length=10, choices=[(s.value, s.value) for s in VoiceState], default=VoiceState.WAITING)
    generation = models.OneToOneField("cluster.Generation", on_delete=models.SET_NULL, null=True, blank=True, related_name="voice")
    reply = models.OneToOneField(Reply, on_delete=models.SET_NULL, null=True, blank=True, related_name="voice")
    text = models.TextField(blank=True)
    reason = models.TextField(blank=True)
    asked_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["ensemble", "ordinal"]
        constraints = [
            models.UniqueConstraint(name="voice_once_per_place", fields=["ensemble", "ordinal"]),
            models.UniqueConstraint(name="voice_asked_one_at_a_time", fields=["ensemble"], condition=Q(state="asked")),
            models.CheckConstraint(name="voice_state_known", condition=Q(state__in=[s.value for s in VoiceState])),
        ]

    def __str__(self) -> str:
        return f"voice {self.ordinal} of ensemble {self.ensemble_id} ({self.state})"
