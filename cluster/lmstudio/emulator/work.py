"""What takes time: loads, evictions, queues, and tokens that share one machine's speed."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress

from cluster.lmstudio.emulator.habits import Fault, Habits, Profile
from cluster.lmstudio.emulator.machine import GB, Instance, Job, Machine, Model, Trouble
from cluster.lmstudio.emulator.words import words

_PAUSE_S = 0.02
"""The shortest sleep: faster tokens come in bunches."""


class Work:
    """Moves a machine through time. `habits` may be replaced at any moment."""

    def __init__(self, machine: Machine, habits: Habits, profile: Profile, clock: Callable[[], float]) -> None:
        self.machine = machine
        self.habits = habits
        self.profile = profile
        self.words = words(profile)
        self._clock = clock
        self._begun = clock()
        self._loads: set[asyncio.Task[Instance]] = set()
        self._later: set[asyncio.Future[None]] = set()
        self._loading: dict[Model, asyncio.Task[Instance]] = {}
        self.hiccup = False
        """The next list fails."""

    def now(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._begun

    def note(self, event: str, **detail: object) -> None:
        """Writes the log and counts."""
        self.machine.note(self.now(), event, **detail)

    def expire(self) -> None:
        """Unloads what has been idle beyond its time to live."""
        for instance in self.machine.expired(self.now()):
            self.drop(instance, self.words.unloaded(), "expired")

    def strike(self, model: str = "") -> Fault:
        """The fault that strikes this request, counted down."""
        habits = self.habits
        if not habits.fault or (habits.fault_model and model and habits.fault_model != model):
            return ""
        fault = habits.fault
        if habits.fault_times:
            self.habits = habits.counted("fault")
        self.note("fault", kind=fault, model=model)
        return fault

    async def load(self, model: Model, context: int | None = None, *, ttl_s: int | None = None) -> Instance:
        """An instance of its own for the model, when it is ready. A load goes on when its client has gone.

        Raises Trouble with the native API's sentence.
        """
        return await asyncio.shield(self._started(model, context, ttl_s))

    async def demanded(self, model: Model, ttl_s: int | None) -> Instance:
        """JIT: the instance that a request's load gives it. Requests share a load unless they race. Raises Trouble."""
        task = self._loading.get(model)
        if task is None or task.done() or self.habits.jit_race:
            if self.habits.auto_evict:
                for other in [one for one in self.machine.instances.values() if one.ttl_s is not None and one.model is not model]:
                    self.drop(other, self.words.unloaded(), "auto-evicted")
            task = self._loading[model] = self._started(model, None, ttl_s or self.habits.jit_ttl_s)
        return await asyncio.shield(task)

    def drop(self, instance: Instance, trouble: Trouble, event: str) -> None:
        """Takes an instance out of memory, and what runs on it with it."""
        if self.machine.instances.pop(instance.id, None) is None:
            return
        killed = instance.lose(trouble)
        if event in ("unloaded", "auto-evicted"):
            self.machine.counters["unloaded_while_serving"] += killed
        self.note(event, instance=instance.id, killed=killed)

    async def room(self, need: int) -> None:
        """Makes idle models go until one of `need` bytes fits, where the server does that by itself; waits while none is idle."""
        while self.machine.instances and self._tight(need):
            if (victim := self.machine.idle()) is not None:
                self.drop(victim, self.words.unloaded(), "evicted")
            else:
                self.machine.counters["waited-for-room"] += 1
                await asyncio.sleep(_PAUSE_S / 4)

    def _tight(self, need: int) -> bool:
        machine, habits = self.machine, self.habits
        many = bool(habits.max_models) and len(machine.instances) >= habits.max_models
        return many or (habits.evicts and habits.guardrail and machine.used + need * habits.estimate_factor > machine.budget)

    async def idle(self, instance: Instance) -> None:
        """Returns when nobody is answered by the instance any more."""
        while instance.running or instance.waiting:  # noqa: ASYNC110 (an emulator may look often)
            await asyncio.sleep(_PAUSE_S / 4)

    def later(self, work: Coroutine[object, object, None]) -> None:
        """Does something without anybody waiting for it."""
        task = asyncio.ensure_future(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def close(self) -> None:
        """Ends the loads under way."""
        under_way: list[asyncio.Future[Instance] | asyncio.Future[None]] = [*self._loads, *self._later]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    @asynccontextmanager
    async def slot(self, instance: Instance) -> AsyncIterator[Job]:
        """A place among the instance's parallel predictions, first come first served. Raises Trouble if it goes meanwhile."""
        turn: asyncio.Future[Job] = asyncio.get_running_loop().create_future()
        instance.waiting.append(turn)
        _admit(instance)
        if not turn.done():
            self.machine.counters["queued"] += 1
        try:
            job = await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                _leave(instance, turn.result())
            raise
        try:
            yield job
        except asyncio.CancelledError:
            self.note("disconnected", instance=instance.id)
            if late := self.habits.late_disconnect_s:
                asyncio.get_running_loop().call_later(late, _leave, instance, job)
                raise
            _leave(instance, job)
            raise
        except BaseException:
            _leave(instance, job)
            raise
        else:
            _leave(instance, job)
        finally:
            instance.last_used = self.now()

    async def wait(self, job: Job, seconds: float) -> None:
        """Passes time. Raises Trouble at once when the job is lost."""
        if seconds > 0 and not job.lost.is_set():
            try:
                async with asyncio.timeout(seconds if math.isfinite(seconds) else None):
                    await job.lost.wait()
            except TimeoutError:
                return
        if job.trouble is not None:
            raise job.trouble

    async def first(self, job: Job, prompt_tokens: int) -> None:
        """Passes the time to the first token."""
        habits = self.habits
        prefill = prompt_tokens / habits.prefill_tokens_per_s if habits.prefill_tokens_per_s else 0.0
        await self.wait(job, habits.first_token_s + prefill)

    async def paced(self, job: Job, pieces: list[str]) -> AsyncIterator[str]:
        """The pieces, as fast as the machine's shared speed gives them; all at once when it is instant."""
        done = 0
        while done < len(pieces):
            rate = self.habits.tokens_per_s
            if not rate:
                await self.wait(job, 0)
                yield "".join(pieces[done:])
                return
            step = max(1, self.machine.running) / rate
            bunch = max(1, math.ceil(_PAUSE_S / step))
            await self.wait(job, step * bunch)
            yield "".join(pieces[done : done + bunch])
            done += bunch

    def _started(self, model: Model, context: int | None, ttl_s: int | None) -> asyncio.Task[Instance]:
        task = asyncio.ensure_future(self._load(model, context, ttl_s))
        self._loads.add(task)
        task.add_done_callback(self._loads.discard)
        task.add_done_callback(_heard)
        return task

    async def _load(self, model: Model, context: int | None, ttl_s: int | None) -> Instance:
        machine, habits = self.machine, self.habits
        if habits.overlap and (busy := [one for one in machine.instances.values() if not one.loaded]):
            if habits.overlap == "newer":
                raise self.words.refused(model, "canceled", 0, 0, habits)
            for other in busy:
                self.drop(other, self.words.refused(other.model, "canceled", 0, 0, habits), "load-canceled")
        length = min(context or habits.default_context, model.max_context)
        if model.format == "mlx" and habits.mlx_ignores_context and context:
            length = model.max_context
        need = model.need(min(length, context or length))  # MLX takes memory as the cache grows, whatever length it reports
        await self.room(need)
        self._refuse(model, need)
        instance = Instance(
            id=machine.name(model), model=model, context=length, parallel=habits.parallel, memory=need, ttl_s=ttl_s, asked_context=context
        )
        machine.instances[instance.id] = instance
        self.hiccup = habits.html500_at_load
        self.note("loading", instance=instance.id, jit=ttl_s is not None)
        seconds = habits.load_seconds + (model.size_bytes / GB / habits.load_gbps if habits.load_gbps else 0.0)
        if seconds:
            with suppress(TimeoutError):  # time is up: loaded; `ready` before that means lost
                async with asyncio.timeout(seconds):
                    await instance.ready.wait()
        if instance.trouble is not None:
            raise instance.trouble
        instance.loaded, instance.last_used = True, self.now()
        instance.ready.set()
        self.note("loaded", instance=instance.id)
        return instance

    def _refuse(self, model: Model, need: int) -> None:
        habits, machine = self.habits, self.machine
        thought = need * habits.estimate_factor
        kind = habits.load_error
        if kind and habits.load_error_times:
            left = habits.load_error_times - 1
            self.habits = habits.changed({"load_error_times": left} if left else {"load_error_times": 0, "load_error": ""})
        free = machine.budget - machine.used
        if kind:
            self.note("load-failed", model=model.key, why=kind)
            raise self.words.refused(model, kind, thought, free, habits)
        if habits.guardrail and thought > free:
            self.note("guardrail", model=model.key, used=machine.used, need=int(thought))
            raise self.words.refused(model, "guardrail", thought, free, habits)


def _admit(instance: Instance) -> None:
    """Gives free places to those who wait longest."""
    while instance.waiting and len(instance.running) < instance.parallel:
        turn = instance.waiting.popleft()
        if not turn.done():
            job = Job()
            instance.running.add(job)
            turn.set_result(job)


def _leave(instance: Instance, job: Job) -> None:
    instance.running.discard(job)
    _admit(instance)


def _heard(task: asyncio.Task[Instance]) -> None:
    """Takes note of a failure whose client has gone."""
    if not task.cancelled():
        task.exception()
