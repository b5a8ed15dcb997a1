"""How one request stands, for whoever waits for its answer."""

from dataclasses import dataclass

from cluster.logic.lifecycle import ENDED
from cluster.models import Generation


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A request at one moment. `waits` says why it is not asked yet; `text` is there once it is done."""

    id: int
    state: str
    waits: str
    server: str
    attempts: int
    text: str
    error_code: str
    error: str

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in ENDED


def ended(generation_id: int) -> bool:
    """Whether it has ended, or is not there."""
    return not Generation.objects.filter(pk=generation_id).exclude(state__in=ENDED).exists()


def standing(generation_id: int) -> Standing | None:
    """How it stands; None if it is not there."""
    names = ("pk", "state", "decision__waits", "server__name", "attempts", "text", "error_code", "error")
    row = Generation.objects.filter(pk=generation_id).values_list(*names).first()
    if row is None:
        return None
    pk, state, waits, server, attempts, text, code, error = row
    return Standing(
        id=pk,
        state=state,
        waits=waits or "" if state == "queued" else "",
        server=server or "",
        attempts=attempts,
        text=text,
        error_code=code,
        error=error,
    )
