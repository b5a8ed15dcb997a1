"""The project's own rules of the conversation, hung into the same hooks as those of plugins; they run before them.

`weight`: question, topic, activity, silence, fairness; see `logic/rules.py`.

`before_prompt`: style and mood at the end of the persona's prompt, the warm-up of all where it has none of its own, and the stop texts
of all behind its own.

`after_reply`: the steps of `logic/reply.py`, in the order that stands there. A plugin that wants to see what the model really wrote finds
it in the draft's `raw`.

`persona_problems`: the required scenarios of the entity, played with it as it would be.
"""

from collections.abc import Mapping, Sequence

from conversations import scenario
from conversations.logic import prompt, reply, rules
from conversations.logic.cast import Cast
from conversations.logic.scene import Scene
from conversations.models import ConversationPolicy
from entities.logic.persona import Persona
from swwbot_site.lib.hooks import hookimpl


@hookimpl(tryfirst=True)
def before_prompt(draft: prompt.Draft) -> None:
    """Add what the persona's traits and the policy say."""
    common = ConversationPolicy.current()
    draft.system = prompt.characterised(draft.system, draft.persona)
    draft.warmup = draft.warmup or list(common.warmup)
    draft.stop += common.stop


@hookimpl(tryfirst=True)
def after_reply(draft: reply.Draft) -> None:
    """Clean what a model wrote."""
    reply.clean(draft)


@hookimpl(tryfirst=True)
def weight(scene: Scene, cast: Cast) -> Mapping[str, Mapping[str, float]]:
    """What the chances of those who were not asked are multiplied with."""
    signals, room = scene.signals, scene.room
    found = {
        "question": rules.question(signals),
        "topic": rules.topic(signals),
        "activity": rules.activity(signals),
        "silence": rules.silence(signals, room),
        "fairness": rules.fairness(room, len(cast.audience.humans) - 1),
    }
    return {name: factors for name, factors in found.items() if factors}


@hookimpl(tryfirst=True)
def persona_problems(persona: Persona) -> Sequence[str]:
    """Why the required scenarios of an entity forbid what it would become."""
    return scenario.problems(persona)
