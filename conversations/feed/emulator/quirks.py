"""The bad habits that can be switched while the emulator runs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields


@dataclass(slots=True, kw_only=True)
class Quirks:
    """What the server does wrongly. Counts are used up one by one, by requests of `method` if that is set."""

    rate_limit: bool = True
    """The KV backends' limit of posts by address."""
    rate_max: int = 10
    rate_window_s: float = 60.0
    """Silence after which a limit is forgotten; every accepted post begins it anew."""
    race_ms: float = 30.0
    """The KV backends: longest time between reading the shared list and writing it, in which other writes are lost."""
    propagation_ms: float = 0.0
    """The KV backends: how late a write is seen by readers."""
    idle_s: float = 0.0
    """The newest backend: seconds without a request after which it forgets everything, 0 for never; the real one may after 10."""
    latency_ms: float = 0.0
    """Before every answer."""
    method: str = ""
    """The only HTTP method the counts below apply to; empty for all."""
    lose: int = 0
    """The KV backends: so many posts are accepted but never listed."""
    collapse: int = 0
    """The KV backends: so many posts find the shared list unreadable and replace it with themselves."""
    forget: int = 0
    """The KV backends: so many reads find no shared list."""
    soft_error: int = 0
    """So many GETs answer 200 with an error in the body."""
    fail: int = 0
    """So many requests answer `fail_status`."""
    fail_status: int = 500
    html: int = 0
    """So many requests answer 502 with a web page."""
    too_many: int = 0
    """So many requests answer 429 with `Retry-After`."""
    retry_after_s: int = 60
    drop_before: int = 0
    """So many connections are closed before the request is looked at."""
    drop_after: int = 0
    """So many are closed after the request was carried out."""
    hang_before: int = 0
    """So many requests are neither carried out nor answered."""
    hang_after: int = 0
    """So many are carried out but never answered."""

    def change(self, wanted: Mapping[str, object]) -> None:
        """Switch the named habits, all or none. Raises ValueError naming what is unknown or of the wrong type."""
        known = {one.name: type(getattr(self, one.name)) for one in fields(self)}
        for name, value in wanted.items():
            if name not in known:
                raise ValueError(f"{name!r} is no quirk; there are {', '.join(sorted(known))}")
            kind = known[name]
            fits = isinstance(value, int | float) and not isinstance(value, bool) if kind is float else type(value) is kind
            if not fits:
                raise ValueError(f"{name} is {value!r}; it must be {kind.__name__}")
        for name, value in wanted.items():
            setattr(self, name, value)

    def take(self, name: str, method: str) -> bool:
        """Whether the counted habit `name` shows in this request; uses up one."""
        left: int = getattr(self, name)
        if left <= 0 or (self.method and self.method != method):
            return False
        setattr(self, name, left - 1)
        return True

    def state(self) -> dict[str, object]:
        """All habits as they are now."""
        return asdict(self)
