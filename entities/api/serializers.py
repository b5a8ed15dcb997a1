"""Personas and what their limits leave them, as JSON."""

from typing import Any

from rest_framework import serializers

from entities.models import Entity, RateLimit


class EntitySerializer(serializers.ModelSerializer[Entity]):
    """A persona: who it is and when it speaks."""

    aliases = serializers.ListField(child=serializers.CharField(), read_only=True)
    responds_to_these_ai = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = Entity
        fields: tuple[str, ...] = (
            "id",
            "slug",
            "username",
            "color",
            "model",
            "preferred_server",
            "enabled",
            "disabled_reason",
            "aliases",
            "messages_to_read",
            "response_chance",
            "weight",
            "priority",
            "responds_to_humans",
            "responds_to_all_ai",
            "responds_to_these_ai",
            "max_age_s",
            "when_limited",
            "hold",
            "cache_answers",
        )
        read_only_fields: tuple[str, ...] = fields


class WholeEntitySerializer(EntitySerializer):
    """A persona with its prompts, its sampling and how its answers are cleaned."""

    stop = serializers.ListField(child=serializers.CharField(), read_only=True)
    filter_out = serializers.ListField(child=serializers.CharField(), read_only=True)
    trim_after = serializers.ListField(child=serializers.CharField(), read_only=True)
    interests = serializers.ListField(child=serializers.CharField(), read_only=True)
    triggers = serializers.ListField(child=serializers.CharField(), read_only=True)
    warmup = serializers.ListField(child=serializers.DictField(), read_only=True)
    extra = serializers.DictField(read_only=True)

    class Meta(EntitySerializer.Meta):
        fields = (
            *EntitySerializer.Meta.fields,
            "system_prompt",
            "user_prompt",
            "prompt_format",
            "system_role",
            "add_newline_to_context",
            "add_entity_username",
            "keep_names",
            "warmup",
            "use_traits",
            "temperature",
            "max_tokens",
            "top_p",
            "top_k",
            "min_p",
            "repeat_penalty",
            "frequency_penalty",
            "presence_penalty",
            "stop",
            "filter_out",
            "trim_after",
            "trim_whitespace",
            "newlines",
            "links",
            "markup",
            "max_similarity",
            "max_failures",
            "triggers",
            "style",
            "mood",
            "interests",
            "extra",
        )
        read_only_fields = fields


class LeftSerializer(serializers.Serializer[Any]):
    """One limit: `amount` posts in any `every` minutes, hours or days (`kind`), or seconds between two (gap); what remains of it now."""

    kind = serializers.CharField(source="rule.kind")
    amount = serializers.IntegerField(source="rule.amount")
    every = serializers.IntegerField(source="rule.every", help_text="So many minutes, hours or days.")
    feed = serializers.CharField(source="rule.feed", help_text="The only feed whose posts it counts; empty: all together.")
    shared = serializers.BooleanField(source="rule.whole", help_text="A limit of all entities together.")
    remaining = serializers.IntegerField()
    free_at = serializers.DateTimeField(allow_null=True, help_text="When one more is free; null: now.")
    pending = serializers.BooleanField(help_text="Only posts under way are in the way: free_at is when to look again.")


class QuotaSerializer(serializers.Serializer[Any]):
    """Whether an entity may post now; if not, why and when to ask again."""

    allowed = serializers.BooleanField()
    why = serializers.CharField()
    free_at = serializers.DateTimeField(allow_null=True, help_text="When it may post again; null: now.")
    limits = LeftSerializer(source="left", many=True)


class LimitSerializer(serializers.ModelSerializer[RateLimit]):
    """A limit and what it leaves now. `pending`: only posts under way are in the way, and free_at is when to look again."""

    entity: serializers.SlugRelatedField[Entity] = serializers.SlugRelatedField(slug_field="slug", read_only=True, allow_null=True)
    feed: Any = serializers.SlugRelatedField(slug_field="name", read_only=True, allow_null=True)
    remaining = serializers.IntegerField(source="standing.remaining", read_only=True)
    free_at = serializers.DateTimeField(
        source="standing.free_at", read_only=True, allow_null=True, help_text="When one more is free; null: now."
    )
    pending = serializers.BooleanField(source="standing.pending", read_only=True)

    class Meta:
        model = RateLimit
        fields = ("id", "entity", "feed", "kind", "amount", "every", "remaining", "free_at", "pending")
        read_only_fields = fields


class ForgivenSerializer(serializers.Serializer[Any]):
    """How many posts no limit counts any more."""

    forgiven = serializers.IntegerField()


class VersionSerializer(serializers.Serializer[Any]):
    """What an entity was: `number` names it, `what` is made, changed or deleted, `fields` those that changed with it."""

    number = serializers.IntegerField()
    at = serializers.DateTimeField()
    who = serializers.CharField()
    why = serializers.CharField()
    what = serializers.CharField()
    fields = serializers.ListField(child=serializers.CharField())  # type: ignore[assignment]  # a value of that name


class DifferenceSerializer(serializers.Serializer[Any]):
    """One field that is not the same. `lines` are those of a unified diff: only long texts have them."""

    field = serializers.CharField()
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)
    lines = serializers.ListField(child=serializers.CharField())
