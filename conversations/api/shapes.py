"""Ensembles, the conversation's settings and the global stop as JSON."""

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from conversations.models import ConversationPolicy, Ensemble


class StepSerializer(serializers.Serializer[Any]):
    """One step of an ensemble. `seconds` from being asked to having answered; `posted` is the state of its reply."""

    ordinal = serializers.IntegerField()
    entity = serializers.CharField()
    username = serializers.CharField()
    synthesis = serializers.BooleanField()
    state = serializers.CharField()
    text = serializers.CharField()
    reason = serializers.CharField()
    model = serializers.CharField()
    server = serializers.CharField()
    seconds = serializers.FloatField(allow_null=True)
    posted = serializers.CharField()


class EnsembleSerializer(serializers.ModelSerializer[Ensemble]):
    """One question to several, and what became of it; `text` is the synthesis."""

    synthesizer: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(slug_field="slug", read_only=True, allow_null=True)

    class Meta:
        model = Ensemble
        fields: tuple[str, ...] = (
            "id",
            "state",
            "question",
            "message",
            "synthesizer",
            "post",
            "asked_by",
            "priority",
            "key",
            "created_at",
            "deadline",
            "ended_at",
            "text",
            "reason",
        )
        read_only_fields: tuple[str, ...] = fields


class WholeEnsembleSerializer(EnsembleSerializer):
    """An ensemble with its steps, in their order."""

    steps = StepSerializer(many=True, read_only=True)

    class Meta(EnsembleSerializer.Meta):
        fields = (*EnsembleSerializer.Meta.fields, "steps")
        read_only_fields = fields


@extend_schema_serializer(many=False)
class TalkSerializer(serializers.ModelSerializer[ConversationPolicy]):
    """What holds for all entities."""

    filter_out = serializers.ListField(child=serializers.CharField(), read_only=True)
    trim_after = serializers.ListField(child=serializers.CharField(), read_only=True)
    stop = serializers.ListField(child=serializers.CharField(), read_only=True)
    warmup = serializers.ListField(child=serializers.DictField(child=serializers.CharField()), read_only=True)

    class Meta:
        model = ConversationPolicy
        fields = ("filter_out", "trim_after", "stop", "warmup", "try_again", "require_human_s")
        read_only_fields = fields


@extend_schema_serializer(many=False)
class PostingSerializer(serializers.ModelSerializer[ConversationPolicy]):
    """Whether anything is posted anywhere; if not, since when, by whose word, and why."""

    class Meta:
        model = ConversationPolicy
        fields = ("stopped", "stopped_at", "stopped_by", "stop_reason")
        read_only_fields = fields
