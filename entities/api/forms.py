"""What programs may say of personas and their limits."""

from typing import Any

from rest_framework import serializers

from entities.change import WRITTEN
from entities.logic.turns import ROLES
from entities.models import Entity, RateLimit
from swwbot_site.lib.forms import Form, RowForm, Texts

FEEDS: Any = RateLimit._meta.get_field("feed").related_model


class WarmupForm(Form):
    """A turn before the conversation."""

    role = serializers.ChoiceField(choices=[(role, role) for role in ROLES])
    content = serializers.CharField(trim_whitespace=False, max_length=100_000)


class EntityForm(RowForm[Entity]):
    """A persona as people write it. It is switched on and off with `enable` and `disable`."""

    aliases = Texts(required=False)
    triggers = Texts(required=False)
    responds_to_these_ai = Texts(required=False)
    stop = Texts(required=False)
    filter_out = Texts(required=False)
    trim_after = Texts(required=False)
    interests = Texts(required=False)
    warmup = serializers.ListField(child=WarmupForm(), required=False, max_length=1_000)
    extra = serializers.DictField(required=False)

    class Meta:
        model = Entity
        fields: tuple[str, ...] = WRITTEN
        extra_kwargs = {
            "slug": {"validators": [], "max_length": 100},
            "system_prompt": {"trim_whitespace": False, "max_length": 1_000_000},
            "user_prompt": {"trim_whitespace": False, "max_length": 1_000_000},
        }

    def validate_warmup(self, turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Plain turns."""
        return [dict(turn) for turn in turns]

    def validate_slug(self, slug: str) -> str:
        """An id that an address can hold. Raises ValidationError."""
        if "/" in slug:
            raise serializers.ValidationError("An id has no slash.")
        return slug


class NewEntityForm(EntityForm):
    """A new persona; it is on unless `enabled` is false."""

    class Meta(EntityForm.Meta):
        fields = (*EntityForm.Meta.fields, "enabled")


class CloneForm(Form):
    """What the copy is called."""

    id = serializers.CharField(max_length=100, help_text="How configuration and messages name it.")
    username = serializers.CharField(max_length=16, help_text="The name it posts under.")


class RollbackForm(Form):
    """Which version."""

    version = serializers.IntegerField(min_value=1, max_value=2**31 - 1)


class LimitForm(RowForm[RateLimit]):
    """At most `amount` posts in any `every` minutes, hours or days (`kind`), or so many seconds between two (`gap`)."""

    entity = serializers.SlugRelatedField(
        slug_field="slug", queryset=Entity.objects.all(), required=False, allow_null=True, help_text="Its id; null: all together."
    )
    feed: Any = serializers.SlugRelatedField(
        slug_field="name", queryset=FEEDS.objects.all(), required=False, allow_null=True, help_text="Its name; null: in all feeds."
    )
    amount = serializers.IntegerField(min_value=1, max_value=2**31 - 1)
    every = serializers.IntegerField(required=False, min_value=1, max_value=2**15 - 1)

    class Meta:
        model = RateLimit
        fields = ("entity", "feed", "kind", "amount", "every")
        validators: tuple[Any, ...] = ()


class ResetForm(Form):
    """Whose posts are forgiven, and for which limits; nothing said: all of all."""

    entity: Any = serializers.SlugRelatedField(slug_field="slug", queryset=Entity.objects.all(), required=False, allow_null=True)
    feed: Any = serializers.SlugRelatedField(slug_field="name", queryset=FEEDS.objects.all(), required=False, allow_null=True)
    kind = serializers.ChoiceField(choices=RateLimit.Kind.choices, required=False, allow_null=True)
