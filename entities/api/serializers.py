"""Personas and what their limits leave them, as JSON."""

from typing import Any

from rest_framework import serializers

from entities.models import Entity


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
