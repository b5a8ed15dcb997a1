"""Step 3: what surrounds a message: its conversation before it, who is called, what is asked and talked about, how lively it is."""

from datetime import datetime

from conversations import stage
from conversations.address import line
from conversations.logic import hearing
from conversations.logic.cast import Cast
from conversations.logic.scene import Scene
from conversations.models import Feed, Message
from conversations.windows import Windows


def analyse(
    message: Message, feed: Feed, cast: Cast, now: datetime, windows: Windows | None = None, sight: stage.Sight | None = None
) -> Scene:
    """Everything that the verdict on `message` depends on, besides the personas.

    `windows` are those of its batch, `sight` is that of the running transaction.
    """
    said = line(message)
    before = (windows or Windows()).before(message, hearing.wanted(said, cast))
    room = stage.room(message, feed, before, now, bots=cast.audience.answers_bots, sight=sight)
    return hearing.scene(said, before, room, cast, gap_s=feed.window_gap_s)
