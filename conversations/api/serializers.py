"""The conversation's rows and values as JSON. Chat text is what strangers wrote: escape it where it is shown."""

from typing import Any

from rest_framework import serializers

from conversations.models import Engine, Feed, Message, Reply


class FeedSerializer(serializers.ModelSerializer[Feed]):
    """A message backend: where the chat is read and answers are posted."""

    class Meta:
        model = Feed
        fields = (
            "id",
            "name",
            "url",
            "generation",
            "detected",
            "priority_direction",
            "enabled",
            "dry_run",
            "domain",
            "poll_interval_s",
            "overlap_s",
            "window_gap_s",
            "post_interval_s",
            "lost_after_s",
            "origin",
            "exempt",
            "max_text",
            "max_bot_run",
            "bot_decay",
            "max_repliers",
            "strategy",
            "worker",
            "cursor",
            "poll_at",
            "polled_at",
            "post_at",
            "failures",
            "error",
        )
        read_only_fields = fields


class MessageSerializer(serializers.ModelSerializer[Message]):
    """What the feed said, once. `timestamp` is the feed's, ms since 1970."""

    feed: serializers.SlugRelatedField[Feed] = serializers.SlugRelatedField(slug_field="name", read_only=True)
    debt = serializers.CharField(source="state", read_only=True, help_text="What the feed's own queue still waits to hear from us.")

    class Meta:
        model = Message
        fields: tuple[str, ...] = (
            "id",
            "feed",
            "remote_id",
            "timestamp",
            "kind",
            "username",
            "color",
            "domain",
            "text",
            "reply_to",
            "own",
            "received_at",
            "decided_at",
            "debt",
        )
        read_only_fields: tuple[str, ...] = fields


class WholeMessageSerializer(MessageSerializer):
    """A message as it came, with who was considered and why."""

    raw_id = serializers.JSONField(read_only=True, help_text="The id as the feed wrote it, number or text.")
    context = serializers.ListField(  # type: ignore[assignment]  # a column of that name; the serializer's own is a property
        child=serializers.CharField(), read_only=True, allow_null=True
    )
    bot_params = serializers.DictField(read_only=True, allow_null=True)
    verdict = serializers.DictField(read_only=True)
    replies: serializers.PrimaryKeyRelatedField[Reply] = serializers.PrimaryKeyRelatedField(many=True, read_only=True)

    class Meta(MessageSerializer.Meta):
        fields = (*MessageSerializer.Meta.fields, "raw_id", "context", "bot_params", "verdict", "replies")
        read_only_fields = fields


class ReplySerializer(serializers.ModelSerializer[Reply]):
    """One entity's answer to one message, from the verdict to the confirmed post."""

    entity: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(slug_field="slug", read_only=True)

    class Meta:
        model = Reply
        fields: tuple[str, ...] = (
            "id",
            "message",
            "entity",
            "generation",
            "state",
            "mode",
            "username",
            "color",
            "text",
            "reason",
            "outgoing_id",
            "outgoing_timestamp",
            "attempts",
            "attempt_at",
            "permit_at",
            "deadline",
            "decided_at",
            "ready_at",
            "accepted_at",
            "ended_at",
        )
        read_only_fields: tuple[str, ...] = fields


class WholeReplySerializer(ReplySerializer):
    """An answer with its verdict: the rules that fired, the probability, the dice, the limits left."""

    verdict = serializers.DictField(read_only=True)

    class Meta(ReplySerializer.Meta):
        fields = (*ReplySerializer.Meta.fields, "verdict")
        read_only_fields = fields


class EngineSerializer(serializers.ModelSerializer[Engine]):
    """An engine that runs, or ran."""

    queue = serializers.CharField(source="cluster", read_only=True, help_text="The django-q queue whose worker runs it.")

    class Meta:
        model = Engine
        fields = ("id", "owner", "queue", "host", "pid", "version", "started_at", "beat_at", "ended_at", "end_reason")
        read_only_fields = fields


class WorkerSerializer(serializers.Serializer[Any]):
    """An engine that has not ended; `living` says the database: its process holds its lock."""

    owner = serializers.IntegerField()
    host = serializers.CharField()
    pid = serializers.IntegerField()
    queue = serializers.CharField()
    version = serializers.CharField()
    started_at = serializers.DateTimeField()
    beat_at = serializers.DateTimeField()
    living = serializers.BooleanField()


class SourceSerializer(serializers.Serializer[Any]):
    """A feed at this moment; `generation` is empty until it is found out."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    url = serializers.CharField()
    generation = serializers.CharField()
    enabled = serializers.BooleanField()
    dry_run = serializers.BooleanField()
    polled_at = serializers.DateTimeField(allow_null=True)
    poll_interval_s = serializers.FloatField()
    failures = serializers.IntegerField()
    error = serializers.CharField()


class PaceSerializer(serializers.Serializer[Any]):
    """What happened lately: messages of humans read, answers posted, dropped and failed; and how many are under way now."""

    messages = serializers.IntegerField()
    posted = serializers.IntegerField()
    dropped = serializers.IntegerField()
    failed = serializers.IntegerField()
    open = serializers.IntegerField()
