"""The emulator's own page: the chat, and a line to type into."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape

from conversations.feed import fields, identity
from conversations.feed.emulator.reply import Json
from conversations.feed.values import NAME_LIMIT, TEXT_LIMIT

POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; form-action 'self'; base-uri 'none'"
"""The Content-Security-Policy of both pages: nothing runs in them."""

SHOWN = 200
"""Messages on the page, the newest on top."""

_STYLE = """
body { background: #0b100c; color: #cfe8d2; font: 16px/1.5 ui-monospace, monospace; margin: 0 auto; max-width: 60rem; padding: 1rem }
h1 { font-size: 1.1rem; margin: 0 0 .6rem } iframe { border: 1px solid #2c3d2f; height: 70vh; width: 100% }
form { display: flex; flex-wrap: wrap; gap: .5rem; margin: 0 0 .8rem } input, select, button { background: #142017;
border: 1px solid #3a523e; color: inherit; font: inherit; padding: .35rem .5rem } input[name=text] { flex: 1 1 20rem } p { margin: .2rem 0; overflow-wrap: anywhere }
time, small { color: #7f9a83 } .ai { background: #132318; border-left: 3px solid #4caf6a; padding-left: .5rem }
"""


def frame(title: str, entities: Sequence[str], form: Mapping[str, str]) -> str:
    """The whole page: the form, with what was typed last, around a list that renews itself."""
    options = "".join(
        f'<option value="{escape(one)}"{" selected" if one == form.get("entity") else ""}>to {escape(one)}</option>' for one in entities
    )
    select = f'<select name="entity" aria-label="To whom"><option value="">to everybody</option>{options}</select>' if entities else ""
    name = escape(form.get("name", ""))
    return _html(
        title,
        f"<h1>{escape(title)}</h1>"
        '<form method="post" action="/chat">'
        f'<input name="name" value="{name}" maxlength="{NAME_LIMIT}" placeholder="your name" aria-label="Your name" size="16">{select}'
        f'<input name="text" maxlength="{TEXT_LIMIT}" placeholder="say something" aria-label="Message" required autofocus>'
        "<button>Say</button></form>"
        '<iframe src="/chat?part=list" title="The conversation"></iframe>',
    )


def listing(messages: Sequence[Json]) -> str:
    """The list alone, which loads itself again every 2 s; `messages` oldest first."""
    texts = {one["id"]: str(one.get("text", "")) for one in messages}
    lines = "".join(_line(one, texts) for one in reversed(messages[-SHOWN:]))
    return _html("Conversation", lines or "<p><small>Nobody has said anything yet.</small></p>", '<meta http-equiv="refresh" content="2">')


def _line(message: Json, texts: Mapping[object, str]) -> str:
    at = datetime.fromtimestamp((fields.millis(message.get("timestamp")) or 0) / 1000, UTC)
    digits = re.fullmatch(r"(\d{3})(\d{3})(\d{3})(-\w+)?", identity.color(str(message.get("color") or "")))
    shade = f"rgb({int(digits[1])}, {int(digits[2])}, {int(digits[3])})" if digits else "inherit"
    ai = message.get("message-type") == "AI"
    quoted = texts.get(message.get("replyTo"), "")
    reply = f"<small> ↳ {escape(identity.cut(quoted, 60))}</small>" if quoted else ""
    params = message.get("botParams")
    entity = params.get("entity") if isinstance(params, dict) else None
    to = f" <small>to {escape(str(entity))}</small>" if entity and not ai else ""
    name = escape(str(message.get("username") or "anon"))
    text = escape(fields.scrub(str(message.get("text") or "")))
    who = f'<b style="color: {shade}">{name}</b>{" <small>AI</small>" if ai else ""}{to}'
    return f'<p class="{"ai" if ai else "human"}"><time>{at:%H:%M:%S}</time> {who}: {text}{reply}</p>'


def _html(title: str, body: str, head: str = "") -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>{head}'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>{body}</body></html>'
    )
