"""What chances are multiplied with: the rules that weigh on a message, and for whom."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

EVERYBODY: Final = "*"

Rule = tuple[str, Mapping[str, float]]
"""A rule's name, and entity id → factor; EVERYBODY means everybody, also those who have a factor of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """`common` is everybody's factor, `own` what some have besides, `failed` plugin → why its rules are missing."""

    rules: tuple[Rule, ...] = ()
    common: float = 1.0
    own: Mapping[str, float] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, rules: Iterable[Rule], failed: Mapping[str, str] | None = None) -> Self:
        """All rules together."""
        rules = tuple(rules)
        common = 1.0
        own: dict[str, float] = {}
        for _, factors in rules:
            for slug, factor in factors.items():
                if slug == EVERYBODY:
                    common *= factor
                else:
                    own[slug] = own.get(slug, 1.0) * factor
        return cls(rules=rules, common=common, own=own, failed=failed or {})

    def on(self, slug: str) -> dict[str, float]:
        """The rules that weigh on one entity, with their factors; those that change nothing are left out."""
        found: dict[str, float] = {}
        for name, factors in self.rules:
            factor = factors.get(EVERYBODY, 1.0) * factors.get(slug, 1.0)
            if factor != 1.0:
                found[name] = found.get(name, 1.0) * factor
        return found

    def shared(self) -> dict[str, float]:
        """The rules that weigh on everybody."""
        return {name: factors[EVERYBODY] for name, factors in self.rules if factors.get(EVERYBODY, 1.0) != 1.0}


def checked(given: Any) -> list[Rule]:
    """What a plugin gave, as rules. Raises ValueError, or TypeError, for what is none."""
    if not isinstance(given, Mapping):
        raise TypeError(f"it gave {type(given).__name__}, not a mapping of rules")
    rules: list[Rule] = []
    for name, factors in given.items():
        if not isinstance(factors, Mapping):
            raise TypeError(f"its rule {name!r} is no mapping of entity ids to factors")
        for slug, factor in factors.items():
            if isinstance(factor, bool) or not isinstance(factor, int | float) or not math.isfinite(factor) or factor < 0:
                raise ValueError(f"its rule {name!r} gives {slug!r} the factor {factor!r}; a factor is a number of at least 0")
        rules.append((str(name)[:60], factors))
    return rules
