"""Chats, completions and embeddings: which instance answers, in which format, and what goes wrong on the way."""

import json
import math
import time
from collections.abc import Mapping, Sequence

from aiohttp import web

from cluster.lmstudio.emulator import complaints, voice
from cluster.lmstudio.emulator.habits import Fault
from cluster.lmstudio.emulator.machine import Instance, Job, Machine, Trouble
from cluster.lmstudio.emulator.prediction import Prediction, limited, messages_of, vector, wants_usage
from cluster.lmstudio.emulator.work import Work

_STREAM = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "Connection": "keep-alive"}


class Hangup(Exception):
    """The connection is to be cut without another byte."""


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
        return await self._predict(request, body, messages_of(body), v0=v0, legacy=False)

    async def complete(self, request: web.Request, body: Mapping[str, object], *, v0: bool = False) -> web.StreamResponse:
        """A text completion. Raises Trouble, Hangup."""
        prompt = body.get("prompt")
        if not isinstance(prompt, str):
            raise complaints.engine("'prompt' is required")
        return await self._predict(request, body, [{"role": "user", "content": prompt}], v0=v0, legacy=True)

    async def embed(self, body: Mapping[str, object]) -> dict[str, object]:
        """Vectors that depend on nothing but the text. Raises Trouble, Hangup."""
        inputs = body.get("input")
        texts = [inputs] if isinstance(inputs, str) else inputs
        if not isinstance(texts, list) or not texts:
            raise complaints.engine("'input' is required")
        name = str(body.get("model", ""))
        self._struck(self._work.strike(name))
        instance = await self._instance(name, body)
        async with self._work.slot(instance) as job:
            await self._work.first(job, sum(voice.tokens_in(str(text)) for text in texts))
        rows = [{"object": "embedding", "embedding": vector(str(text)), "index": index} for index, text in enumerate(texts)]
        self._work.note("embedded", instance=instance.id, inputs=len(texts))
        return {"object": "list", "data": rows, "model": instance.id, "usage": {"prompt_tokens": 0, "total_tokens": 0}}

    async def _predict(
        self, request: web.Request, body: Mapping[str, object], messages: Sequence[Mapping[str, object]], *, v0: bool, legacy: bool
    ) -> web.StreamResponse:
        work, name = self._work, str(body.get("model", ""))
        fault = work.strike(name)
        self._struck(fault)
        instance = await self._instance(name, body)
        prompt = sum(voice.tokens_in(voice.content(message)) + 4 for message in messages)
        if fault == "overflow" or prompt >= instance.context:
            raise complaints.overflow(work.habits.overflow, max(prompt, instance.context + 1), instance.context)
        self._count += 1
        reasoning, text = voice.answer(messages, self._seed, work.habits.answer)
        pieces, finish = limited(text, body, instance.context - prompt)
        prediction = Prediction(
            id=f"{'cmpl' if legacy else 'chatcmpl'}-{self._seed:x}{self._count:016x}",
            model="some/other-model-9b" if fault == "wrong-model" else instance.id,
            instance=instance,
            prompt_tokens=prompt,
            reasoning=reasoning,
            pieces=pieces,
            finish=finish,
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
        response = web.StreamResponse(headers=_STREAM)
        async with work.slot(prediction.instance) as job:
            await response.prepare(request)
            try:
                if fault == "hang":
                    await work.wait(job, math.inf)
                await work.first(job, prediction.prompt_tokens)
                head = prediction.event('""' if prediction.legacy else '{"role":"assistant","content":""}')
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
            except Trouble as trouble:
                await response.write(self._complaint(trouble))
        return response

    async def _spoiled(self, response: web.StreamResponse, prediction: Prediction, job: Job) -> bool:
        """What happens in the middle of a stream; whether that was its end."""
        match prediction.fault:
            case "cut":
                await response.write(b"data: [DONE]\n\n")
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
                work.drop(prediction.instance, complaints.crashed(work.habits.exit_code), "crashed")
                await work.wait(job, 0)
            case "unload":
                work.drop(prediction.instance, complaints.unloaded(), "lost")
                await work.wait(job, 0)
            case "reset":
                raise Hangup
            case "stall" | "hang":
                await work.wait(job, math.inf)
            case "proxy-error":
                raise Trouble(500, "proxy error: Failed to read connection")
            case _:
                return

    async def _instance(self, name: str, body: Mapping[str, object]) -> Instance:
        """Who answers to that name, loaded if need be. Raises Trouble."""
        work, machine = self._work, self._machine
        work.expire()
        if work.profile.shape == "openai" and name in machine.models:
            found = machine.instances[name]
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
            raise complaints.openai(404, f"The model `{name}` does not exist or is not loaded", "model_not_found")
        if len(loaded) == 1 and (not work.habits.jit or status == 404):
            return loaded[0]
        if not loaded and not work.habits.jit:
            raise complaints.no_models(status)
        raise complaints.invalid_identifier(name, sorted(machine.models), status)

    def _struck(self, fault: Fault) -> None:
        work = self._work
        match fault:
            case "drop":
                raise Hangup
            case "html500":
                raise complaints.html500()
            case "unavailable":
                raise Trouble(503, {"error": {"message": "Service unavailable", "type": "server_error"}})
            case "loading":
                raise Trouble(503, {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}})
            case "rate-limit":
                raise Trouble(429, {"error": {"message": "Too many requests"}}, headers={"Retry-After": work.habits.retry_after})
            case "channel":
                raise complaints.engine("Channel Error")
            case "fetch-failed":
                raise complaints.engine("Engine protocol predict request failed: fetch failed")
            case "link":
                raise complaints.engine("LM Link connection entered error state peer_keepalive_timeout")
            case "no-models":
                raise complaints.no_models(work.profile.missing_status)
            case _:
                return

    def _complaint(self, trouble: Trouble) -> bytes:
        """A refusal inside a stream: an event in OpenAI's error shape."""
        error = trouble.body.get("error") if isinstance(trouble.body, dict) else str(trouble.body)
        shaped = error if isinstance(error, dict) else {"message": error, "type": "server_error", "code": None}
        line = "event: error\n" if self._work.habits.sse_event_line else ""
        return f"{line}data: {json.dumps({'error': shaped})}\n\n".encode()

    def _done(self, prediction: Prediction) -> None:
        self._work.note("answered", instance=prediction.instance.id, tokens=prediction.tokens)


def _early(fault: Fault) -> bool:
    return fault in ("stall", "crash", "unload", "reset", "cut", "silent-cut", "failed", "proxy-error")


def _reason(trouble: Trouble) -> str:
    error = trouble.body.get("error") if isinstance(trouble.body, dict) else trouble.body
    message = str(error.get("message")) if isinstance(error, dict) else str(error)
    return message.partition("Error: ")[2] or message
