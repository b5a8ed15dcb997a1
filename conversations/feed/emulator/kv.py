"""The KV backends: September, October with PATCH, and the last one with its queue."""

import random
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Literal
from urllib.parse import urlsplit

from conversations.feed import identity
from conversations.feed.emulator import javascript
from conversations.feed.emulator.quirks import Quirks
from conversations.feed.emulator.reply import Json, Reply, missing, refusal
from conversations.feed.emulator.shelf import Shelf, stamp
from conversations.feed.values import Generation

FRESH = {"Cache-Control": "no-cache, no-store, must-revalidate"}
BOT_HOST = "ai.saywhatwant.app"
FREE_DOMAINS = (BOT_HOST, "saywhatwant.app")
LOOPBACK = ("127.0.0.1", "::1")


class KV:
    """One KV backend. Its methods answer as the server does; `now` gives ms since 1970."""

    def __init__(self, generation: Generation, *, quirks: Quirks, dice: random.Random, now: Callable[[], int]) -> None:
        self.generation = generation
        self.quirks = quirks
        self._dice = dice
        self._now = now
        self._last = generation is Generation.KV_QUEUE
        self.shelf = Shelf(size=200 if self._last else 500, by_time=self._last, quirks=quirks, dice=dice, now=now)
        self.rates: dict[str, tuple[int, int]] = {}
        self.posted = 0
        self.last_post = 0
        self.traffic = {"reads": 0, "writes": 0}

    def messages(self) -> list[Json]:
        """What a reader could see at best, oldest first."""
        return sorted(self.shelf.recent or (), key=stamp)

    def state(self) -> Json:
        """What lies in the store, and what is wrong with it."""
        listed = Counter(str(one["id"]) for one in self.shelf.recent or ())
        return {
            "messages": self.shelf.recent,
            "keys": len(self.shelf.keys),
            "unlisted": [one["id"] for one in self.shelf.keys.values() if str(one["id"]) not in listed],
            "doubles": sorted(one for one, count in listed.items() if count > 1),
            "rates": {ip: {"count": count, "since_ms": self._now() - at} for ip, (count, at) in self.rates.items()},
        }

    def restart(self) -> None:
        """A KV backend survives a restart whole."""

    def get(self, query: Mapping[str, str]) -> Reply:
        """The list in its three forms."""
        self.traffic["reads"] += 1
        limit = min(javascript.parse_int(query.get("limit") or "50"), 1000)
        recent = self.shelf.seen()
        if query.get("after"):
            after = javascript.parse_int(query["after"])
            newer = [one for one in recent or () if javascript.number(one.get("timestamp")) > after]
            newer = self._typed(sorted(newer, key=stamp, reverse=True), query)
            return Reply(payload=javascript.slice_(newer, 0, limit), headers={"Cache-Control": "no-cache"})
        if self.quirks.take("soft_error", "GET"):
            broken = {"error": "Failed to retrieve comments", "comments": [], "total": 0, "hasMore": False}
            return Reply(payload=broken, headers=FRESH)
        everything = self._typed(self.shelf.rebuild() if recent is None else list(recent), query)
        if query.get("uss"):
            return self._by_users(everything, query["uss"])
        if query.get("search"):
            wanted = query["search"].lower()
            everything = [one for one in everything if wanted in f"{one.get('text', '')}\n{one.get('username', '')}".lower()]
        offset = javascript.parse_int(query.get("offset") or "0")
        start = len(everything) - offset - limit
        shown = javascript.slice_(everything, max(0, start) if start == start else start, len(everything) - offset)
        answer: Json = {"comments": shown, "total": len(everything), "hasMore": start > 0}
        if self._last:
            del answer["total"]
        return Reply(payload=answer, headers=FRESH)

    def _typed(self, found: list[Json], query: Mapping[str, str]) -> list[Json]:
        kind = query.get("type")
        return [one for one in found if one["message-type"] == kind] if kind in ("human", "AI") else found

    def _by_users(self, everything: list[Json], uss: str) -> Reply:
        users = [(name, shade) for name, _, shade in (part.partition(":") for part in uss.split("+"))]
        found = [
            one
            for one in everything
            if any(
                str(one.get("username", "")).lower() == name.lower() and shade in ("", identity.color(str(one["color"])))
                for name, shade in users
            )
        ]
        searched = [{"username": name, "color": shade or None} for name, shade in users]
        answer = {"comments": found, "total": len(found), "hasMore": False, "serverSideSearch": True, "searchedUsers": searched}
        return Reply(payload=answer, headers=FRESH)

    def stats(self) -> Reply:
        """Public figures."""
        figures = {"cacheSize": len(self.shelf.recent or ())} if self._last else {"totalMessages": self.posted}
        return Reply(payload=figures, headers={"Cache-Control": "public, max-age=60"})

    async def post(self, body: Json | None, *, ip: str, origin: str) -> Reply:
        """Take a message; `body` is None if it was no JSON. September counts the address before it looks at the message."""
        first = self.generation is Generation.KV
        host = urlsplit(origin).hostname or ""
        if first and self._limited(ip, host, ""):
            return self.too_many()
        if body is None:
            return refusal(500, "Failed to post comment", details="Unexpected token in JSON")
        text = body.get("text")
        if not isinstance(text, str) or not javascript.fold(text):
            return refusal(400, "Comment text is required")
        if not first and self._limited(ip, host, str(body.get("domain", ""))):
            return self.too_many()
        message = self._message(body, text, host)
        await self.shelf.add(message)
        self.posted += 1
        self.last_post = self._now()
        self.traffic["writes"] += 1
        return Reply(payload=message)

    def _message(self, body: Json, text: str, host: str) -> Json:
        now = self._now()
        message: Json = {
            "id": body.get("id") or f"{now}-{javascript.base36(self._dice, 7)}",
            "text": javascript.cut(javascript.fold(text), 1000),
            "timestamp": body.get("timestamp") or now,
        }
        name = body.get("username")
        if isinstance(name, str) and javascript.fold(name):
            message["username"] = javascript.cut(name.strip(), 16)
        drawn = identity.printed(identity.drawn(self._dice.random), Generation.KV)
        message |= {
            "color": body.get("color") or drawn,
            "domain": body.get("domain") or host or "unknown",
            "language": body.get("language") or "en",
            "message-type": body.get("message-type") or "human",
            "misc": body.get("misc") or "",
        }
        if self.generation is not Generation.KV:
            message |= {name: body[name] for name in ("replyTo",) if body.get(name)}
            if isinstance(body.get("context"), list):
                message["context"] = body["context"]
            if isinstance(body.get("botParams"), dict):
                message["botParams"] = dict(body["botParams"])
                if self._last and body["botParams"].get("entity"):
                    message["botParams"] |= {"status": "pending", "claimedBy": None, "claimedAt": None, "attempts": 0}
        return message

    def _limited(self, ip: str, host: str, domain: str) -> bool:
        """Whether the address has posted too much; counts it otherwise."""
        if not self.quirks.rate_limit or ip in LOOPBACK or host == BOT_HOST or domain in FREE_DOMAINS:
            return False
        count, at = self.rates.get(ip, (0, 0))
        if self._now() - at >= self.quirks.rate_window_s * 1000:
            count = 0
        if count >= self.quirks.rate_max:
            return True
        self.rates[ip] = (count + 1, self._now())
        return False

    def too_many(self) -> Reply:
        """The 429 of these backends."""
        error = "Rate limit exceeded. Please wait a moment before posting again."
        return Reply(status=429, payload={"error": error}, headers={"Retry-After": str(self.quirks.retry_after_s)})

    async def patch(self, message_id: str, body: Json | None) -> Reply:
        """Mark a message processed. October makes the key from the id, so an id of another time than the message's is not found."""
        if body is None:
            return refusal(500, "Failed to update comment", details="Unexpected token in JSON")
        params = body.get("botParams")
        if not isinstance(params, dict) or "processed" not in params:
            return refusal(400, "Invalid update - only botParams.processed can be updated")
        found = self.shelf.find(message_id) if self._last else self.shelf.keys.get(f"comment:{message_id.partition('-')[0]}:{message_id}")
        if found is None:
            return refusal(404, "Message not found")
        changed = found | {"botParams": {**(found.get("botParams") or {}), "processed": params["processed"]}}
        await self.shelf.replace(changed)
        return Reply(payload=changed)

    def pending(self, query: Mapping[str, str]) -> Reply:
        """The queue: highest number first, 0 or none as 50, then the oldest; only what the shared list still holds."""
        waiting = [one for one in self.shelf.recent or () if one["message-type"] == "human" and status(one) == "pending"]
        waiting.sort(key=lambda one: (-javascript.number(one["botParams"].get("priority") or 50), stamp(one)))
        limit = javascript.parse_int(query.get("limit") or "10")
        return Reply(payload={"pending": javascript.slice_(waiting, 0, limit), "kvStats": dict(self.traffic)})

    async def queue(self, verb: Literal["claim", "complete", "fail"], body: Json | None) -> Reply:
        """The queue's verbs; none is atomic."""
        if body is None:
            return refusal(500, "Unexpected token in JSON", success=False)
        if missing(body, "messageId", *(("workerId",) if verb == "claim" else ())):
            return refusal(400, "messageId and workerId required" if verb == "claim" else "messageId required", success=False)
        found = self.shelf.find(body["messageId"])
        if found is None:
            return refusal(404, "Message not found", success=False)
        params = found.get("botParams")
        if not isinstance(params, dict):
            if verb == "claim":
                return refusal(409, "Message status is undefined, not pending", success=False)
            return refusal(500, "Cannot set properties of undefined (setting 'status')", success=False)
        if verb == "claim":
            if params.get("status") != "pending":
                return refusal(409, f"Message status is {params.get('status', 'undefined')}, not pending", success=False)
            change: Json = {"status": "processing", "claimedBy": body["workerId"], "claimedAt": self._now()}
        elif verb == "complete":
            change = {"status": "complete", "processed": True}
        else:
            attempts = int(params.get("attempts") or 0) + 1
            change = {"status": "failed" if attempts >= 3 else "pending", "attempts": attempts, "claimedBy": None, "claimedAt": None}
            change["error"] = body.get("error")
        changed = found | {"botParams": params | change}
        await self.shelf.replace(changed)
        if verb == "claim":
            return Reply(payload={"success": True, "message": changed})
        answer = {"success": True} | ({"status": change["status"], "attempts": change["attempts"]} if verb == "fail" else {})
        return Reply(payload=answer)

    def heartbeat(self) -> Reply:
        """Ms of the last post, as text."""
        return Reply(payload=str(self.last_post))

    def heal(self, body: Json | None) -> Reply:
        """Put a lost message on the shared list again, even if it is there."""
        found = self.shelf.find(body.get("messageId")) if body else None
        if found is None:
            return refusal(404, "Message not found")
        self.shelf.write(sorted([*(self.shelf.recent or ()), found], key=stamp)[-200:])
        return Reply(payload={"success": True})


def status(message: Json) -> object:
    """Where a message directed at an entity stands; None for any other."""
    params = message.get("botParams")
    return params.get("status") if isinstance(params, dict) and params.get("entity") else None
