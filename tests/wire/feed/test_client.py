"""The client against every backend over real HTTP: reading, posting, the queue."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest

from conversations.feed import errors
from conversations.feed.client import Client
from conversations.feed.values import Endpoint, Generation
from tests.wire.feed.conftest import EPOCH, Emulate, human, outgoing

KVS = [Generation.KV, Generation.KV_PATCH, Generation.KV_QUEUE]


@pytest.mark.parametrize("generation", Generation)
async def test_what_is_posted_is_read_after_the_cursor_and_only_there(generation: Generation, client: Client, emulate: Emulate):
    _, endpoint = await emulate(generation)
    for number in (2, 0, 1):
        accepted = await client.post(endpoint, outgoing(number))
        assert (accepted.id, accepted.duplicate, accepted.timestamp) == (outgoing(number).id, False, EPOCH + number)
    page = await client.fetch(endpoint, after=EPOCH)
    assert [one.text for one in page.messages] == ["text 1", "text 2"]
    assert (page.complete, page.requests, page.rejected) == (True, 1, ())
    assert {(one.kind, one.color, one.username) for one in page.messages} == {("AI", "128000255", "TheEternal")}
    assert not (await client.fetch(endpoint, after=EPOCH + 2)).messages


@pytest.mark.parametrize("generation", Generation)
async def test_context_reply_and_parameters_come_back_where_the_backend_keeps_them(
    generation: Generation, client: Client, emulate: Emulate
):
    _, endpoint = await emulate(generation)
    await client.post(endpoint, human(context=(), reply_to="x", bot_params={"entity": "sage", "priority": 7, "ais": "A:random"}))
    (message,) = (await client.fetch(endpoint, after=0)).messages
    if not generation.traits.keeps_context:
        assert (message.context, message.reply_to, message.bot_params) == (None, "", None)
        return
    assert (message.context, message.reply_to) == ((), "x")
    assert message.bot_params is not None
    assert (message.bot_params.entity, message.bot_params.priority, message.bot_params.ais) == ("sage", 7, "A:random")


@pytest.mark.parametrize("generation", KVS)
async def test_more_messages_than_one_answer_holds_are_all_read(generation: Generation, client: Client, emulate: Emulate):
    _, endpoint = await emulate(generation)
    for number in range(25):
        await client.post(endpoint, outgoing(number))
    page = await client.fetch(endpoint, after=EPOCH + 2, limit=5)
    assert [one.timestamp - EPOCH for one in page.messages] == list(range(3, 25))
    assert page.complete
    assert page.requests == 6


async def test_a_late_post_with_an_old_time_is_read_too(client: Client, emulate: Emulate):
    _, endpoint = await emulate(Generation.KV)
    for number in (*range(10), 20, 15):
        await client.post(endpoint, outgoing(number))
    page = await client.fetch(endpoint, after=EPOCH + 4, limit=3)
    assert [one.timestamp - EPOCH for one in page.messages] == [5, 6, 7, 8, 9, 15, 20]


async def test_a_page_that_could_not_be_completed_says_so(web: httpx.AsyncClient, emulate: Emulate):
    _, endpoint = await emulate(Generation.KV)
    client = Client(web, pages=3)
    for number in range(12):
        await client.post(endpoint, outgoing(number))
    page = await client.fetch(endpoint, after=EPOCH - 1, limit=3)
    assert (page.complete, page.requests, len(page.messages)) == (False, 3, 6)


@pytest.mark.parametrize("generation", KVS)
async def test_the_first_look_at_a_kv_backend_is_its_newest_page(generation: Generation, client: Client, emulate: Emulate):
    _, endpoint = await emulate(generation)
    assert (await client.fetch(endpoint, after=None)).complete
    for number in range(5):
        await client.post(endpoint, outgoing(number))
    page = await client.fetch(endpoint, after=None, limit=3)
    assert [one.timestamp - EPOCH for one in page.messages] == [2, 3, 4]
    assert not page.complete


async def test_the_first_look_at_the_newest_backend_goes_back_an_hour_or_as_told(client: Client, emulate: Emulate):
    _, endpoint = await emulate(Generation.DO)
    await client.post(endpoint, outgoing(0, timestamp=1_600_000_000_000))
    assert not (await client.fetch(endpoint, after=None)).messages
    assert len((await client.fetch(endpoint, after=None, since=0)).messages) == 1


async def test_a_message_that_is_none_is_set_aside(client: Client, web: httpx.AsyncClient, emulate: Emulate):
    emulator, endpoint = await emulate(Generation.DO)
    for message in ({"id": "odd", "text": ["a"]}, {"id": 7, "timestamp": str(EPOCH)}):
        await web.post(emulator.url + "/comments", json=message)
    page = await client.fetch(endpoint, after=0)
    assert [one.id for one in page.messages] == ["7"]
    assert [(one.id, one.reason) for one in page.rejected] == [("odd", "message odd has a list for a text")]


@pytest.mark.parametrize("generation", Generation)
async def test_a_read_that_answers_200_with_an_error_is_no_empty_page(generation: Generation, client: Client, emulate: Emulate):
    _, endpoint = await emulate(generation, quirks={"soft_error": 1})
    with pytest.raises(errors.Unavailable):
        await client.fetch(endpoint, after=None)
    assert not (await client.fetch(endpoint, after=None)).messages


@pytest.mark.parametrize("generation", Generation)
async def test_a_ping_is_one_cheap_read(generation: Generation, client: Client, emulate: Emulate):
    emulator, endpoint = await emulate(generation, quirks={"html": 1})
    with pytest.raises(errors.Unavailable):
        await client.ping(endpoint)
    await client.ping(endpoint)
    assert emulator.counts == {"GET /api/comments 502": 1, "GET /api/comments 200": 1}


async def test_the_newest_backend_takes_a_post_once(client: Client, emulate: Emulate):
    emulator, endpoint = await emulate(Generation.DO)
    first, again = [await client.post(endpoint, outgoing()) for _ in range(2)]
    assert (first.duplicate, again.duplicate) == (False, True)
    assert len(emulator.store.messages()) == 1


async def test_what_would_be_cut_never_leaves(client: Client, emulate: Emulate):
    emulator, endpoint = await emulate(Generation.KV)
    for wrong in (outgoing(username="SeventeenLettersX"), outgoing(text="x" * 241)):
        with pytest.raises(errors.Rejected):
            await client.post(endpoint, wrong)
    assert not emulator.counts
    await client.post(Endpoint(url=emulator.url, generation=Generation.KV, text_limit=1000), outgoing(text="x" * 1000))


async def test_29_waiting_messages_go_to_29_of_33_workers(client: Client, emulate: Emulate):
    _, endpoint = await emulate(Generation.DO)
    await asyncio.gather(*(client.post(endpoint, human(number)) for number in range(29)))
    claimed = await asyncio.gather(*(client.claim_next(endpoint, f"w{number}") for number in range(33)))
    assert len({one.id for one in claimed if one is not None}) == 29
    assert claimed.count(None) == 4


async def test_the_queue_is_listed_claimed_and_completed(client: Client, emulate: Emulate):
    for generation in (Generation.KV_QUEUE, Generation.DO):
        _, endpoint = await emulate(generation)
        for number, priority in enumerate((10, 90, 50)):
            await client.post(endpoint, human(number, bot_params={"entity": "sage", "priority": priority}))
        await client.post(endpoint, outgoing(9))
        assert [one.timestamp - EPOCH for one in await client.pending(endpoint)] == [1, 2, 0]
        assert len(await client.pending(endpoint, limit=2)) == 2
        message = await client.claim(endpoint, human(1).id, "w1")
        assert message.bot_params is not None
        assert (message.bot_params.status, message.bot_params.claimed_by) == ("processing", "w1")
        with pytest.raises(errors.Conflict):
            await client.claim(endpoint, human(1).id, "w2")
        await client.complete(endpoint, human(1).id)
        await client.complete(endpoint, human(1).id)
        with pytest.raises(errors.NotFound):
            await client.complete(endpoint, "unknown")
        assert [one.timestamp - EPOCH for one in await client.pending(endpoint)] == [2, 0]


async def test_the_direction_of_priority_is_turned_both_ways(client: Client, emulate: Emulate):
    emulator, endpoint = await emulate(Generation.DO)
    high = Endpoint(url=endpoint.url, generation=Generation.DO, priority_direction="high-first")
    await client.post(high, human(bot_params={"entity": "sage", "priority": 0}))
    assert emulator.store.messages()[0]["botParams"]["priority"] == 99
    message = await client.claim_next(high, "w")
    assert message is not None
    assert message.bot_params is not None
    assert message.bot_params.priority == 0


async def test_a_numeric_id_is_claimed_as_a_number(client: Client, web: httpx.AsyncClient, emulate: Emulate):
    emulator, endpoint = await emulate(Generation.DO)
    await web.post(emulator.url + "/comments", json={"id": 7, "botParams": {"entity": "sage"}})
    (message,) = await client.pending(endpoint)
    assert (await client.claim(endpoint, message.raw_id, "w")).id == "7"
    with pytest.raises(errors.NotFound):
        await client.complete(endpoint, message.id)
    await client.complete(endpoint, message.raw_id)


async def test_a_message_completed_unclaimed_breaks_one_claim_and_the_client_asks_again(client: Client, emulate: Emulate):
    emulator, endpoint = await emulate(Generation.DO)
    for number in range(2):
        await client.post(endpoint, human(number))
    await client.complete(endpoint, human(0).id)
    message = await client.claim_next(endpoint, "w")
    assert message is not None
    assert message.id == human(1).id
    assert emulator.counts["POST /api/queue/claim-next 500"] == 1
    assert await client.claim_next(endpoint, "w") is None


async def test_a_queue_that_stays_broken_is_an_error(client: Client, emulate: Emulate):
    _, endpoint = await emulate(Generation.DO, quirks={"fail": 2})
    with pytest.raises(errors.Unavailable):
        await client.claim_next(endpoint, "w")


async def test_a_message_given_back_three_times_has_failed(client: Client, emulate: Emulate):
    _, endpoint = await emulate(Generation.KV_QUEUE)
    await client.post(endpoint, human())
    stands = []
    for _ in range(3):
        await client.claim(endpoint, human().id, "w")
        stands.append(await client.fail(endpoint, human().id, "no answer"))
    assert stands == ["pending", "pending", "failed"]
    assert not await client.pending(endpoint)
    with pytest.raises(errors.NotFound):
        await client.fail(endpoint, "unknown", "no answer")


@pytest.mark.parametrize("generation", [Generation.KV_PATCH, Generation.KV_QUEUE])
async def test_a_message_is_marked_processed(generation: Generation, client: Client, emulate: Emulate):
    _, endpoint = await emulate(generation)
    await client.post(endpoint, human())
    assert await client.mark_processed(endpoint, human().id)
    (message,) = (await client.fetch(endpoint, after=0)).messages
    assert message.bot_params is not None
    assert message.bot_params.processed is True
    assert not await client.mark_processed(endpoint, "no such/id ?")


async def test_october_does_not_find_a_message_whose_id_is_of_another_millisecond(client: Client, emulate: Emulate):
    _, endpoint = await emulate(Generation.KV_PATCH)
    await client.post(endpoint, human(0, timestamp=EPOCH + 1))
    assert not await client.mark_processed(endpoint, human(0).id)


async def test_what_a_generation_cannot_do_is_said_before_asking(client: Client, emulate: Emulate):
    for generation in Generation:
        emulator, endpoint = await emulate(generation)
        traits = generation.traits
        calls: list[tuple[bool, Callable[..., Awaitable[object]], tuple[str, ...]]] = [
            (traits.queue, client.pending, ()),
            (traits.queue, client.claim, ("a", "w")),
            (traits.queue, client.complete, ("a",)),
            (traits.next, client.claim_next, ("w",)),
            (traits.fail, client.fail, ("a", "e")),
            (traits.mark, client.mark_processed, ("a",)),
        ]
        for able, call, arguments in calls:
            if not able:
                with pytest.raises(errors.CapabilityMissing, match=str(generation)):
                    await call(endpoint, *arguments)
        assert not emulator.counts


async def test_every_request_is_told_to_the_observer(web: httpx.AsyncClient, emulate: Emulate):
    seen: list[tuple[str, str, int]] = []
    client = Client(web, observer=lambda *told: seen.append(told))
    emulator, endpoint = await emulate(Generation.DO)
    await client.post(endpoint, outgoing())
    await client.ping(endpoint)
    await emulator.stop()
    with pytest.raises(errors.Unreachable):
        await client.ping(endpoint)
    assert seen == [("POST", "/comments", 200), ("GET", "/comments", 200), ("GET", "/comments", 0)]
