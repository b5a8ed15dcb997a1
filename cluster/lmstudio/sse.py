"""Reading a stream of server-sent events that may not be one (section 15)."""

import json
from dataclasses import dataclass, field

from cluster.lmstudio.errors import Malformed
from cluster.lmstudio.wire import parsed

_FIELDS = ("event", "id", "retry")
_RAW_LIMIT = 1_000_000
LONGEST = 8_000_000
"""Bytes of a line that is not over; and so many LINES may be the data of one event."""
LINES = 1000
_DECODER = json.JSONDecoder()


@dataclass(slots=True)
class Reader:
    """Takes bytes as they come, gives whole JSON values; `done` after `[DONE]`; `raw` keeps the lines that are no events.

    An event's data may stand in one line or in several, with or without an `event:` line or a blank line behind it.
    """

    done: bool = False
    raw: list[str] = field(default_factory=list)
    _rest: bytes = b""
    _data: str = ""
    _parts: int = 0
    _kept: int = 0

    def feed(self, chunk: bytes) -> list[object]:
        """The values that this chunk completes, in order. Raises Malformed for what has no end."""
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > LONGEST:
            raise Malformed(f"a line of more than {LONGEST} bytes")
        values: list[object] = []
        for line in lines:
            if not self._data and line.startswith(b"data: {") and (value := _usual(line)) is not None:
                values.append(value)
            elif line or self._data:
                self._line(line.decode("utf-8", "replace").rstrip("\r"), values)
        return values

    def close(self) -> list[object]:
        """The values that the end of the stream completes: a last line may lack its newline."""
        values: list[object] = []
        rest, self._rest = self._rest, b""
        if rest:
            self._line(rest.decode("utf-8", "replace").rstrip("\r"), values)
        self._line("", values)
        return values

    @property
    def body(self) -> str:
        """What came instead of events, as one text."""
        return "\n".join(self.raw).strip()

    def _line(self, line: str, values: list[object]) -> None:
        name, colon, content = line.partition(":")
        if name == "data" and colon:
            self._parts = self._parts + 1 if self._data else 1
            if self._parts > LINES:
                raise Malformed(f"an event of more than {LINES} lines")
            self._data = f"{self._data}\n{content.strip()}" if self._data else content.strip()
            if self._data == "[DONE]":
                self.done, self._data = True, ""
            elif (value := parsed(self._data)) is not None:
                values.append(value)
                self._data = ""
        elif not line.strip():
            if self._data:
                self._keep(self._data)
                self._data = ""
        elif not (colon and (name in _FIELDS or not name)):
            self._keep(line)

    def _keep(self, line: str) -> None:
        if self._kept < _RAW_LIMIT:
            self.raw.append(line)
            self._kept += len(line)


def _usual(line: bytes) -> object | None:
    """The value of a line that holds one whole and nothing else; None for all others, which are looked at more closely."""
    try:
        said = line[6:].decode()
        value, end = _DECODER.raw_decode(said)
    except (ValueError, RecursionError):
        return None
    found: object = value
    return found if end == len(said) or said[end:].isspace() else None
