"""The project's own rows: what happened, for people; which configuration was read, by whom; who may speak to the API; whom we tell."""

from django.conf import settings
from django.core.validators import URLValidator
from django.db import models
from django.db.models import Q

from swwbot_site.lib.leases import Leased
from swwbot_site.retention.row import Retention  # noqa: F401 - one of this app's rows
from swwbot_site.webhooks.attempts import MOVES


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


class ConfigImport(models.Model):
    """One content of a configuration file, as a machine met it. The newest imported one of each source is what the source says now.

    Kept so that the next import knows what the file said before and says no longer, so that a file is not read again while it stays the
    same, and so that a machine with an older copy of it does not bring that back.
    """

    class Outcome(models.TextChoices):
        IMPORTED = "imported", "imported"
        REJECTED = "rejected", "rejected"
        STALE = "stale", "an older copy, not imported"

    source = models.CharField(max_length=200, help_text="The file's name without its folder.")
    host = models.CharField(max_length=200, help_text="The machine it was read on.")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the content.")
    outcome = models.CharField(max_length=10, choices=Outcome)
    at = models.DateTimeField()
    version = models.TextField(blank=True, help_text="What the file calls its version.")
    said = models.JSONField(default=dict, blank=True, help_text="kind → name → columns: what the file says, without the values.")
    retired = models.JSONField(default=dict, blank=True, help_text="kind → names that are disabled because the file names them no longer.")

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(name="config_source", fields=["source", "-id"])]

    def __str__(self) -> str:
        return f"{self.source} ({self.outcome})"


class Token(models.Model):
    """The right of a program to speak to the API. The secret itself is shown once and kept nowhere."""

    class Scope(models.TextChoices):
        READ = "read", "look at everything"
        OPERATE = "operate", "switch, stop, approve, load and unload"
        GENERATE = "generate", "ask the cluster for answers"
        ADMINISTER = "administer", "change entities, servers, policies and configuration"

    name = models.CharField(max_length=100, unique=True, help_text="Which program it is for.")
    prefix = models.CharField(max_length=12, unique=True, editable=False, help_text="How the secret begins; so it is found and told.")
    digest = models.CharField(max_length=64, editable=False, help_text="SHA-256 of the secret.")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="tokens", help_text="On whose behalf it acts."
    )
    scopes = models.JSONField(default=list, help_text="read, operate, generate, administer.")
    priority = models.PositiveSmallIntegerField(default=50, help_text="Of its requests to models; 0 is first, 99 last.")
    models_allowed = models.JSONField("models", default=list, blank=True, help_text="The models it may ask. None: all.")
    per_minute = models.PositiveIntegerField(default=600, help_text="Requests it may make in a minute.")
    at_once = models.PositiveIntegerField(default=0, help_text="Answers of models it may wait for at the same time. 0: any number.")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: never.")
    revoked_at = models.DateTimeField(null=True, blank=True)
    used_at = models.DateTimeField("last used", null=True, blank=True, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(name="token_priority_0_to_99", condition=Q(priority__gte=0, priority__lte=99)),
            models.CheckConstraint(name="token_rate_positive", condition=Q(per_minute__gt=0)),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class Repeat(models.Model):
    """A request with an idempotency key, and the answer it got: whoever asks again gets the same."""

    token = models.ForeignKey(Token, on_delete=models.CASCADE, null=True, blank=True, related_name="repeats")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    key = models.CharField(max_length=200)
    digest = models.CharField(max_length=64, help_text="SHA-256 of method, path and body.")
    status = models.PositiveSmallIntegerField(null=True, blank=True, help_text="Empty: it is still being done.")
    body = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(name="repeat_once", fields=["token", "user", "key"], nulls_distinct=False)]
        indexes = [models.Index(name="repeat_age", fields=["created_at"])]

    def __str__(self) -> str:
        return self.key


class Webhook(models.Model):
    """Where events are told, as signed JSON."""

    name = models.CharField(max_length=100, unique=True)
    url = models.CharField(max_length=500, validators=[URLValidator(schemes=["http", "https"])])
    secret = models.CharField(max_length=200, help_text="Signs what is sent; shown once.")
    kinds = models.JSONField(default=list, blank=True, help_text="Kinds of events, or their beginnings such as reply. — none: all.")
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField()
    since = models.DateTimeField(editable=False, help_text="What happened before is not told: when it was made, or last switched on.")
    cursor = models.BigIntegerField(default=0, editable=False, help_text="Events up to this one have their deliveries.")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Delivery(Leased):
    """One event on its way to one webhook."""

    MOVES = MOVES
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="deliveries")
    state = models.CharField(max_length=10, default="waiting", help_text="waiting, delivered, failed.")
    attempts = models.PositiveSmallIntegerField(default=0)
    attempt_at = models.DateTimeField(help_text="The next attempt not before.")
    status = models.PositiveSmallIntegerField(null=True, blank=True, help_text="What the last attempt was answered with.")
    answer = models.TextField(blank=True, help_text="The beginning of that answer, or the error.")
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(name="delivery_once", fields=["webhook", "event"]),
            models.CheckConstraint(name="delivery_state_known", condition=Q(state__in=["waiting", "delivered", "failed"])),
        ]
        indexes = [models.Index(name="delivery_waiting", fields=["attempt_at"], condition=Q(state="waiting"))]

    def __str__(self) -> str:
        return f"event {self.event_id} to {self.webhook_id} ({self.state})"


class LoginAttempt(models.Model):
    """Somebody who has tried to log in and has not succeeded; what the throttle counts."""

    at = models.DateTimeField()
    address = models.CharField(max_length=45, help_text="Where from; of IPv6 the network.")
    name = models.CharField(max_length=64, help_text="SHA-256 of the name: people type their password there.")

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(name="attempt_address", fields=["address", "at"]), models.Index(name="attempt_name", fields=["name", "at"])]

    def __str__(self) -> str:
        return f"{self.address} at {self.at:%Y-%m-%d %H:%M:%S}"


class Tally(models.Model):
    """How much of something there was on a day: what counters for Prometheus are the sums of. It stays when the rows it counts go."""

    day = models.DateField(help_text="UTC.")
    name = models.CharField(max_length=40, help_text="Of what, for example tokens_in.")
    label = models.CharField(max_length=320, blank=True, help_text="Of which, for example the model.")
    value = models.FloatField()

    class Meta:
        ordering = ["-day", "name", "label"]
        verbose_name_plural = "tallies"
        constraints = [models.UniqueConstraint(name="tally_once", fields=["day", "name", "label"])]

    def __str__(self) -> str:
        return f"{self.name} {self.label} on {self.day}: {self.value:g}"


class Reckoning(models.Model):
    """How far the rows have been counted into tallies. There is one."""

    until = models.DateTimeField(null=True, blank=True, help_text="What ended up to then is counted.")
    message = models.BigIntegerField(default=0, help_text="Messages up to this one are counted.")

    def __str__(self) -> str:
        return f"counted until {self.until}"
