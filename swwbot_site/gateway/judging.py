"""What is wrong with the fields of a request, told as OpenAI tells it: what, where, and what to do."""

from collections.abc import Mapping
from typing import Final, TypeGuard

from swwbot_site.lib.errors import BotError, Fault

INPUTS: Final = 2048
"""Texts of one request for embeddings."""
LONGEST: Final = 300
"""Characters of a model's name."""
MOST_TOKENS: Final = 2**31 - 1
_CHOICES: Final = 128
_RANGES: Final = (("temperature", 0, 2), ("top_p", 0, 1), ("presence_penalty", -2, 2), ("frequency_penalty", -2, 2))


class Refused(BotError):
    """A request that is answered with an error of OpenAI's shape; `param` names the field that is wrong, if it is one."""

    code = "refused"
    fault = Fault.REQUEST

    def __init__(
        self,
        status: int,
        message: str,
        type: str = "invalid_request_error",  # noqa: A002 (that is what OpenAI calls it)
        code: str | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.type = type
        self.code = code  # type: ignore[assignment, misc]  # OpenAI's code is of this refusal, not of its class
        self.param = param


def model(value: object) -> str:
    """The name of the model."""
    if not isinstance(value, str) or not value.strip():
        raise wrong("you must provide a model parameter: a string that GET /v1/models lists", "model", "missing_required_parameter")
    if len(value) > LONGEST or not value.isprintable():
        raise wrong(f"'model' is no name of a model: at most {LONGEST} printable characters, as GET /v1/models lists them", "model")
    return value.strip()


def options(value: object) -> dict[str, object]:
    """What is wished of a stream."""
    if value is not None and not isinstance(value, dict):
        raise wrong("'stream_options' must be an object, such as {\"include_usage\": true}", "stream_options")
    return dict(value or {})


def messages(value: object) -> tuple[Mapping[str, object], ...]:
    """A chat's messages. A `developer` is what newer clients call the system; every server knows that name, and some no other."""
    if not isinstance(value, list) or not value:
        raise wrong("'messages' must be a list with at least one message", "messages")
    for at, one in enumerate(value):
        if not isinstance(one, dict):
            raise wrong(f"'messages[{at}]' must be an object with 'role' and 'content'", f"messages[{at}]")
        if not isinstance(one.get("role"), str) or not one["role"]:
            raise wrong(f"'messages[{at}].role' must be a string such as 'user'", f"messages[{at}].role")
        content = one.get("content")
        if isinstance(content, list):
            for part, given in enumerate(content):
                if not isinstance(given, dict) or not isinstance(given.get("type"), str):
                    where = f"messages[{at}].content[{part}]"
                    raise wrong(f'\'{where}\' must be an object with a \'type\', such as {{"type": "text", "text": "…"}}', where)
        elif content is not None and not isinstance(content, str):
            raise wrong(f"'messages[{at}].content' must be a string or a list of parts", f"messages[{at}].content")
    return tuple(one | {"role": "system"} if one["role"] == "developer" else one for one in value)


def prompt(value: object) -> str:
    """The text of a completion."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value:
        raise wrong("'prompt' must be a string", "prompt")
    if not all(isinstance(each, str) for each in value):
        raise wrong("'prompt' must be text: this server takes no arrays of tokens", "prompt")
    if len(value) > 1:
        raise wrong(f"'prompt' has {len(value)} texts: send each in a request of its own", "prompt")
    return str(value[0])


def inputs(value: object) -> tuple[str, ...]:
    """The texts to embed."""
    texts = value if isinstance(value, list) else [value]
    if not texts or value is None:
        raise wrong("'input' must be a string or a list with at least one string", "input")
    if not all(isinstance(each, str) for each in texts):
        raise wrong("'input' must be text: this server takes no arrays of tokens; send a string or a list of strings", "input")
    if len(texts) > INPUTS:
        raise wrong(f"'input' has {len(texts)} texts and at most {INPUTS} are taken: send several requests", "input")
    if not all(texts):
        raise wrong("'input' must not hold an empty string", "input")
    return tuple(texts)


def base64(value: object) -> bool:
    """Whether vectors are to be sent as bytes."""
    if value not in (None, "float", "base64"):
        raise wrong("'encoding_format' is 'float' or 'base64'", "encoding_format")
    return value == "base64"


def flag(fields: dict[str, object], name: str, where: str = "") -> bool:
    """Takes a flag out of the fields; false if it is not there."""
    value = fields.pop(name, None)
    if value is not None and not isinstance(value, bool):
        raise wrong(f"'{where or name}' must be true or false", where or name)
    return value is True


def length(fields: dict[str, object], name: str, least: int) -> int | None:
    """Tokens of the answer at most; -1 is LM Studio's way to say that there is no limit."""
    value = fields.pop(name, None)
    if value is None or value == -1:
        return None
    if not (_whole(value) and least <= value <= MOST_TOKENS):
        raise wrong(f"'{name}' must be a whole number from {least} to {MOST_TOKENS}", name)
    return value


def stop(value: object) -> tuple[str, ...]:
    """The texts that end an answer."""
    found = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise wrong("'stop' must be a string or a list of strings", "stop")
    return tuple(each for each in found if each)


def ranged(fields: Mapping[str, object]) -> None:
    """Raises Refused for a number that no server would take."""
    for name, low, high in _RANGES:
        value = fields.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high):
            raise wrong(f"'{name}' must be a number from {low} to {high}", name)
    n = fields.get("n")
    if n is not None and not (_whole(n) and 1 <= n <= _CHOICES):
        raise wrong(f"'n' must be a whole number from 1 to {_CHOICES}", "n")


def _whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def wrong(message: str, param: str | None = None, code: str | None = None) -> Refused:
    """A refusal with 400."""
    return Refused(400, message, code=code, param=param)
