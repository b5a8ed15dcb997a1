"""What programs may say of the conversation's rows."""

from typing import Any

from rest_framework import serializers

from conversations.convene import LONGEST
from conversations.logic import ensemble as plan
from conversations.models import ConversationPolicy, Feed
from conversations.plug import WRITTEN
from swwbot_site.lib.forms import Form, RowForm, Texts

ROLES = [(role, role) for role in ("system", "user", "assistant")]


class FeedForm(RowForm[Feed]):
    """A message backend as people describe it. It is switched on and off with `enable` and `disable`."""

    class Meta:
        model = Feed
        fields: tuple[str, ...] = WRITTEN
        extra_kwargs: dict[str, Any] = {"name": {"validators": []}, "url": {"validators": []}}


class NewFeedForm(FeedForm):
    """A new message backend; it is on unless `enabled` is false."""

    class Meta(FeedForm.Meta):
        fields = (*FeedForm.Meta.fields, "enabled")


class EditForm(Form):
    """What is posted in its place."""

    text = serializers.CharField(max_length=100_000, trim_whitespace=False)


class OpeningForm(Form):
    """A turn before every conversation."""

    role = serializers.ChoiceField(choices=ROLES)
    content = serializers.CharField(trim_whitespace=False, max_length=100_000)


class TalkForm(RowForm[ConversationPolicy]):
    """What holds for all entities."""

    filter_out = Texts(required=False)
    trim_after = Texts(required=False)
    stop = Texts(required=False)
    warmup = serializers.ListField(child=OpeningForm(), required=False, max_length=1_000)

    class Meta:
        model = ConversationPolicy
        fields = ("filter_out", "trim_after", "stop", "warmup", "try_again", "require_human_s")

    def validate_warmup(self, turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Plain turns."""
        return [dict(turn) for turn in turns]


class AskForm(Form):
    """One question to several entities. Neither `entities` nor `count`: everybody who is enabled."""

    question = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=LONGEST, help_text="Empty: the message's text."
    )
    entities = serializers.ListField(
        child=serializers.CharField(max_length=100),
        required=False,
        allow_empty=False,
        max_length=plan.MOST,
        help_text="Ids, in the order of asking.",
    )
    count = serializers.IntegerField(required=False, min_value=1, max_value=plan.MOST, help_text="So many, drawn by `key`.")
    synthesizer = serializers.CharField(max_length=100, help_text="The id of the entity that writes the synthesis.")
    model = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=300, help_text="Of the synthesis; empty: its own."
    )
    message = serializers.IntegerField(required=False, default=None, allow_null=True, min_value=1, max_value=2**63 - 1)
    post = serializers.BooleanField(required=False, default=False, help_text="Post every answer to that message.")
    priority = serializers.IntegerField(required=False, default=50, min_value=0, max_value=99)
    seconds = serializers.FloatField(required=False, default=None, allow_null=True, min_value=1, max_value=86_400)
    voice_prompt = serializers.CharField(required=False, default="", allow_blank=True, trim_whitespace=False, max_length=LONGEST)
    synthesis_prompt = serializers.CharField(required=False, default="", allow_blank=True, trim_whitespace=False, max_length=LONGEST)
    key = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=200, help_text="Asked twice with one key is asked once."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Named, or so many. Raises ValidationError."""
        if "entities" in attrs and "count" in attrs:
            raise serializers.ValidationError({"count": "Give either entities or count."})
        return attrs
