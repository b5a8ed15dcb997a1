"""Chats, completions and embeddings: which instance answers, in which format, and what goes wrong on the way."""

import math
import time
from collections.abc import Mapping, Sequence

from aiohttp import web

from cluster.lmstudio.emulator import acting, complaints, voice
from cluster.lmstudio.emulator.habits import Fault
from cluster.lmstudio.emulator.machine import Instance, Job, Machine, Trouble
from cluster.lmstudio.emulator.prediction import Prediction, limited, messages_of, vector, wants_usage
from cluster.lmstudio.emulator.work import Work


class Hangup(Exception):
    """The connection is to be cut without another byte."""


class Interrupted(Trouble):
    """Another request came, and this server serves one."""


class Answering:
    """The inference endpoints over one machine."""

    def __init__(self, work: Work, seed: int) -> None:
        self._work = work
        self._seed = seed
        self._count = 0

    @property
    def _machine(self) -> Machine:
        return self._work.machine

    async def chat(self, request: web.Request, body: Mapping[str, object], *, v0: bool = False) -> web.StreamResponse:
        """A chat completion, streamed or whole. Raises Trouble, Hangup."""
        return await self.predict(request, body, messages_of(body), v0=v0)

    async def complete(self, request: web.Request, body: Mapping[str, object], *, v0: bool = False) -> web.StreamResponse:
        """A text completion. Raises Trouble, Hangup."""
        prompt = body.get("prompt")
        if not isinstance(prompt, str):
            raise complaints.engine("'prompt' is required")
        return await self.predict(request, body, [{"role": "user", "content": prompt}], v0=v0, legacy=True)

    async def embed(self, body: Mapping[str, object]) -> dict[str, object]:
        """Vectors that depend on nothing but the text. Raises Trouble, Hangup."""
        inputs = body.get("input")
        texts = [inputs] if isinstance(inputs, str) else inputs
        if not isinstance(texts, list) or not texts:
            raise complaints.engine("'input' is required")
        name = str(body.get("model", ""))
        self._struck(self._work.strike(name))
        instance = await self.instance(name, body)
        async with self._work.slot(instance) as job:
            await self._work.first(job, sum(voice.tokens_in(str(text)) for text in texts))
        rows = [{"object": "embedding", "embedding": vector(str(text)), "index": index} for index, text in enumerate(texts)]
        self._work.note("embedded", instance=instance.id, inputs=len(texts))
        return {"object": "list", "data": rows, "model": instance.id, "usage": {"prompt_tokens": 0, "total_tokens": 0}}

    async def predict(
        self,
        request: web.Request,
        body: Mapping[str, object],
        messages: Sequence[Mapping[str, object]],
        *,
        v0: bool = False,
        legacy: bool = False,
        form: type[Prediction] = Prediction,
    ) -> web.StreamResponse:
        """One answer, streamed or whole, in the format of `form`. Raises Trouble, Hangup."""
        work, name = self._work, str(body.get("model", ""))
        fault = work.strike(name)
        self._struck(fault)
        if unknown := [key for key in work.habits.refuses.split(",") if key in body]:
            raise complaints.openai(400, f"Unrecognized request argument supplied: {', '.join(unknown)}")
        instance = await self.instance(name, body, load=request.query.get("autoload") != "false")
        if work.habits.interrupts:
            for job in instance.running:
                job.end(Interrupted(200, None))
        prompt = sum(voice.tokens_in(voice.content(message)) + 4 for message in messages)
        if fault == "overflow" or prompt >= instance.context:
            raise work.words.overflow(work.habits, max(prompt, instance.context + 1), instance.context)
        self._count += 1
        reasoning, text = voice.answer(messages, self._seed, work.habits.answer)
        if work.habits.answer_times:
            work.habits = work.habits.counted("answer")
        act = acting.act(body, messages, text, plain=work.profile.shape == "lm-studio")
        pieces, finish = limited(act.text, {} if act.call else body, instance.context - prompt)
        prediction = form(
            id=f"{'cmpl' if legacy else 'chatcmpl'}-{self._seed:x}{self._count:016x}",
            model="some/other-model-9b" if fault == "wrong-model" else self._signed(instance, name),
            instance=instance,
            prompt_tokens=prompt,
            reasoning=reasoning,
            pieces=pieces,
            finish="tool_calls" if act.call else finish,
            act=act,
            v0=v0,
            legacy=legacy,
            fault=fault,
            created=int(time.time()),
        )
        begun = work.now()
        if body.get("stream") is True and fault != "plain":
            return await self._streamed(request, prediction, begun, usage=wants_usage(body))
        async with work.slot(instance) as job:
            await work.first(job, prompt)
            await self._broken(prediction, job)
            async for _ in work.paced(job, pieces):
                continue
        self._done(prediction)
        return web.json_response(prediction.whole(work.now() - begun))

    async def _streamed(self, request: web.Request, prediction: Prediction, begun: float, *, usage: bool) -> web.StreamResponse:
        work, fault = self._work, prediction.fault
        response = web.StreamResponse(headers=prediction.headers)
        async with work.slot(prediction.instance) as job:
            await response.prepare(request)
            try:
                if fault == "hang":
                    await work.wait(job, math.inf)
                await work.first(job, prediction.prompt_tokens)
                head = prediction.head()
                if prediction.reasoning:
                    head += b"".join(prediction.piece(part, "reasoning_content") for part in voice.pieces(prediction.reasoning))
                if not fault and not work.habits.tokens_per_s:
                    await work.wait(job, 0)
                    whole = b"".join(prediction.piece(part) for part in prediction.pieces)
                    await response.write(head + whole + prediction.last(work.now() - begun, usage=usage))
                    self._done(prediction)
                    return response
                await response.write(head)
                told = prediction.pieces[: max(1, len(prediction.pieces) // 2)] if _early(fault) else prediction.pieces
                async for part in work.paced(job, told):
                    await response.write(prediction.piece(part))
                if not await self._spoiled(response, prediction, job):
                    await response.write(prediction.last(work.now() - begun, usage=usage))
                    self._done(prediction)
            except Interrupted as cut:
                await response.write(prediction.cut())
                raise Hangup from cut
            except Trouble as trouble:
                await response.write(prediction.complaint(trouble, event_line=work.habits.sse_event_line))
        return response

    async def _spoiled(self, response: web.StreamResponse, prediction: Prediction, job: Job) -> bool:
        """What happens in the middle of a stream; whether that was its end."""
        match prediction.fault:
            case "cut":
                await response.write(prediction.cut())
            case "silent-cut":
                await response.write(b"")
            case "proxy-error":
                await response.write(b"proxy error: Failed to read connection\n")
            case "failed":
                prediction.stop_reason = "failed"
                return False
            case fault if _early(fault):
                await self._broken(prediction, job)
            case _:
                return False
        return True

    async def _broken(self, prediction: Prediction, job: Job) -> None:
        """The faults that end a prediction. Raises what its client is told."""
        work = self._work
        match prediction.fault:
            case "crash":
                work.drop(prediction.instance, work.words.crashed(work.habits.exit_code), "crashed")
                await work.wait(job, 0)
            case "crowded":
                prediction.instance.abort(work.words.crowded())
                await work.wait(job, 0)
            case "unload":
                work.drop(prediction.instance, work.words.unloaded(), "lost")
                await work.wait(job, 0)
            case "reset":
                raise Hangup
            case "stall" | "hang":
                await work.wait(job, math.inf)
            case "proxy-error":
                raise Trouble(500, "proxy error: Failed to read connection")
            case _:
                return

    async def instance(self, name: str, body: Mapping[str, object], *, load: bool = True) -> Instance:
        """Who answers to that name, loaded if need be and if it may be. Raises Trouble."""
        del load
        work, machine = self._work, self._machine
        work.expire()
        if work.profile.fixed and machine.instances and (work.habits.any_name or name in machine.models):
            found = machine.instances.get(name) or next(iter(machine.instances.values()))
        elif (exact := machine.instances.get(name)) is not None and (exact.loaded or not work.habits.jit_race):
            found = exact
        else:
            found = await self._by_model(name, body)
        if not found.loaded:
            await found.ready.wait()
            if found.trouble is not None:
                raise found.trouble
        found.last_used = work.now()
        return found

    async def _by_model(self, name: str, body: Mapping[str, object]) -> Instance:
        work, machine, status = self._work, self._machine, self._work.profile.missing_status
        model = machine.model(name)
        copies = machine.copies(model) if model else []
        if copies and (copies[0].loaded or not (work.habits.jit and work.habits.jit_race)):
            return copies[0]
        if model and work.habits.jit:
            ttl = body.get("ttl")
            try:
                return await work.demanded(model, ttl if isinstance(ttl, int) else None)
            except Trouble as trouble:
                raise complaints.jit_failed(name, _reason(trouble)) from trouble
        loaded = list(machine.loaded())
        if work.profile.shape != "lm-studio":
            raise work.words.missing(name, ())
        if len(loaded) == 1 and (not work.habits.jit or status == 404):
            return loaded[0]
        if not loaded and not work.habits.jit:
            raise complaints.no_models(status)
        raise work.words.missing(name, sorted(machine.models))

    def _signed(self, instance: Instance, name: str) -> str:
        """The name that stands under the answer."""
        habits = self._work.habits
        return name if habits.any_name == "echo" else f"{instance.id}-2026-08-06" if habits.dated else instance.id

    def _struck(self, fault: Fault) -> None:
        if fault == "drop":
            raise Hangup
        if trouble := self._work.words.struck(fault, self._work.habits):
            raise trouble

    def _done(self, prediction: Prediction) -> None:
        self._work.note("answered", instance=prediction.instance.id, tokens=prediction.tokens)


def _early(fault: Fault) -> bool:
    return fault in ("stall", "crash", "crowded", "unload", "reset", "cut", "silent-cut", "failed", "proxy-error")


def _reason(trouble: Trouble) -> str:
    error = trouble.body.get("error") if isinstance(trouble.body, dict) else trouble.body
    message = str(error.get("message")) if isinstance(error, dict) else str(error)
    return message.partition("Error: ")[2] or message
