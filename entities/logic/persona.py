"""A persona as a frozen value: what deciding, prompting and cleaning need of an entity."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Persona:
    """One entity. `id` is its primary key, `slug` the id that configuration and messages use."""

    id: int
    slug: str
    username: str
    color: str
    model: str = ""
    preferred_server: str = ""
    enabled: bool = True
    disabled_reason: str = ""
    aliases: tuple[str, ...] = ()
    triggers: tuple[str, ...] = ()
    """Whole words or commands that it always answers."""
    interests: tuple[str, ...] = ()
    style: str = ""
    mood: str = ""
    use_traits: bool = False
    """Style and mood end the system prompt."""
    system_prompt: str = ""
    user_prompt: str = ""
    prompt_format: str = "blob"
    system_role: str = "system"
    messages_to_read: int = 50
    add_newline_to_context: bool = False
    add_entity_username: bool = False
    keep_names: bool = True
    warmup: tuple[Mapping[str, str], ...] = ()
    """Turns before the conversation: role and content."""
    sampling: Mapping[str, float | int] = field(default_factory=dict)
    """Wire names: temperature, top_p, top_k, min_p, repeat_penalty, frequency_penalty, presence_penalty."""
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    filter_out: tuple[str, ...] = ()
    trim_after: tuple[str, ...] = ()
    trim_whitespace: bool = True
    newlines: str = "keep"
    """keep, fold, first."""
    links: str = "keep"
    """keep, strip, drop; so is `markup`."""
    markup: str = "keep"
    max_similarity: float = 0.9
    response_chance: float = 0.0
    weight: float = 1.0
    priority: int = 50
    responds_to_humans: bool = True
    responds_to_all_ai: bool = False
    responds_to_these_ai: tuple[str, ...] = ()
    max_age_s: int = 300
    when_limited: str = "wait"
    hold: bool = False
    max_failures: int = 5
    enabled_at: datetime | None = None
    """When it was switched on last: its failures before that are forgiven."""
    cache_answers: bool = True
    """An exactly equal request may get the same answer."""
