"""A persona: who it is, which model speaks for it, and when it speaks."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from simple_history.models import HistoricalRecords


class Version(models.Model):
    """What a version keeps besides the columns."""

    limits = models.JSONField(
        null=True, editable=False, help_text="The rate limits of that moment: kind, amount, every, feed. Null: kept before limits were."
    )

    class Meta:
        abstract = True


class Entity(models.Model):
    """One AI persona. Every change is kept as a version."""

    class Format(models.TextChoices):
        BLOB = "blob", "one text with the context in it (September)"
        JOINED = "joined", "one message of everything (October)"
        TURNS = "turns", "a conversation in turns (November)"

    class WhenLimited(models.TextChoices):
        WAIT = "wait", "wait until the limits allow it"
        DROP = "drop", "drop it and say so"

    class Newlines(models.TextChoices):
        KEEP = "keep", "keep them"
        FOLD = "fold", "make them spaces"
        FIRST = "first", "end the answer at the first"

    class Marks(models.TextChoices):
        KEEP = "keep", "leave them"
        STRIP = "strip", "take them out"
        DROP = "drop", "do not post such an answer"

    class Role(models.TextChoices):
        SYSTEM = "system", "system"
        ASSISTANT = "assistant", "assistant"
        USER = "user", "user"

    slug = models.CharField("id", max_length=100, unique=True, help_text="How configuration and messages name it, for example philosopher.")
    username = models.CharField(max_length=16, help_text="The name it posts under, at most 16 characters; several entities may share one.")
    color = models.CharField(max_length=40, help_text="rgb(128, 0, 255) or 128000255, with or without the newest suffix.")
    model = models.CharField(max_length=300, blank=True, help_text="Which model speaks for it. Empty: the cluster's default model.")
    preferred_server = models.CharField(
        max_length=100, blank=True, help_text="Name or address of the only server that may answer. Empty: any."
    )
    enabled = models.BooleanField(default=True)
    disabled_reason = models.TextField(blank=True)
    aliases = models.JSONField(default=list, blank=True, help_text="Other names it answers to.")
    triggers = models.JSONField(
        default=list,
        blank=True,
        help_text="Words or commands that it always answers, such as ping or !fact; whole words, once per message.",
    )
    enabled_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="Failures before this are forgiven.")
    max_failures = models.PositiveSmallIntegerField(
        default=5, help_text="After so many failed answers in a row it switches itself off. 0: never."
    )

    system_prompt = models.TextField(help_text="Who it is and how it speaks.")
    user_prompt = models.TextField(blank=True, default="Generate a response based on the conversation context.")
    prompt_format = models.CharField(max_length=8, choices=Format, default=Format.BLOB)
    system_role = models.CharField(max_length=10, choices=Role, default=Role.SYSTEM)
    messages_to_read = models.PositiveSmallIntegerField(
        default=50, validators=[MinValueValidator(1), MaxValueValidator(1000)], help_text="How much of the conversation it sees (nom)."
    )
    add_newline_to_context = models.BooleanField(default=False)
    add_entity_username = models.BooleanField(default=False, help_text="End the prompt with its name and a colon.")

    keep_names = models.BooleanField(default=True, help_text="In turns: each line begins with its speaker's name.")
    warmup = models.JSONField(
        "warm-up turns", default=list, blank=True, help_text='Turns before the conversation: [{"role": "user", "content": "…"}, …].'
    )
    use_traits = models.BooleanField("traits in the prompt", default=False, help_text="End the system prompt with style and mood.")

    temperature = models.FloatField(null=True, blank=True)
    max_tokens = models.PositiveIntegerField(null=True, blank=True)
    top_p = models.FloatField(null=True, blank=True)
    top_k = models.PositiveIntegerField(null=True, blank=True)
    min_p = models.FloatField(null=True, blank=True)
    repeat_penalty = models.FloatField(null=True, blank=True)
    frequency_penalty = models.FloatField(null=True, blank=True, default=0.3)
    presence_penalty = models.FloatField(null=True, blank=True, default=0.3)
    stop = models.JSONField(default=list, blank=True, help_text="Texts that end an answer.")

    filter_out = models.JSONField(default=list, blank=True, help_text="Phrases to delete from an answer.")
    trim_after = models.JSONField(default=list, blank=True, help_text="An answer ends before the earliest of these.")
    trim_whitespace = models.BooleanField(default=True)
    newlines = models.CharField(
        max_length=5, choices=Newlines, default=Newlines.KEEP, help_text="What becomes of line breaks in an answer."
    )
    links = models.CharField(max_length=5, choices=Marks, default=Marks.KEEP, help_text="What becomes of web addresses in an answer.")
    markup = models.CharField(max_length=5, choices=Marks, default=Marks.KEEP, help_text="What becomes of Markdown and HTML in an answer.")
    max_similarity = models.FloatField(
        default=0.9, help_text="0 … 1: an answer by chance that is so similar to one of its last posts is dropped. 1: only the same words."
    )

    response_chance = models.FloatField(default=0.0, help_text="0 … 1: how likely it answers a message that is not meant for it.")
    weight = models.FloatField(default=1.0, help_text="Against 1, when one of several is chosen.")
    priority = models.PositiveSmallIntegerField(default=50, help_text="0 is first, 99 last.")
    responds_to_humans = models.BooleanField(default=True)
    responds_to_all_ai = models.BooleanField(
        default=False, help_text="Answers other bots too. Own personas never answer each other by accident."
    )
    responds_to_these_ai = models.JSONField(default=list, blank=True, help_text="Ids of the entities it answers, if not all.")
    max_age_s = models.PositiveIntegerField(default=300, help_text="A message older than this is not answered.")
    when_limited = models.CharField(
        max_length=4, choices=WhenLimited, default=WhenLimited.WAIT, help_text="A message meant for it while its limits refuse."
    )
    hold = models.BooleanField("hold for approval", default=False, help_text="Its answers wait for a person before they are posted.")

    cache_answers = models.BooleanField(
        "share answers", default=True, help_text="An exactly equal request may get the same answer, for a while. Off: each is asked anew."
    )

    style = models.CharField(max_length=200, blank=True)
    mood = models.CharField(max_length=200, blank=True)
    interests = models.JSONField(default=list, blank=True)
    extra = models.JSONField(default=dict, blank=True, help_text="What its configuration file says besides, kept for export.")

    history = HistoricalRecords(bases=[Version])

    class Meta:
        ordering = ["slug"]
        verbose_name_plural = "entities"
        constraints = [
            models.CheckConstraint(name="entity_slug_not_empty", condition=~Q(slug="")),
            models.CheckConstraint(name="entity_chance_0_to_1", condition=Q(response_chance__gte=0, response_chance__lte=1)),
            models.CheckConstraint(name="entity_priority_0_to_99", condition=Q(priority__gte=0, priority__lte=99)),
            models.CheckConstraint(name="entity_reads_something", condition=Q(messages_to_read__gte=1)),
            models.CheckConstraint(name="entity_weight_not_negative", condition=Q(weight__gte=0)),
            models.CheckConstraint(name="entity_max_age_positive", condition=Q(max_age_s__gt=0)),
            models.CheckConstraint(name="entity_similarity_0_to_1", condition=Q(max_similarity__gt=0, max_similarity__lte=1)),
            models.CheckConstraint(name="entity_max_tokens_positive", condition=Q(max_tokens__isnull=True) | Q(max_tokens__gt=0)),
        ]

    def __str__(self) -> str:
        return self.slug
