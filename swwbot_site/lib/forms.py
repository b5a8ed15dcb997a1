"""What a request may say, field by field; whatever else it says is refused by name."""

from collections.abc import Mapping
from typing import Any, TypeVar

from django.db.models import Model
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

M = TypeVar("M", bound=Model)


class _Strict:
    """Unknown fields are an error: a misspelt one must not look like one that was taken."""

    def to_internal_value(self: Any, data: Any) -> Any:
        """The values. Raises ValidationError."""
        if isinstance(data, Mapping) and (
            strange := sorted(set(data) - {name for name, field in self.fields.items() if not field.read_only})
        ):
            known = ", ".join(name for name, field in self.fields.items() if not field.read_only) or "none"
            raise ValidationError({name: [f"no such field; there are: {known}"] for name in strange})
        return super().to_internal_value(data)  # type: ignore[misc]  # a mixin of serializers


class Form(_Strict, serializers.Serializer[Any]):
    """The words of one deed."""


class RowForm(_Strict, serializers.ModelSerializer[M]):
    """The columns of a row that people write. The verb saves them; unique columns are the database's business, told as a conflict."""


class Texts(serializers.ListField):
    """A list of texts, none of them empty."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(child=serializers.CharField(trim_whitespace=False, max_length=2_000), max_length=1_000, **kwargs)


class Why(Form):
    """Why something is done, for the record."""

    why = serializers.CharField(required=False, default="", allow_blank=True, max_length=2_000)


class Nothing(Form):
    """Nothing needs to be said."""
