"""Sample people who chat, so that there is something to answer: the same seed, the same chat."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

PEOPLE = (
    ("Marisol", "255140090"),
    ("juno", "120200255"),
    ("Old Pete", "190190110"),
    ("kettle", "250120180"),
    ("Ravi", "130230150"),
    ("sparrow99", "200160255"),
    ("Ingrid", "255210120"),
    ("TuesdayTim", "110220220"),
    ("mothwing", "230130240"),
    ("Bao", "160240100"),
)
TOPICS = (
    "rain on a tin roof",
    "learning the cello at forty",
    "night trains",
    "sourdough that refuses to rise",
    "the map of Mars",
    "why cats stare at walls",
    "letters on paper",
    "swimming in cold lakes",
    "robots that garden",
    "the last page of a book",
    "bees",
    "dreams in another language",
)
TALK = (
    "spent the whole morning thinking about {topic}",
    "honestly {topic} is underrated",
    "anyone else awake? I have opinions about {topic}",
    "my sister sent me a long message about {topic} and now I get it",
    "ok that is the best thing I have read today",
    "I tried {topic} once. Once.",
    "lunch was soup again, so let us talk about {topic}",
    "it is so quiet here, somebody say something about {topic}",
    "haha no way 😂",
    "that reminds me of {topic}, in a good way",
)
QUESTIONS = (
    "does anybody here know anything about {topic}?",
    "what would you do with a free week and {topic}?",
    "is it just me, or is {topic} harder than it was?",
    "who started this thing with {topic}?",
)
CALLS = (
    "{name}, what do you make of {topic}?",
    "hey {name}, tell us something about {topic}",
    "I bet {name} has a view on {topic}",
    "{name} are you there? I need a second opinion on {topic}",
    "what would {name} say about {topic}?",
)
DIRECT = (
    "just between us: {topic}, yes or no?",
    "give me one honest sentence about {topic}",
    "I cannot stop thinking about {topic}. Help?",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What somebody says. `color` is nine digits; `entity` is whom it is directed at, if the backend can keep that."""

    username: str
    color: str
    text: str
    entity: str = ""


class Chatter:
    """An endless chat. `mentions` are persona names to call by name, `entities` persona ids to write to directly."""

    def __init__(self, seed: int, *, mentions: Sequence[str] = (), entities: Sequence[str] = ()) -> None:
        self._dice = random.Random(seed)
        self._mentions = tuple(mentions)
        self._entities = tuple(entities)
        self._said = 0

    def line(self) -> Line:
        """The next line; the first one calls somebody, if there is anybody to call."""
        dice = self._dice
        username, color = dice.choice(PEOPLE)
        roll = 0.0 if self._said == 0 else dice.random()
        self._said += 1
        topic = dice.choice(TOPICS)
        if self._mentions and roll < 0.35:
            return Line(username=username, color=color, text=dice.choice(CALLS).format(name=dice.choice(self._mentions), topic=topic))
        if self._entities and roll < 0.55:
            entity = dice.choice(self._entities)
            return Line(username=username, color=color, text=dice.choice(DIRECT).format(topic=topic), entity=entity)
        pattern = dice.choice(QUESTIONS if roll < 0.7 else TALK)
        return Line(username=username, color=color, text=pattern.format(topic=topic))
