"""The newest backend: one Durable Object, requests one after another, messages in memory only."""

import random
from collections import Counter
from collections.abc import Callable, Mapping

from conversations.feed.emulator import javascript
from conversations.feed.emulator.quirks import Quirks
from conversations.feed.emulator.reply import Json, Reply, refusal

CAPACITY = 50_000
"""Messages kept in memory."""

VERSION = "1.0.1"
KEPT = ("entity", "ais", "sessionId")
"""What survives of a client's `botParams`, beside the priority."""


class Durable:
    """The Durable Object. No method awaits, so none is interrupted by another; `now` gives ms since 1970."""

    def __init__(self, *, quirks: Quirks, dice: random.Random, now: Callable[[], int]) -> None:
        self.quirks = quirks
        self._dice = dice
        self._now = now
        self.memory: list[Json] = []
        self.waiting: list[Json] = []
        self.score = 0.0
        self._asked_at = now()

    def messages(self) -> list[Json]:
        """What a reader sees, oldest post first."""
        return list(self.memory)

    def state(self) -> Json:
        """What is in memory."""
        copies = Counter(str(one["id"]) for one in self.memory)
        return {
            "messages": self.memory,
            "waiting": [one["id"] for one in self.waiting if one["botParams"]["status"] == "pending"],
            "corpses": [one["id"] for one in self.waiting if one["botParams"]["status"] == "complete"],
            "doubles": sorted(one for one, count in copies.items() if count > 1),
            "globalScore": self.score,
        }

    def restart(self) -> None:
        """A restart loses everything but the score."""
        self.memory.clear()
        self.waiting.clear()

    def asked(self) -> None:
        """A request comes: after too long a silence to an object that has been put away and begins anew."""
        now = self._now()
        if 0 < self.quirks.idle_s * 1000 < now - self._asked_at:
            self.restart()
        self._asked_at = now

    def get(self, query: Mapping[str, str]) -> Reply:
        """Everything after a time, last posted first; without a time all that has one after 1970."""
        if self.quirks.take("soft_error", "GET"):
            return Reply(payload={"error": "Failed to load messages"})
        after = javascript.parse_int(query.get("after") or query.get("since") or "0")
        found = [one for one in self.memory if javascript.number(one["timestamp"]) > after]
        return Reply(payload={"messages": found[::-1], "version": VERSION, "globalScore": self.score})

    def post(self, body: Json | None) -> Reply:
        """Take anything; the same id a second time stores nothing."""
        if body is None:
            return refusal(500, "Unexpected token in JSON")
        message_id = body.get("id") or javascript.base36(self._dice, 10)
        known = self._find(message_id)
        if known is not None:
            return Reply(payload={"id": known["id"], "timestamp": known["timestamp"], "status": "duplicate"})
        message = self._message(body, message_id)
        self.memory.append(message)
        del self.memory[:-CAPACITY]
        if message["message-type"] == "human" and "botParams" in message:
            self.waiting.append(message)
        return Reply(payload={"id": message_id, "timestamp": message["timestamp"], "status": "success"})

    def _message(self, body: Json, message_id: object) -> Json:
        """What is kept: most as it came, what did not come is absent."""
        kind = body.get("message-type") or body.get("messageType") or "human"
        message: Json = {"id": message_id, "timestamp": body.get("timestamp") or self._now()}
        message |= {name: body[name] for name in ("text", "username", "color") if name in body}
        message |= {
            "domain": body.get("domain") or "saywhatwant.app",
            "message-type": kind,
            "replyTo": body.get("replyTo") or None,
            "context": body["context"] if javascript.truthy(body.get("context")) else None,
            "eqScore": body.get("eqScore") or 0,
        }
        params = body.get("botParams")
        if isinstance(params, dict) and params.get("entity"):
            message["botParams"] = {name: params.get(name) or None for name in KEPT} | {
                "status": "pending" if kind == "human" else "complete",
                "priority": params.get("priority") or body.get("priority") or 5,
                "claimedBy": None,
                "claimedAt": None,
                "completedAt": message["timestamp"] if kind == "AI" else None,
            }
            own = (("humanUsername", "username"), ("humanColor", "color"))
            message["botParams"] |= {name: body[came] for name, came in own if came in body}
        return message

    def _find(self, message_id: object) -> Json | None:
        """By strict comparison: 7 is not "7"."""
        return next((one for one in reversed(self.memory) if type(one["id"]) is type(message_id) and one["id"] == message_id), None)

    def patch(self, message_id: str, body: Json | None) -> Reply:
        """Only `eqScore` is looked at; a positive score adds to the global one every time."""
        if body is None:
            return refusal(500, "Unexpected token in JSON")
        found = self._find(message_id)
        if found is None:
            return refusal(404, "Message not found in memory", success=False)
        if "eqScore" in body:
            found["eqScore"] = score = body["eqScore"]
            if isinstance(score, int | float) and not isinstance(score, bool):
                self.score += max(score, 0)
        return Reply(payload={"success": True, "message": found, "globalScore": self.score})

    def _order(self) -> list[Json]:
        """What waits, highest number first, then the oldest; corpses lie between."""
        return sorted(
            self.waiting,
            key=lambda one: (-javascript.number(one["botParams"]["priority"]), javascript.number(one["timestamp"])),
        )

    def pending(self, query: Mapping[str, str]) -> Reply:
        """The queue, its corpses too; all of it unless there is a limit."""
        limit = javascript.parse_int(query.get("limit") or "999999")
        stats = {"reads": 0, "writes": 0}
        return Reply(payload={"pending": javascript.slice_(self._order(), 0, limit), "platformOnly": [], "kvStats": stats})

    def claim(self, body: Json | None) -> Reply:
        """Take one message by id; who takes it is not checked."""
        if body is None:
            return refusal(500, "Unexpected token in JSON")
        message_id = body.get("messageId")
        found = next((one for one in self.waiting if type(one["id"]) is type(message_id) and one["id"] == message_id), None)
        if found is None:
            return refusal(404, "Message not found in pending queue", success=False)
        if found["botParams"]["status"] != "pending":
            return refusal(409, f"Message status is {found['botParams']['status']}, not pending", success=False)
        return Reply(payload={"success": True, "message": self._take(found, body.get("workerId"))})

    def claim_next(self, body: Json | None) -> Reply:
        """Take the first message. One that was completed unclaimed breaks the request, and only then leaves the queue."""
        if body is None:
            return refusal(500, "Unexpected token in JSON")
        if not body.get("workerId"):
            return refusal(400, "workerId required", success=False, message=None)
        total = len(self.waiting)
        if not total:
            empty = {"success": False, "message": None, "reason": "no_pending_messages", "totalPending": 0, "remainingPending": 0}
            return Reply(payload=empty)
        first = self._order()[0]
        if first["botParams"]["status"] != "pending":
            self.waiting.remove(first)
            return refusal(500, "Body has already been used. It can only be used once. Use tee() first if you need to read it twice.")
        message = self._take(first, body["workerId"])
        return Reply(payload={"success": True, "message": message, "totalPending": total, "remainingPending": len(self.waiting)})

    def _take(self, message: Json, worker: object) -> Json:
        self.waiting.remove(message)
        message["botParams"] |= {"status": "processing", "claimedBy": worker, "claimedAt": self._now()}
        return message

    def complete(self, body: Json | None) -> Reply:
        """Done, from any status; a message still pending stays in the queue as a corpse."""
        if body is None:
            return refusal(500, "Unexpected token in JSON")
        found = self._find(body.get("messageId"))
        if found is None:
            return refusal(404, "Message not found in memory", success=False)
        if "botParams" in found:
            found["botParams"] |= {"status": "complete", "completedAt": self._now()}
        return Reply(payload={"success": True})

    def stats(self) -> Reply:
        """For administrators; asks nobody who they are."""
        return Reply(payload={"messageCount": len(self.memory), "pendingCount": len(self.waiting), "globalScore": self.score})

    def purge(self) -> Reply:
        """For administrators; wipes everything for anybody."""
        self.restart()
        return Reply(payload={"success": True})
