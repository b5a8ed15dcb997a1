"""Times and amounts as people read them."""

from datetime import datetime, timedelta

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from swwbot_site.lib import words

register = template.Library()


@register.filter
def seconds(length: float | None) -> str:
    """ "0.4 s", "12 s", "3 min", "–" for none."""
    return words.span(length)


@register.filter
def when(moment: datetime | None, form: str = "ago") -> SafeString:
    """A moment that the page's script tells as a distance from now: `ago` ("12 s ago", "in 3 min"), `age` ("12 s"); without it, the time.

    The HTML of a moment never changes, however long it is ago. "–" for never.
    """
    if moment is None:
        return SafeString("–")
    day, time = f"{moment:%Y-%m-%d %H:%M:%S} UTC", f"{moment:%H:%M:%S} UTC"
    return format_html('<time datetime="{}" data-form="{}" title="{}">{}</time>', moment.isoformat(), form, day, time)


@register.filter
def end(begun: datetime, length: float) -> str:
    """The moment `length` seconds after `begun`, for machines."""
    return (begun + timedelta(seconds=length)).isoformat()
