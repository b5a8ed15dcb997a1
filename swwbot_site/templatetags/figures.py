"""Times and amounts as people read them."""

from datetime import datetime

from django import template

from swwbot_site.lib import clock, words

register = template.Library()


@register.filter
def ago(then: datetime | None) -> str:
    """ "12 s ago", "in 3 min", "–" for never."""
    return words.ago(then, clock.now())


@register.filter
def age(then: datetime | None) -> str:
    """ "12 s", "3 min", "–" for never."""
    return words.span(None if then is None else abs(clock.now() - then))


@register.filter
def seconds(length: float | None) -> str:
    """ "0.4 s", "12 s", "3 min", "–" for none."""
    return words.span(length)
