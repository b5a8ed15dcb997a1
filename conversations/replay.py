"""A recorded stretch decided once more, by the personas and limits given, beside what was decided then. Nothing is written or posted.

The rule of the replay stands in `logic/replaying.py`. With real models the answers of the replay are asked for afterwards, all together,
in the windows of the replay; their texts do not change what was decided after them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from django.conf import settings

from conversations import asking
from conversations.feed.values import TEXT_MAXIMUM
from conversations.logic import comparison
from conversations.logic.cast import Cast
from conversations.logic.comparison import Report
from conversations.logic.dice import thrower
from conversations.logic.outcome import Outcome, Tools
from conversations.logic.recording import House, Recording
from conversations.logic.replaying import Replay, allowance
from conversations.logic.scene import Scene
from conversations.logic.verdict import Verdict
from conversations.weighing import weigh
from entities import choose
from entities.read import Rules
from swwbot_site.lib import hooks
from swwbot_site.lib.readonly import readonly

PATIENCE_S: Final = 600.0
"""For all answers of real models together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How a stretch is replayed. `strategy` takes the place of the feed's and its rooms'; `real`: models are asked."""

    cast: Cast
    rules: Rules
    strategy: str = ""
    real: bool = False
    patience_s: float = PATIENCE_S


def replay(recording: Recording, setting: Setting, tick: Callable[[str, int, int], Any] = lambda what, done, whole: None) -> Report:
    """Decide every message of the recording; `tick` hears what is being done and how much of it is done.

    Raises UnknownStrategy. With real models an engine has to run.
    """
    hooks.load((*settings.ENGINE_PLUGINS, *settings.PLUGINS))
    if setting.strategy:
        choose.strategy(setting.strategy)
        recording = replace(recording, house=_with(recording.house, setting.strategy))
    questions: list[asking.Question] = []

    def watch(outcome: Outcome, scene: Scene, _: Verdict) -> None:
        if setting.real:
            questions.extend(asking.question(taken, scene, setting.cast) for taken in outcome.now)

    tools = Tools(
        dice=lambda ident: thrower(recording.house.url, ident),
        weigh=lambda scene, cast: weigh(scene, cast, tell=False),
        strategies=choose.table(),
        answer_s=comparison.pace(recording),
        watch=watch,
    )
    report, whole = Report(), sum(one.judged for one in recording.heard)
    ledger = allowance(setting.cast, setting.rules.own, setting.rules.common, recording.house.name)
    with readonly():
        for outcome in Replay(recording, setting.cast, ledger, tools).run():
            report.add(outcome)
            tick("deciding", report.decided, whole)
    report.finish()
    if questions:
        limit = min(TEXT_MAXIMUM, recording.house.max_text)
        asking.ask(questions, f"replay:{recording.house.name}", limit, setting.patience_s, lambda done, whole: tick("asking", done, whole))
        for one in questions:
            one.taken.written = one.told
    return report


def _with(house: House, strategy: str) -> House:
    rooms = {domain: replace(rules, strategy=strategy) for domain, rules in house.rooms.items()}
    return replace(house, manners=replace(house.manners, strategy=strategy), rooms=rooms)
