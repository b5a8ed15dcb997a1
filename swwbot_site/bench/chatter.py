"""A crowd of personas and what people say in front of it, seeded: for measuring how a chat is listened to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from conversations.feed.values import DOMAIN, BotParams, FeedMessage, Kind

WORKER: Final = "swwbot-bench"
"""Our name in the queue of the feed that is listened to."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST: Final = _words(
    """Ada Ben Cleo Dana Emil Fay Gus Hana Ivo Jun Kai Lena Milo Nora Otis Pia Quin Rosa Sven Tara Uma Vera Wim Xena Yuri Zoe"""
)
LAST: Final = _words("""Ash Birch Clay Dune Elm Fox Glen Hill Iris Jay Kite Lake Moss Nash Oak Pike Quill Reed Sage Thorn Umber Vale Wren Yew
    Zinc Brook Cove Dale Field Grove Heath Isle Lane Marsh Peak Rowe Stone Ward West Wood""")
SUBJECTS: Final = _words("""astronomy music chess cooking philosophy gardens football trains poetry history volcanoes cinema robots whales cycling
    paintings bread mountains language dreams weather coffee maps birds ships statistics ethics theatre bees glaciers jazz
    pottery medicine castles rivers memory comets markets forests dance architecture mushrooms planets novels sailing
    lightning clocks fashion deserts photography""")
SAYINGS: Final = (
    "I have been reading about {0} and {1} all week",
    "what do you all think of {0}",
    "{0} is nice but {1} is nicer, if you ask me",
    "nobody here talks about {0} any more",
    "Is {0} harder than {1}?",
    "ok",
    "that reminds me of the {0} I saw yesterday, it had something of {1} 😀",
    "look at https://example.org/{0}?about={1} when you have time",
    "Ich habe gestern lange über {0} nachgedacht, und über {1} auch",
    "no me gusta {0}, prefiero {1}",
    "я люблю {0} и {1}",
    "今日は {0} の話をしよう",
    "when I was young we had {0}, and that was enough for everybody in the village, believe me or not",
)
CALLS: Final = ("{}, what do you say to {}?", "hey @{} tell me about {}", "I wonder what {} makes of {}", "{} said something on {}, right?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One persona of the crowd."""

    slug: str
    name: str
    aliases: tuple[str, ...]
    interests: tuple[str, ...]
    chance: float
    listens_to_bots: bool


def crowd(number: int, seed: int = 1) -> list[Figure]:
    """So many personas with different names: a tenth of them speaks by chance, together about one answer in ten messages."""
    dice = Random(f"crowd|{seed}")
    names = [f"{first} {last}" for last in LAST for first in FIRST]
    names += [f"{name[:12]} {n}" for n in range(2, 2 + number // len(names)) for name in names]
    return [
        Figure(
            slug=f"figure-{n}",
            name=name[:16],
            aliases=(f"figure{n}", f"{name.split()[0]}{n}"),
            interests=tuple(dice.sample(SUBJECTS, 3)),
            chance=min(1.0, 1.0 / number) if n % 10 == 0 else 0.0,
            listens_to_bots=n % 100 == 0,
        )
        for n, name in enumerate(names[:number])
    ]


def said(figures: Sequence[Figure], number: int, calls: float, begin: int, every_ms: int, seed: int = 1) -> Iterator[FeedMessage]:
    """What people say: a share of `calls` names somebody of the crowd, one in fifty talks to one in private, one in ten is a bot's."""
    dice = Random(f"said|{seed}")
    for n in range(number):
        about = dice.sample(SUBJECTS, 2)
        called = dice.choice(figures)
        private = dice.random() < 0.02
        text = dice.choice(CALLS).format(called.name, about[0]) if dice.random() < calls else dice.choice(SAYINGS).format(*about)
        kind: Kind = "AI" if not private and dice.random() < 0.1 else "human"
        person = dice.randrange(40)
        yield FeedMessage(
            id=f"said-{n}",
            raw_id=f"said-{n}",
            text=text,
            username=f"stranger {person % 5}" if kind == "AI" else f"person {person}",
            color=f"{100 + person:03d}100100",
            domain=DOMAIN,
            kind=kind,
            timestamp=begin + n * every_ms,
            context=None,
            reply_to="",
            bot_params=BotParams(entity=called.slug, status="processing", claimed_by=WORKER) if private else None,
            raw={},
        )
