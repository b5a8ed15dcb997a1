"""The form of an entity: what no reader of its row could use is refused with a sentence."""

from typing import Any

from django.forms import ModelForm

from entities.logic.turns import TURNS, sound
from entities.objections import objections

TEXTS = ("aliases", "triggers", "stop", "filter_out", "trim_after", "responds_to_these_ai", "interests")


class EntityForm(ModelForm):  # type: ignore[type-arg]  # no parameter at run time
    """An entity that every reader of its row can use, and that no plugin objects to."""

    def clean(self) -> dict[str, Any]:
        """Lists hold texts, warm-up turns hold role and content."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for name in TEXTS:
            value = cleaned.get(name) or []
            if name in cleaned and not (isinstance(value, list) and all(isinstance(each, str) and each for each in value)):
                self.add_error(name, 'A list of texts, none of them empty, for example ["one", "two"].')
        turns = cleaned.get("warmup") or []
        if not (isinstance(turns, list) and all(sound(turn) for turn in turns)):
            self.add_error("warmup", f"Write {TURNS}.")
        if not isinstance(cleaned.get("extra") or {}, dict):
            self.add_error("extra", "An object, for example {}.")
        return cleaned

    def full_clean(self) -> None:
        """Ask the plugins last, about the entity as it would be."""
        super().full_clean()
        if self.is_bound and self.has_changed() and not self.errors:
            for problem in objections(self.instance):
                self.add_error(None, problem)
