"""What programs may say of the cluster's rows."""

from typing import Any

from rest_framework import serializers

from cluster.models import ClusterPolicy, LanguageModel, Server
from swwbot_site.lib.forms import Form, RowForm, Texts

DESCRIBED = (
    "name",
    "url",
    "dialect",
    "budget_gb",
    "slots",
    "formats",
    "preferred_models",
    "max_models",
    "region",
    "weight",
    "price_in",
    "price_out",
    "daily_budget",
)
"""What the owner of a server says of it, and everybody may see."""

SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repeat_penalty", "frequency_penalty", "presence_penalty")


class ServerForm(RowForm[Server]):
    """A server as its owner describes it. The token is taken and never shown; empty: it asks for none."""

    formats = Texts(required=False)
    preferred_models = Texts(required=False)
    token = serializers.CharField(required=False, allow_blank=True, max_length=500, write_only=True)

    class Meta:
        model = Server
        fields = ("token", *DESCRIBED)


class ModelForm(RowForm[LanguageModel]):
    """What people know of a model. A size that is given is never learned over."""

    aliases = Texts(required=False)

    class Meta:
        model = LanguageModel
        fields = ("aliases", "size_gb", "context_length", "cache_ttl_s")


class PolicyForm(RowForm[ClusterPolicy]):
    """The cluster's settings. Times are in seconds."""

    class Meta:
        model = ClusterPolicy
        exclude = ("id", *(field.name for field in ClusterPolicy._meta.concrete_fields if not field.editable and field.name != "id"))


class ServerNameForm(Form):
    """Which server."""

    server = serializers.CharField(max_length=100, help_text="A server's name.")


class SwapForm(Form):
    """Which model takes its place."""

    successor = serializers.CharField(max_length=300, help_text="The name of a model that a server has.")


class LoadForm(Form):
    """Which model is to be loaded where."""

    server = serializers.CharField(max_length=100, help_text="A server's name.")
    model = serializers.CharField(max_length=300, help_text="A model's name.")


class PriorityForm(Form):
    """How urgent it is to be."""

    priority = serializers.IntegerField(min_value=0, max_value=99, help_text="0 is first.")


class MessageForm(Form):
    """One message of a request."""

    role = serializers.ChoiceField(choices=[("system", "system"), ("user", "user"), ("assistant", "assistant")])
    content = serializers.CharField(trim_whitespace=False, max_length=2_000_000)


class GenerationForm(Form):
    """A request to a model."""

    model = serializers.CharField(required=False, default="", allow_blank=True, max_length=300, help_text="Empty: the default model.")
    messages = serializers.ListField(child=MessageForm(), allow_empty=False, max_length=2_000)
    temperature = serializers.FloatField(required=False, min_value=0, max_value=10)
    top_p = serializers.FloatField(required=False, min_value=0, max_value=1)
    top_k = serializers.IntegerField(required=False, min_value=0, max_value=1_000_000)
    min_p = serializers.FloatField(required=False, min_value=0, max_value=1)
    repeat_penalty = serializers.FloatField(required=False, min_value=0, max_value=10)
    frequency_penalty = serializers.FloatField(required=False, min_value=-10, max_value=10)
    presence_penalty = serializers.FloatField(required=False, min_value=-10, max_value=10)
    max_tokens = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=10_000_000)
    stop = Texts(required=False)
    priority = serializers.IntegerField(
        required=False, min_value=0, max_value=99, help_text="0 is first. A token's own is the most urgent."
    )
    seconds = serializers.FloatField(
        required=False, min_value=0.1, max_value=86_400, help_text="An answer that would begin later is worth nothing."
    )
    server = serializers.CharField(required=False, default="", allow_blank=True, max_length=500, help_text="The only one that may answer.")
    cache = serializers.BooleanField(required=False, default=True, help_text="It may share its answer with equal requests.")

    def sampling(self) -> dict[str, Any]:
        """The wire names that were given."""
        return {name: self.validated_data[name] for name in SAMPLING if name in self.validated_data}
