"""The second try of an answer."""

from hypothesis import given
from hypothesis import strategies as st

from cluster.lmstudio import ollama, openai
from cluster.lmstudio.values import ChatRequest
from conversations.logic.again import HOTTEST, again


@given(
    st.none() | st.floats(0, 2),
    st.none() | st.integers(1, 10_000),
    st.booleans(),
    st.none() | st.integers(1, 10_000),
    st.integers(0, 2**31 - 1),
)
def test_a_second_try_is_warmer_but_bounded_and_never_gets_less(
    temperature: float | None, most: int | None, unfinished: bool, room: int | None, seed: int
) -> None:
    given_ = {} if temperature is None else {"temperature": temperature}
    request = again({"messages": [], "sampling": given_, "max_tokens": most}, seed=seed, unfinished=unfinished, room=room)
    now = request.sampling["temperature"]
    assert now == temperature if temperature is not None and temperature >= HOTTEST else (temperature or 0.0) < now <= HOTTEST
    assert request.sampling["seed"] == seed
    assert (request.max_tokens is None) == (most is None)
    if most and request.max_tokens:
        assert most <= request.max_tokens <= max(most, 2 * most if room is None else room)


def test_the_seed_and_the_warmth_reach_the_servers() -> None:
    asked = {"messages": [{"role": "user", "content": "Hello?"}], "sampling": {"temperature": 0.5}, "max_tokens": 50, "stop": ["END"]}
    request = again(asked, seed=4711, unfinished=False, room=None)
    sent = ChatRequest(
        model="m", messages=tuple(request.messages), sampling=request.sampling, max_tokens=request.max_tokens, stop=tuple(request.stop)
    )
    body = openai.chats(sent)[0].body
    assert body
    assert (body["seed"], body["temperature"], body["max_tokens"], body["stop"]) == (4711, 0.8, 50, ["END"])
    options = (ollama.chats(sent)[0].body or {})["options"]
    assert isinstance(options, dict)
    assert (options["seed"], options["temperature"]) == (4711, 0.8)
