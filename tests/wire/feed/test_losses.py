"""What goes wrong between the client and a backend, and that nothing is lost or doubled by it."""

import asyncio
import contextlib

import httpx
import pytest

from conversations.feed import errors
from conversations.feed.client import Client
from conversations.feed.values import Endpoint, Generation, Outgoing
from tests.wire.feed.conftest import EPOCH, Emulate, human, outgoing


async def settle(client: Client, endpoint: Endpoint, wanted: list[Outgoing], *, rounds: int = 10) -> int:
    """Read back and post again what is not there, one by one, until all is; the rounds it took."""
    for turn in range(rounds):
        seen = await client.visible(endpoint, [(one.id, one.timestamp) for one in wanted])
        missing = [one for one in wanted if one.id not in seen]
        if not missing:
            return turn
        for one in missing:
            with contextlib.suppress(errors.Ambiguous):
                await client.post(endpoint, one)
    raise AssertionError("messages are still missing")


@pytest.mark.parametrize("drops", [1, 2, 3])
async def test_a_read_on_a_dying_connection_is_repeated(drops: int, client: Client, emulate: Emulate):
    emulator, endpoint = await emulate(Generation.KV)
    await client.post(endpoint, outgoing())
    emulator.quirks.drop_before = drops
    assert len((await client.fetch(endpoint, after=0)).messages) == 1


async def test_a_backend_that_always_hangs_up_is_an_error(client: Client, emulate: Emulate):
    emulator, endpoint = await emulate(Generation.KV, quirks={"drop_before": 100})
    with pytest.raises(errors.Dropped):
        await client.fetch(endpoint, after=0)
    assert 90 < emulator.quirks.drop_before < 100


async def test_connections_the_backend_closes_when_idle_do_no_harm(client: Client, emulate: Emulate):
    emulator, endpoint = await emulate(Generation.DO, keepalive_s=0.02)
    for number in range(3):
        await client.post(endpoint, outgoing(number))
        async with asyncio.timeout(5):
            while emulator.connections:  # noqa: ASYNC110 - the server tells nobody that it hangs up
                await asyncio.sleep(0.005)
    assert len((await client.fetch(endpoint, after=0)).messages) == 3


@pytest.mark.parametrize("generation", Generation)
@pytest.mark.parametrize(("quirk", "stored"), [("drop_before", False), ("drop_after", True), ("fail", False), ("html", False)])
async def test_a_post_of_unknown_outcome_is_settled_by_reading_back(
    generation: Generation, quirk: str, stored: bool, client: Client, emulate: Emulate
):
    emulator, endpoint = await emulate(generation, quirks={quirk: 1, "method": "POST"})
    with pytest.raises(errors.Ambiguous):
        await client.post(endpoint, outgoing())
    assert await client.visible(endpoint, [(outgoing().id, EPOCH)]) == ({outgoing().id} if stored else set())
    await settle(client, endpoint, [outgoing()])
    assert [one["id"] for one in emulator.store.messages()] == [outgoing().id]


@pytest.mark.parametrize(("quirk", "stored"), [("hang_before", False), ("hang_after", True)])
async def test_a_post_that_is_not_answered_in_time_is_of_unknown_outcome(
    quirk: str, stored: bool, web: httpx.AsyncClient, emulate: Emulate
):
    _, endpoint = await emulate(Generation.KV, quirks={quirk: 1, "method": "POST"})
    hasty = Client(web, total_s=0.2)
    with pytest.raises(errors.Ambiguous, match=r"within 0\.2 s"):
        await hasty.post(endpoint, outgoing())
    assert bool(await hasty.visible(endpoint, [(outgoing().id, EPOCH)])) is stored


async def test_a_read_that_is_not_answered_in_time_is_not_repeated(web: httpx.AsyncClient, emulate: Emulate):
    emulator, endpoint = await emulate(Generation.KV, quirks={"hang_before": 5})
    with pytest.raises(errors.Dropped, match=r"within 0\.2 s"):
        await Client(web, total_s=0.2).fetch(endpoint, after=0)
    assert emulator.quirks.hang_before == 4


async def test_a_post_that_never_left_is_surely_not_stored(client: Client, emulate: Emulate):
    emulator, endpoint = await emulate(Generation.KV)
    await emulator.stop()
    with pytest.raises(errors.Unreachable):
        await client.post(endpoint, outgoing())


@pytest.mark.parametrize("verb", ["claim", "claim_next", "fail"])
async def test_a_claim_whose_answer_is_lost_is_not_asked_again(verb: str, client: Client, emulate: Emulate):
    emulator, endpoint = await emulate(Generation.KV_QUEUE if verb == "fail" else Generation.DO)
    await client.post(endpoint, human())
    emulator.quirks.drop_after = 1
    calls = {
        "claim": lambda: client.claim(endpoint, human().id, "w"),
        "claim_next": lambda: client.claim_next(endpoint, "w"),
        "fail": lambda: client.fail(endpoint, human().id, "e"),
    }
    with pytest.raises(errors.Ambiguous):
        await calls[verb]()
    assert sum(count for path, count in emulator.counts.items() if "/queue/" in path and not path.endswith("dropped")) == 1


async def test_completing_is_repeated_because_that_changes_nothing(client: Client, emulate: Emulate):
    emulator, endpoint = await emulate(Generation.DO)
    await client.post(endpoint, human())
    await client.claim_next(endpoint, "w")
    emulator.quirks.drop_after = 1
    await client.complete(endpoint, human().id)
    assert emulator.counts["POST /api/queue/complete 200"] == 2


@pytest.mark.parametrize("generation", [Generation.KV, Generation.KV_PATCH, Generation.KV_QUEUE])
async def test_concurrent_posts_are_lost_and_each_is_in_the_end_there_once(generation: Generation, client: Client, emulate: Emulate):
    emulator, endpoint = await emulate(generation, quirks={"race_ms": 30.0})
    wanted = [outgoing(number) for number in range(30)]
    accepted = await asyncio.gather(*(client.post(endpoint, one) for one in wanted))
    assert {one.id for one in accepted} == {one.id for one in wanted}
    assert len(emulator.store.messages()) < 30
    emulator.quirks.race_ms = 1.0
    assert await settle(client, endpoint, wanted) == 1
    state = emulator.store.state()
    assert (state["doubles"], len(state["messages"])) == ([], 30)


async def test_the_newest_backend_loses_no_concurrent_post(client: Client, emulate: Emulate):
    _, endpoint = await emulate(Generation.DO)
    wanted = [outgoing(number) for number in range(60)]
    await asyncio.gather(*(client.post(endpoint, one) for one in wanted))
    assert await settle(client, endpoint, wanted) == 0


@pytest.mark.parametrize("quirk", ["lose", "collapse"])
async def test_a_list_that_loses_messages_is_healed_by_posting_again(quirk: str, client: Client, emulate: Emulate):
    emulator, endpoint = await emulate(Generation.KV)
    wanted = [outgoing(number) for number in range(4)]
    for one in wanted[:3]:
        await client.post(endpoint, one)
    emulator.quirks.change({quirk: 1})
    await client.post(endpoint, wanted[3])
    assert await settle(client, endpoint, wanted) == 1


async def test_a_late_write_is_seen_when_it_has_spread(client: Client, emulate: Emulate):
    clock = [EPOCH]
    _, endpoint = await emulate(Generation.KV, quirks={"propagation_ms": 60_000.0}, now=lambda: clock[0])
    await client.post(endpoint, outgoing())
    assert not await client.visible(endpoint, [(outgoing().id, EPOCH)])
    clock[0] += 60_000
    assert await client.visible(endpoint, [(outgoing().id, EPOCH)])


async def test_reading_back_nothing_asks_nothing(client: Client, emulate: Emulate):
    emulator, endpoint = await emulate(Generation.KV)
    assert await client.visible(endpoint, []) == set()
    assert not emulator.counts


async def test_reading_back_is_one_request_for_all(client: Client, emulate: Emulate):
    emulator, endpoint = await emulate(Generation.KV)
    wanted = [outgoing(number) for number in range(5)]
    for one in wanted[:4]:
        await client.post(endpoint, one)
    seen = await client.visible(endpoint, [(one.id, one.timestamp) for one in wanted])
    assert seen == {one.id for one in wanted[:4]}
    assert emulator.counts["GET /api/comments 200"] == 1


async def test_reading_back_too_little_is_an_error_and_not_absence(web: httpx.AsyncClient, emulate: Emulate):
    emulator, endpoint = await emulate(Generation.KV)
    many = [{"id": str(number), "timestamp": EPOCH + number, "text": "x", "message-type": "AI"} for number in range(1200)]
    emulator.store.shelf.write(many)
    client = Client(web, pages=1)
    assert await client.visible(endpoint, [("1199", EPOCH)]) == {"1199"}
    with pytest.raises(errors.Unavailable, match="not complete"):
        await client.visible(endpoint, [("0", EPOCH)])
    assert await Client(web).visible(endpoint, [("0", EPOCH)]) == {"0"}


async def test_a_429_says_how_long_to_be_silent(client: Client, emulate: Emulate):
    emulator, endpoint = await emulate(Generation.DO, quirks={"too_many": 2, "retry_after_s": 7})
    for call in (lambda: client.post(endpoint, outgoing()), lambda: client.fetch(endpoint, after=0)):
        with pytest.raises(errors.RateLimited) as caught:
            await call()
        assert caught.value.retry_after_s == 7
    assert not emulator.store.messages()


async def test_the_bots_own_origin_is_not_limited_in_september(client: Client, emulate: Emulate):
    emulator, endpoint = await emulate(Generation.KV, quirks={"rate_limit": True})
    free = Endpoint(url=emulator.url, generation=Generation.KV, origin="https://ai.saywhatwant.app")
    for number in range(12):
        await client.post(free, outgoing(number))
    for number in range(12, 22):
        await client.post(endpoint, outgoing(number))
    with pytest.raises(errors.RateLimited) as caught:
        await client.post(endpoint, outgoing(22))
    assert caught.value.retry_after_s == 60


async def test_half_an_emoji_cut_by_the_backend_can_be_kept(client: Client, web: httpx.AsyncClient, emulate: Emulate):
    emulator, endpoint = await emulate(Generation.KV)
    await web.post(emulator.url + "/comments", json={"text": "x" * 999 + "😂"})
    (message,) = (await client.fetch(endpoint, after=0)).messages
    assert message.text == "x" * 999 + "�"
