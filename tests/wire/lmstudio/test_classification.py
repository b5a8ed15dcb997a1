"""Every row of the reference's error table, by text before status."""

import json
from datetime import UTC, datetime

import pytest

from cluster.lmstudio import errors
from cluster.lmstudio.classification import classify, of_object
from swwbot_site.lib.errors import Fault, Retry


def shaped(message: str, **more: object) -> str:
    return json.dumps({"error": {"message": message, **more}})


def bare(message: str) -> str:
    return json.dumps({"error": message})


GUARDRAIL = (
    "Failed to load LLM 'google/gemma-4-26b-a4b': Error: Model loading was stopped due to insufficient system resources. Continuing to "
    "load the model would likely overload your system and cause it to freeze. If you think this is incorrect, you can adjust the model "
    "loading guardrails in settings."
)
NAMED_GB = (
    "Failed to load LLM 'm': Error: Model loading was stopped due to insufficient system resources. Under the current settings, this "
    "model requires approximately 14.36 GB of memory, and continuing to load the model would likely overload your system"
)
ABORTED = "Failed to load LLM 'm': Error: Engine protocol runtime llama-server for abc exited before becoming healthy. exitCode=null, signal=SIGABRT"
KEPT = (
    "Trying to keep the first 15857 tokens when context the overflows. However, the model is loaded with context length of only 4096 "
    "tokens, which is not enough. Try to load the model with a larger context length, or provide a shorter input"
)
N_KEEP = (
    "The number of tokens to keep from the initial prompt is greater than the context length (n_keep: 13055>= n_ctx: 4096). "
    "Try to load the model with a larger context length, or provide a shorter input."
)
EXCEEDED = json.dumps(
    {
        "error": {
            "code": 400,
            "message": "request (17398 tokens) exceeds the available context size (8192 tokens), try increasing it",
            "type": "exceed_context_size_error",
            "n_prompt_tokens": 17398,
            "n_ctx": 8192,
        }
    }
)
HTML = "<!DOCTYPE html>\n<html><body>\n<pre>Internal Server Error</pre>\n</body></html>\n"
INVALID = 'Invalid model identifier "not-a-model". Please specify a valid downloaded model (e.g., google/gemma-4-e4b).'
ROLES = "'messages' array must only contain objects with a 'role' field that is in [user, assistant, system, tool]"
TOO_LONG = "input (600 tokens) is too large to process. increase the physical batch size (current batch size: 512)"
NO_PICTURES = "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"
TEMPLATE = (
    "\n------------\nWhile executing CallExpression at line 1, column 70 in source:\n...raise_exception('Roles must alternate')...\n"
    "                                           ^\nError: Jinja Exception: Roles must alternate"
)

ROWS = [
    ("1", 200, bare("Unexpected endpoint or method. (POST /v1/models/load)"), errors.CapabilityMissing),
    ("1", 404, bare("Unexpected endpoint or method. (GET /api/v1/x)"), errors.CapabilityMissing),
    ("4", 500, shaped("Failed to load LLM 'x': Error: Operation canceled."), errors.LoadCanceled),
    ("4", 400, shaped('Failed to load model "X". Error: Operation canceled.', code="model_not_found"), errors.LoadCanceled),
    ("5", 400, bare("Model unloaded."), errors.ModelUnloaded),
    ("5", 400, bare("Model is unloaded."), errors.ModelUnloaded),
    ("6", 400, bare("The model has crashed without additional information. (Exit code: null)"), errors.ModelCrashed),
    ("6", 400, bare("The model has crashed without additional information. (Exit code: 18446744072635812000)"), errors.ModelCrashed),
    ("7", 500, shaped(GUARDRAIL, type="model_load_failed"), errors.OutOfMemory),
    ("7", 200, shaped(GUARDRAIL, type="model_load_failed"), errors.OutOfMemory),
    ("7", 500, shaped(NAMED_GB, type="model_load_failed"), errors.OutOfMemory),
    ("7", 400, shaped(f'Failed to load model "X". Error: {GUARDRAIL}', code="model_not_found"), errors.OutOfMemory),
    ("8", 500, shaped(ABORTED, type="model_load_failed"), errors.EngineFailed),
    ("9", 500, shaped("snapshot of system resources failed"), errors.NeedsRestart),
    ("9", 500, shaped("System resources observer shutdown requested."), errors.NeedsRestart),
    ("10", 400, bare(KEPT), errors.ContextOverflow),
    ("10", 400, bare(N_KEEP), errors.ContextOverflow),
    ("10", 400, EXCEEDED, errors.ContextOverflow),
    ("11", 400, shaped("No models loaded. Please load a model in the developer page", code="model_not_found"), errors.NothingLoaded),
    ("11", 404, shaped("No models loaded. Please load a model", code=None), errors.NothingLoaded),
    ("15", 400, bare("Engine protocol predict request failed: fetch failed"), errors.EngineLost),
    ("16", 500, HTML, errors.Hiccup),
    ("17", 401, shaped("An LM Studio API token is required to make requests", code="invalid_api_key"), errors.Misconfigured),
    ("17", 401, shaped("Malformed LM Studio API token provided: sk-bogus-E****", code="invalid_api_key"), errors.Misconfigured),
    ("17", 403, shaped("Permission denied to use plugin x"), errors.Misconfigured),
    ("17", 403, "", errors.Misconfigured),
    ("18", 400, bare("LM Link connection entered error state peer_keepalive_timeout"), errors.LinkLost),
    ("19", 503, bare("Stopped."), errors.Unavailable),
    ("20", 400, shaped("Model m already exists"), errors.AlreadyLoaded),
    ("20", 400, shaped("Model m is already loaded"), errors.AlreadyLoaded),
    ("21", 404, shaped("Model totally/made-up-9000 not found in downloaded models", type="model_not_found"), errors.ModelMissing),
    ("21", 400, shaped(INVALID, code="model_not_found"), errors.ModelMissing),
    ("21", 404, shaped('Model "default" not found. Please specify a valid model.\n\nYour models:\n\n'), errors.ModelMissing),
    ("21", 500, shaped("... Error: No LM Runtime found for model format 'torchSafetensors'!"), errors.FormatUnsupported),
    ("21", 500, shaped("Failed to load LLM 'm': Error: Error loading model.", type="model_load_failed"), errors.LoadFailed),
    ("22", 400, bare(ROLES), errors.BadRequest),
    ("22", 500, shaped("System message must be at the beginning"), errors.BadRequest),
    ("22", 400, bare("_0x48eeaf is not iterable"), errors.BadRequest),
    ("22", 400, bare("Channel Error"), errors.ChannelError),
    ("23", 400, shaped("Unrecognized key(s) in object: 'stream', 'ttl'", type="invalid_request"), errors.UnknownKey),
    ("4.3", 404, shaped("Model with instance identifier 'x' is not loaded.", type="model_not_found"), errors.NotLoaded),
    ("4.2", 400, shaped('"model" is required', type="invalid_request", code="missing_required_parameter"), errors.BadRequest),
    ("6", 400, shaped("'response_format.type' must be ...", type="invalid_request_error"), errors.BadRequest),
    ("13", 503, shaped("Loading model", type="unavailable_error", code=503), errors.StillLoading),
    ("13", 500, "proxy error: Failed to read connection", errors.Dropped),
    ("13", 404, shaped("File Not Found", type="not_found_error", code=404), errors.CapabilityMissing),
    ("13", 404, "Not Found", errors.CapabilityMissing),
    ("13", 503, bare("server busy, please try again.  maximum pending requests exceeded"), errors.Busy),
    ("13", 503, shaped("no slot available", type="unavailable_error", code=503), errors.Busy),
    ("13", 500, bare("llama runner process has terminated: cudaMalloc failed: out of memory"), errors.OutOfMemory),
    ("13", 500, bare("model requires more system memory (21.5 GiB) than is available (10.1 GiB)"), errors.OutOfMemory),
    ("13", 500, bare("llama runner process has terminated: error loading model: unable to allocate CUDA0 buffer"), errors.OutOfMemory),
    ("13", 500, bare("llama runner process has terminated: exit status 2"), errors.EngineFailed),
    ("13", 500, bare("timed out waiting for llama runner to start - progress 0.00 - "), errors.LoadFailed),
    ("13", 500, bare("model runner has unexpectedly stopped, this may be due to resource limitations"), errors.ModelCrashed),
    ("13", 200, bare("an error was encountered while running the model: unexpected EOF"), errors.ModelCrashed),
    ("13", 404, bare('model "llama9" not found, try pulling it first'), errors.ModelMissing),
    ("13", 404, bare("model 'llama9' not found"), errors.ModelMissing),
    ("13", 400, bare("the input length exceeds the context length"), errors.ContextOverflow),
    ("13", 400, bare(EXCEEDED), errors.ContextOverflow),
    ("13", 404, "404 page not found", errors.CapabilityMissing),
    ("13", 400, shaped("model 'zzz' not found", type="invalid_request_error", code=400), errors.ModelMissing),
    ("13", 404, shaped("model is not found", type="not_found_error", code=404), errors.ModelMissing),
    ("13", 400, shaped("model is already running", type="invalid_request_error", code=400), errors.AlreadyLoaded),
    ("13", 400, shaped("model is not running", type="invalid_request_error", code=400), errors.NotLoaded),
    ("13", 400, shaped("model is not loaded", type="invalid_request_error", code=400), errors.NotLoaded),
    ("13", 500, shaped("model name=zzz failed to load", type="server_error", code=500), errors.LoadFailed),
    ("13", 401, shaped("Invalid API Key", type="authentication_error", code=401), errors.Misconfigured),
    ("13", 500, shaped("proxy error: Could not establish connection", code=500), errors.Dropped),
    ("13", 404, json.dumps({"object": "error", "message": "The model `x` does not exist.", "code": 404}), errors.ModelMissing),
    ("13", 404, json.dumps({"detail": "Not Found"}), errors.CapabilityMissing),
    ("13", 400, shaped("The decoder prompt (length 5000) is longer than the maximum model length of 4096."), errors.ContextOverflow),
    ("13", 500, shaped("EngineCore encountered an issue. See stack trace above for the root cause."), errors.EngineLost),
    ("llama", 500, shaped("Context size has been exceeded.", type="server_error", code=500), errors.Crowded),
    ("llama", 500, shaped(TOO_LONG, type="server_error", code=500), errors.ContextOverflow),
    ("llama", 400, shaped("input (600 tokens) is larger than the max context size (512 tokens). skipping"), errors.ContextOverflow),
    ("llama", 500, shaped(TEMPLATE, type="server_error", code=500), errors.BadRequest),
    ("llama", 400, bare('Error rendering prompt with jinja template: "Conversation roles must alternate".'), errors.BadRequest),
    ("llama", 500, shaped(NO_PICTURES, type="server_error", code=500), errors.Unable),
    ("llama", 501, shaped("This server does not support embeddings. Start it with `--embeddings`", code=501), errors.Unable),
    ("22", 400, bare("'response_format.type' must be 'json_schema' or 'text'"), errors.BadRequest),
    ("llama", 500, shaped("the current context does not support logits computation. skipping", code=500), errors.BadRequest),
    ("llama", 500, shaped("[json.exception.type_error.302] type must be string, but is array", code=500), errors.BadRequest),
    ("llama", 500, shaped("Failed to parse tools: Missing tool type: {}; tools = []", code=500), errors.BadRequest),
    ("llama", 500, shaped("tools param requires --jinja flag", code=500), errors.Unable),
    ("llama", 500, shaped("model limit reached, try again later", type="server_error", code=500), errors.LoadCanceled),
    ("llama", 500, shaped("failed to spawn server instance", type="server_error", code=500), errors.LoadFailed),
    ("llama", 400, shaped("model name=m is not running", type="invalid_request_error", code=400), errors.NotLoaded),
    ("llama", 500, shaped("Compute error.", type="server_error", code=500), errors.Unavailable),
    ("cloud", 402, "", errors.OutOfCredit),
    ("cloud", 402, shaped("This request requires more credits, or fewer max_tokens", code=402), errors.OutOfCredit),
    ("cloud", 429, shaped("You exceeded your current quota, please check your plan", code="insufficient_quota"), errors.OutOfCredit),
    ("cloud", 429, shaped("Limits", code="insufficient_quota"), errors.OutOfCredit),
    ("cloud", 429, shaped("Rate limit reached for gpt-4o in organization x"), errors.RateLimited),
    ("cloud", 503, shaped("That model is currently overloaded with other requests."), errors.Busy),
    ("cloud", 529, shaped("Overloaded", type="overloaded_error"), errors.Busy),
    ("cloud", 400, shaped("openai/nothing is not a valid model ID", code=400), errors.ModelMissing),
    ("cloud", 404, shaped("No endpoints found for maker/nothing.", code=404), errors.ModelMissing),
    ("cloud", 401, shaped("Incorrect API key provided: sk-abc***", code="invalid_api_key"), errors.Misconfigured),
    ("cloud", 403, shaped("The input was flagged by the moderation of the provider", code=403), errors.BadRequest),
    ("cloud", 400, shaped("Unrecognized request arguments supplied: min_p, top_k"), errors.UnknownKey),
    ("cloud", 400, shaped("Unknown parameter: 'top_k'.", code="unknown_parameter"), errors.UnknownKey),
    ("cloud", 400, shaped("Unsupported parameter: 'max_tokens' is not supported with this model."), errors.UnknownKey),
    ("cloud", 422, json.dumps({"detail": [{"type": "extra_forbidden", "loc": ["body", "top_k"]}]}), errors.UnknownKey),
    ("–", 502, "<html><h1>Bad Gateway</h1></html>", errors.Unavailable),
    ("–", 504, "", errors.Unavailable),
    ("–", 429, "", errors.RateLimited),
    ("–", 400, bare("something nobody ever wrote down"), errors.Refused),
    ("–", 422, json.dumps({"detail": [{"msg": "field required"}]}), errors.BadRequest),
    ("–", 302, "", errors.Misconfigured),
]


@pytest.mark.parametrize(("row", "status", "body", "kind"), ROWS, ids=[f"row {row[0]}: {row[1]} {row[3].code}" for row in ROWS])
def test_each_signature_becomes_its_error(row, status, body, kind):
    for written in (body, body.encode()):
        error = classify(status, written, {})
        assert type(error) is kind, row
        assert error.status == status


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, '{"models":[]}'),
        (200, '{"error":null,"data":[]}'),
        (201, ""),
        (200, json.dumps({"choices": [{"message": {"content": "Operation canceled. Model unloaded. insufficient system resources"}}]})),
    ],
)
def test_a_success_is_no_error_whatever_its_text_says(status, body):
    assert classify(status, body) is None


def test_the_guardrail_number_is_read_in_any_unit():
    said = [
        NAMED_GB,
        NAMED_GB.replace("14.36 GB", "512.00 MB"),
        NAMED_GB.replace("14.36", "273.25"),
        NAMED_GB.replace("14.36", "NaN"),
        GUARDRAIL,
    ]
    assert [classify(500, shaped(text)).needs_gb for text in said] == [14.36, 0.5, 273.25, None, None]
    ollama = "model requires more system memory (21.5 GiB) than is available (10.1 GiB)"
    assert [classify(500, bare(text)).needs_gb for text in (ollama, ollama.replace("21.5 GiB", "512.0 MiB"))] == [21.5, 0.5]


@pytest.mark.parametrize(("body", "prompt", "context"), [(bare(KEPT), 15857, 4096), (bare(N_KEEP), 13055, 4096), (EXCEEDED, 17398, 8192)])
def test_an_overflow_names_both_numbers(body, prompt, context):
    error = classify(400, body)
    assert (error.n_prompt, error.n_ctx) == (prompt, context)
    assert (error.retry, error.fault) == (Retry.NEVER, Fault.REQUEST)
    assert "exceed_context_size_error" not in str(error)


def test_unknown_keys_and_exit_codes_are_named():
    assert classify(400, shaped("Unrecognized key(s) in object: 'stream', 'ttl'")).keys == ("stream", "ttl")
    assert classify(400, bare("The model has crashed without additional information. (Exit code: 11)")).exit_code == "11"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("Sun, 22 Nov 2026 12:00:30 GMT", 30.0), ("Sun, 22 Nov 2026 11:00:00 GMT", 0.0), ("soon", None), ("", None)],
)
def test_retry_after_is_seconds_or_a_date(value, seconds):
    error = classify(429, "{}", {"Retry-After": value}, now=datetime(2026, 11, 22, 12, 0, tzinfo=UTC))
    assert error.retry_after_s == seconds


def test_a_503_that_names_a_time_is_busy_and_one_that_does_not_is_harm():
    assert [type(classify(503, "", headers)) for headers in ({"Retry-After": "3"}, {})] == [errors.Busy, errors.Unavailable]
    assert classify(503, bare("server busy"), {"Retry-After": "3"}).retry_after_s == 3
    assert classify(429, "", {"Retry-After-Ms": "1500", "Retry-After": "2"}).retry_after_s == 1.5
    assert type(classify(503, shaped("Loading model"), {"Retry-After": "3"})) is errors.StillLoading


@pytest.mark.parametrize(
    ("code", "kind"), [(429, errors.RateLimited), (402, errors.OutOfCredit), (502, errors.Unavailable), ("server_error", errors.Refused)]
)
def test_an_error_inside_a_stream_may_carry_its_status(code, kind):
    assert type(of_object({"error": {"message": "Provider returned error", "code": code}})) is kind


def test_the_keys_to_leave_out_are_named():
    said = [
        ("Unrecognized request arguments supplied: min_p, top_k", ("min_p", "top_k")),
        ("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", ("max_tokens",)),
        ("Unsupported value: 'temperature' does not support 0.7 with this model.", ("temperature",)),
        ("property 'top_k' is unsupported", ("top_k",)),
    ]
    assert [classify(400, shaped(text)).keys for text, _ in said] == [keys for _, keys in said]


@pytest.mark.parametrize("status", [401, 400, 200])
def test_a_token_is_never_kept(status):
    secret = "sk-lm-abcdefgh:ijklmnopqrstuvwxyz12"
    for body in (
        shaped(f"Malformed LM Studio API token provided: {secret[:10]}*****. Ensure you are using a valid token."),
        bare(f"bad Authorization: Bearer {secret}"),
        bare(f"nobody knows {secret}"),
    ):
        error = classify(status, body).at("mac:1234", secret)
        shown = f"{error} {error!r} {error.args} {error.detail}"
        assert "abcdef" not in shown
        assert "sk-lm" not in shown


def test_a_token_of_any_shape_is_taken_out_of_a_sentence():
    error = classify(400, bare("you sent hunter2hunter2")).at("mac:1234", "hunter2hunter2")
    assert "hunter2" not in f"{error} {error!r}"


def test_the_flags_follow_the_reference():
    gone = {kind for kind in _tree(errors.PeerError) if kind.gone}
    assert {errors.ModelUnloaded, errors.ModelCrashed, errors.NothingLoaded, errors.EngineLost} <= gone
    harming = {errors.Unreachable, errors.Dropped, errors.FirstTokenTimeout, errors.IdleTimeout, errors.Unavailable, errors.ModelCrashed}
    assert all(kind.harms_server for kind in harming)
    harmless = {
        errors.ContextOverflow,
        errors.BadRequest,
        errors.Misconfigured,
        errors.RateLimited,
        errors.OutOfMemory,
        errors.CapabilityMissing,
    }
    assert not any(kind.harms_server for kind in harmless)
    assert {kind for kind in _tree(errors.PeerError) if kind.retry is Retry.NEVER} == {
        errors.BadRequest,
        errors.ContextOverflow,
        errors.UnknownKey,
    }


def test_every_error_has_a_code_of_its_own_and_stands_in_the_drawing():
    kinds = _tree(errors.PeerError)
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert all(kind.__name__ in errors.__doc__ or kind.__name__ in ("Slow", "PeerError") for kind in kinds - {errors.PeerError})


def test_a_stream_event_is_classified_by_its_text_alone():
    assert type(of_object({"error": {"message": "Model unloaded.", "type": "server_error"}})) is errors.ModelUnloaded
    assert type(of_object({"error": {"message": "no idea"}})) is errors.Refused


def test_a_message_says_what_where_and_what_to_do():
    error = classify(500, shaped(GUARDRAIL)).at("mac:1234")
    assert str(error).startswith("mac:1234: Failed to load LLM")
    assert str(error).endswith("Unload something there, or lower the context length.")


def _tree(kind):
    return {kind}.union(*(_tree(child) for child in kind.__subclasses__()))
