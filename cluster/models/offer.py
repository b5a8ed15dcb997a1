"""That a server could run a model: what its own list says, and what we learned there.

The plan of the house keeps "load seconds learned per server" with the model; a row per pair is what that needs, and it also holds
the server's own spelling of the name and the cool-down of the pair.
"""

from django.db import models

from cluster.models.model import LanguageModel
from cluster.models.server import Server


class Offer(models.Model):
    """One model on one server's disk."""

    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="offers")
    model = models.ForeignKey(LanguageModel, on_delete=models.CASCADE, related_name="offers")
    key = models.CharField(max_length=300, help_text="The server's own spelling.")
    pinned = models.BooleanField("keep loaded here", default=False, help_text="Loaded as soon as there is room, and never evicted.")
    size_bytes = models.BigIntegerField(null=True, blank=True)
    format = models.CharField(max_length=20, blank=True)
    load_seconds = models.FloatField(null=True, blank=True, help_text="Learned from loads here, recent ones counting more.")
    tokens_per_s = models.FloatField(null=True, blank=True, help_text="Learned from answers here, of one request.")
    prefill_per_s = models.FloatField(null=True, blank=True, help_text="Learned: tokens of prompt read a second.")
    answer_seconds = models.FloatField(null=True, blank=True, help_text="Learned: a whole answer.")
    answer_spread = models.FloatField(null=True, blank=True, help_text="Learned: how far answers stray from that, seconds.")
    answers = models.FloatField(default=0.0, help_text="How many answers that rests on; old ones count less and less.")
    answered_at = models.DateTimeField(null=True, blank=True)
    context_limit = models.PositiveIntegerField(
        null=True, blank=True, help_text="With more context it did not fit into this server's memory."
    )
    crashed_at = models.DateTimeField(null=True, blank=True, help_text="The engine crashed here: one answer at a time for a while.")
    cooldown_until = models.DateTimeField(null=True, blank=True, help_text="No load is tried here before.")
    cooldown_reason = models.TextField(blank=True)
    listed_at = models.DateTimeField(help_text="Since when the list says so.")

    class Meta:
        ordering = ["server", "model"]
        constraints = [models.UniqueConstraint(name="offer_once_per_server_and_model", fields=["server", "model"])]

    def __str__(self) -> str:
        return f"{self.model} on {self.server}"
