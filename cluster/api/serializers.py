"""The cluster's rows as JSON. Sizes are GB of memory, times ISO 8601 in UTC; a server's token is in none of them."""

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from cluster.api.forms import DESCRIBED
from cluster.models import ClusterPolicy, Generation, LanguageModel, Offer, Placement, Server


class ServerSerializer(serializers.ModelSerializer[Server]):
    """A machine that runs LM Studio, as its owner describes it and as we last saw it."""

    formats = serializers.ListField(child=serializers.CharField(), read_only=True)
    preferred_models = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = Server
        fields = (
            "id",
            *DESCRIBED,
            "pool",
            "withdrawn_at",
            "enabled",
            "draining",
            "state",
            "state_reason",
            "state_since",
            "detected",
            "version",
            "jit",
            "latency_ms",
            "failures",
            "retry_at",
            "returned_at",
            "seen_at",
            "listed_at",
        )
        read_only_fields = fields


class OfferSerializer(serializers.ModelSerializer[Offer]):
    """That a server has a model on its disk, and what we learned of the pair."""

    server: serializers.SlugRelatedField[Server] = serializers.SlugRelatedField(slug_field="name", read_only=True)

    class Meta:
        model = Offer
        fields = (
            "server",
            "key",
            "pinned",
            "size_bytes",
            "format",
            "load_seconds",
            "tokens_per_s",
            "prefill_per_s",
            "answer_seconds",
            "answer_spread",
            "answers",
            "context_limit",
            "crashed_at",
            "cooldown_until",
            "cooldown_reason",
            "listed_at",
        )
        read_only_fields = fields


class ModelSerializer(serializers.ModelSerializer[LanguageModel]):
    """A model that entities ask for, under its canonical name."""

    aliases = serializers.ListField(child=serializers.CharField(), read_only=True)
    successor: serializers.SlugRelatedField[LanguageModel] = serializers.SlugRelatedField(slug_field="key", read_only=True, allow_null=True)

    class Meta:
        model = LanguageModel
        fields: tuple[str, ...] = (
            "id",
            "key",
            "aliases",
            "size_gb",
            "size_source",
            "size_bytes",
            "params",
            "context_length",
            "cache_ttl_s",
            "rate",
            "usual",
            "expected_at",
            "successor",
            "replaced_at",
            "max_context_length",
            "format",
            "kind",
        )
        read_only_fields: tuple[str, ...] = fields


class WholeModelSerializer(ModelSerializer):
    """A model with the servers that have it."""

    offers = OfferSerializer(many=True, read_only=True)

    class Meta(ModelSerializer.Meta):
        fields = (*ModelSerializer.Meta.fields, "offers")
        read_only_fields = fields


class PlacementSerializer(serializers.ModelSerializer[Placement]):
    """A model in a server's memory, or on its way in or out, or once there. `departure` says why it was told to leave.

    `scores`: requests that its load served sooner (gain) and later (cost), and what the gain had to exceed (bar).
    """

    server: serializers.SlugRelatedField[Server] = serializers.SlugRelatedField(slug_field="name", read_only=True)
    model: serializers.SlugRelatedField[LanguageModel] = serializers.SlugRelatedField(slug_field="key", read_only=True)

    scores = serializers.DictField(child=serializers.FloatField(), read_only=True)
    departure = serializers.DictField(read_only=True)

    class Meta:
        model = Placement
        fields = (
            "id",
            "server",
            "model",
            "state",
            "instance_id",
            "gb",
            "slots",
            "context_length",
            "pinned",
            "adopted",
            "reason",
            "scores",
            "departure",
            "caused_by",
            "preloaded",
            "created_at",
            "load_deadline",
            "loaded_at",
            "used_at",
            "ended_at",
            "failures",
            "rest_until",
        )
        read_only_fields = fields


class GenerationSerializer(serializers.ModelSerializer[Generation]):
    """One request to a model, without the request itself."""

    model: serializers.SlugRelatedField[LanguageModel] = serializers.SlugRelatedField(slug_field="key", read_only=True)
    server: serializers.SlugRelatedField[Server] = serializers.SlugRelatedField(slug_field="name", read_only=True, allow_null=True)
    pin: serializers.SlugRelatedField[Server] = serializers.SlugRelatedField(slug_field="name", read_only=True, allow_null=True)

    class Meta:
        model = Generation
        fields: tuple[str, ...] = (
            "id",
            "state",
            "model",
            "server",
            "placement",
            "pin",
            "priority",
            "caller",
            "attempts",
            "queued_at",
            "share_at",
            "turn_at",
            "leader",
            "not_before",
            "deadline",
            "seated_at",
            "asked_at",
            "first_token_at",
            "ended_at",
            "text",
            "finish_reason",
            "prompt_tokens",
            "completion_tokens",
            "error_code",
            "error",
            "cached",
        )
        read_only_fields: tuple[str, ...] = fields


class WholeGenerationSerializer(GenerationSerializer):
    """One request to a model: what was sent, why it ran where it ran, and what failed before."""

    request = serializers.DictField(read_only=True)
    decision = serializers.DictField(read_only=True)
    tried = serializers.ListField(child=serializers.DictField(), read_only=True)

    class Meta(GenerationSerializer.Meta):
        fields = (*GenerationSerializer.Meta.fields, "request", "reasoning", "decision", "tried")
        read_only_fields = fields


@extend_schema_serializer(many=False)
class PolicySerializer(serializers.ModelSerializer[ClusterPolicy]):
    """How the cluster behaves. Times are in seconds. `scale_webhook` is empty where nobody is called."""

    scale_webhook = serializers.CharField(read_only=True)

    class Meta:
        model = ClusterPolicy
        exclude = ("id",)
