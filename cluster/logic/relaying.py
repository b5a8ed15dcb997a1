"""What whoever asks for a client hears of a request, and how it can be refused."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """It waits still; `text` says for what, once it is known. `id` is 0 while it is in no row."""

    id: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seated:
    """It is asked now, on `server`, after so many seconds of waiting in all."""

    id: int
    server: str
    wait_s: float


class Full(Exception):
    """So many wait that one more is not taken. `oldest_s` is how long the first has waited."""

    def __init__(self, oldest_s: float) -> None:
        super().__init__("the queue is full")
        self.oldest_s = oldest_s


class Stopping(Exception):
    """This process ends, and takes nothing new."""


class Unanswered(Exception):
    """A request has failed for good. `code` is that of the row, `began`: its client has heard the beginning of an answer."""

    def __init__(self, code: str, text: str, generation_id: int, *, began: bool = False) -> None:
        super().__init__(text)
        self.code = code
        self.generation_id = generation_id
        self.began = began
