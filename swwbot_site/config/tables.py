"""Every key of the file: which column it sets, what it may hold, or why it has no effect. docs/configuration.md says it in prose."""

from typing import Final

from swwbot_site.config.kinds import FLAG, LIST, OBJECT, PROSE, TEXTS, choice, millis, nullable, real, text, whole
from swwbot_site.config.rules import CONTEXT, RULES, TURNS
from swwbot_site.config.section import Field

DIALECTS: Final = ("auto", "lmstudio-v1", "lmstudio-v0", "openai", "ollama", "llamacpp", "llamacpp-router", "vllm", "design")
GENERATIONS: Final = ("auto", "kv", "kv-patch", "kv-queue", "do")
DIRECTIONS: Final = ("low-first", "high-first")
FORMATS: Final = ("blob", "joined", "turns")
ROLES: Final = ("system", "assistant", "user")
LIMITED: Final = ("wait", "drop")
NEWLINES: Final = ("keep", "fold", "first")
MARKS: Final = ("keep", "strip", "drop")

_SMALL: Final = 32767
_LARGE: Final = 2**31 - 1

SERVER: Final = (
    Field(key="name", column="name", kind=text(100, empty=False)),
    Field(key="enabled", column="enabled", kind=FLAG),
    Field(key="ip", column="_ip", kind=text(255, empty=False)),
    Field(key="port", column="_port", kind=whole(1, 65535)),
    Field(key="url", column="_url", kind=text(500, empty=False)),
    Field(key="token", column="_token", kind=nullable(text(500), "")),
    Field(key="dialect", column="dialect", kind=choice(*DIALECTS)),
    Field(key="slots", column="slots", kind=nullable(whole(1, _SMALL))),
    Field(key="region", column="region", kind=text(50)),
    Field(key="weight", column="weight", kind=real(0.01, 1e6)),
    Field(key="draining", column="draining", kind=FLAG),
    Field(key="capabilities.maxMemory", column="budget_gb", kind=real(0.1, 1e6)),
    Field(key="capabilities.supportedFormats", column="formats", kind=TEXTS),
    Field(key="capabilities.preferredModels", column="preferred_models", kind=TEXTS),
    Field(key="capabilities.maxConcurrentModels", column="max_models", kind=nullable(whole(1, _SMALL))),
    Field(key="priceIn", column="price_in", kind=real(0, 1e6)),
    Field(key="priceOut", column="price_out", kind=real(0, 1e6)),
    Field(key="dailyBudget", column="daily_budget", kind=nullable(real(0, 1e9))),
)

CLUSTER: Final = (
    Field(key="loadBalancingStrategy", column="strategy", kind=text(40, empty=False)),
    Field(key="region", column="region", kind=text(50)),
    Field(key="ageing", column="ageing_s", kind=millis(zero=True)),
    Field(key="overdue", column="overdue_s", kind=millis()),
    Field(key="connectTimeout", column="connect_timeout_s", kind=millis()),
    Field(key="probeTimeout", column="probe_timeout_s", kind=millis()),
    Field(key="modelLoadTimeout", column="load_timeout_s", kind=millis()),
    Field(key="firstTokenTimeout", column="first_token_timeout_s", kind=millis()),
    Field(key="requestTimeout", column="idle_timeout_s", kind=millis()),
    Field(key="totalTimeout", column="total_timeout_s", kind=millis()),
    Field(key="maxRetries", column="_retries", kind=whole(0, 19)),
    Field(key="minResidency", column="min_residency_s", kind=millis(zero=True)),
    Field(key="modelUnloadDelay", column="unload_delay_s", kind=millis(zero=True)),
    Field(key="keepModelsLoaded", column="keep_models_loaded", kind=FLAG),
    Field(key="preload", column="preload", kind=FLAG),
    Field(key="hedgeAfter", column="hedge_after_s", kind=millis(zero=True)),
    Field(key="returnTime", column="return_s", kind=millis(zero=True)),
    Field(key="healthMonitor", column="monitor", kind=FLAG),
    Field(key="healthCheckInterval", column="health_check_interval_s", kind=millis()),
    Field(key="pollInterval", column="load_poll_interval_s", kind=millis()),
    Field(key="maxLoadAttempts", column="max_load_attempts", kind=whole(1, _SMALL)),
    Field(key="reconcileInterval", column="reconcile_interval_s", kind=millis()),
    Field(key="breakerFailures", column="breaker_failures", kind=whole(1, _SMALL)),
    Field(key="breakerPause", column="breaker_pause_s", kind=millis()),
    Field(key="cacheTtl", column="cache_ttl_s", kind=millis(zero=True)),
    Field(key="cacheEntries", column="cache_entries", kind=whole(0, _LARGE)),
    Field(key="maxWaiting", column="max_waiting", kind=whole(0, _LARGE)),
    Field(key="scaleOutWait", column="scale_out_wait_s", kind=millis()),
    Field(key="scaleInIdle", column="scale_in_idle_s", kind=millis()),
    Field(key="scaleWebhook", column="scale_webhook", kind=nullable(text(500), "")),
)

FEED: Final = (
    Field(key="name", column="name", kind=text(100, empty=False)),
    Field(key="url", column="url", kind=text(500, empty=False)),
    Field(key="enabled", column="enabled", kind=FLAG),
    Field(key="generation", column="generation", kind=choice(*GENERATIONS)),
    Field(key="priorityDirection", column="priority_direction", kind=choice(*DIRECTIONS)),
    Field(key="dryRun", column="dry_run", kind=FLAG),
    Field(key="domain", column="domain", kind=text(200, empty=False)),
    Field(key="pollingInterval", column="poll_interval_s", kind=millis()),
    Field(key="overlap", column="overlap_s", kind=millis(zero=True)),
    Field(key="postInterval", column="post_interval_s", kind=millis(zero=True)),
    Field(key="origin", column="origin", kind=text(200)),
    Field(key="exempt", column="exempt", kind=FLAG),
    Field(key="lostAfter", column="lost_after_s", kind=millis()),
    Field(key="maxText", column="max_text", kind=whole(1, _LARGE)),
    Field(key="maxBotRun", column="max_bot_run", kind=whole(0, _SMALL)),
    Field(key="maxRepliers", column="max_repliers", kind=whole(0, _SMALL)),
    Field(key="strategy", column="strategy", kind=text(40, empty=False)),
    Field(key="botDecay", column="bot_decay", kind=real(0, 1)),
    Field(key="windowGap", column="window_gap_s", kind=millis()),
    Field(key="rooms", column="_rooms", kind=LIST),
)

ROOM: Final = (
    Field(key="domain", column="domain", kind=text(200, empty=False)),
    Field(key="entities", column="entities", kind=TEXTS),
    Field(key="maxRepliers", column="max_repliers", kind=nullable(whole(0, _SMALL))),
    Field(key="maxBotRun", column="max_bot_run", kind=nullable(whole(0, _SMALL))),
    Field(key="strategy", column="strategy", kind=nullable(text(40, empty=False), "")),
    Field(key="silence", column="silence_s", kind=nullable(millis())),
)

SYNTHESIS: Final = (
    *("synthesizePrompt", "entityPrompt", "statusMessage", "ai-entities-to-include", "synthesisProcessing", "synthesisPrefix"),
    *("synthesisServer", "synthesisEndpoint", "synthesisTimeout"),
)
"""Keys by which November's bot asked several entities and summed their answers up."""

_GAP: Final = nullable(whole(0, _LARGE))
_POSTS: Final = nullable(whole(1, _LARGE))
LIMITS: Final = (
    Field(key="rateLimits.minSecondsBetweenPosts", column="limits.gap", kind=_GAP),
    Field(key="rateLimits.maxPostsPerMinute", column="limits.minute", kind=_POSTS),
    Field(key="rateLimits.maxPostsPerHour", column="limits.hour", kind=_POSTS),
    Field(key="rateLimits.maxPostsPerDay", column="limits.day", kind=_POSTS),
    Field(key="rateLimits.rules", column="limits.rules", kind=RULES),
)

ENTITY: Final = (
    Field(key="id", column="slug", kind=text(100, empty=False)),
    Field(key="enabled", column="enabled", kind=FLAG),
    Field(key="disabledReason", column="disabled_reason", kind=PROSE),
    Field(key="username", column="username", kind=text(1000, empty=False)),
    Field(key="aliases", column="aliases", kind=TEXTS),
    Field(key="triggers", column="triggers", kind=TEXTS),
    Field(key="color", column="color", kind=text(40, empty=False)),
    Field(key="model", column="model", kind=nullable(text(300), "")),
    Field(key="baseModel", column="_base", kind=text(280, empty=False)),
    Field(key="quantizations", column="_quantizations", kind=OBJECT),
    Field(key="defaultQuantization", column="_quantization", kind=text(19, empty=False)),
    Field(
        key="modelServer",
        dead="it named a kind of backend of November; servers stand under lmStudioServers, and preferredServer pins one of them",
    ),
    Field(key="preferredServer", column="preferred_server", kind=nullable(text(100), "")),
    Field(key="promptFormat", column="prompt_format", kind=choice(*FORMATS)),
    Field(key="systemRole", column="system_role", kind=choice(*ROLES)),
    Field(key="systemPrompt", column="system_prompt", kind=PROSE),
    Field(key="userPrompt", column="user_prompt", kind=PROSE),
    Field(key="nom", column="messages_to_read", kind=whole(1, 1000)),
    Field(key="messagesToRead", column="_messages", kind=whole(0, 1000)),
    Field(key="contextWindow", column="_window", kind=whole(0, 1000)),
    Field(key="addNewlineToContext", column="add_newline_to_context", kind=FLAG),
    Field(key="addEntityUsername", column="add_entity_username", kind=FLAG),
    Field(key="keepNames", column="keep_names", kind=FLAG),
    Field(key="warmup", column="warmup", kind=TURNS),
    Field(key="initContext", column="_init", kind=CONTEXT),
    Field(key="addVariableToContext", dead="what it added to the context is not known; write it into systemPrompt or warmup"),
    Field(key="temperature", column="temperature", kind=nullable(real(0, 10))),
    Field(key="maxTokens", column="max_tokens", kind=nullable(whole(1, _LARGE))),
    Field(key="max_tokens", column="_max_tokens", kind=nullable(whole(1, _LARGE))),
    Field(key="top_p", column="_top_p", kind=nullable(real(0, 1))),
    Field(key="top_k", column="_top_k", kind=nullable(whole(0, _LARGE))),
    Field(key="min_p", column="_min_p", kind=nullable(real(0, 1))),
    Field(key="repeat_penalty", column="_repeat_penalty", kind=nullable(real(0, 10))),
    Field(key="frequency_penalty", column="_frequency_penalty", kind=nullable(real(-2, 2))),
    Field(key="presence_penalty", column="_presence_penalty", kind=nullable(real(-2, 2))),
    Field(key="topP", column="top_p", kind=nullable(real(0, 1))),
    Field(key="topK", column="top_k", kind=nullable(whole(0, _LARGE))),
    Field(key="minP", column="min_p", kind=nullable(real(0, 1))),
    Field(key="repeatPenalty", column="repeat_penalty", kind=nullable(real(0, 10))),
    Field(key="frequencyPenalty", column="frequency_penalty", kind=nullable(real(-2, 2))),
    Field(key="presencePenalty", column="presence_penalty", kind=nullable(real(-2, 2))),
    Field(key="stop", column="stop", kind=TEXTS),
    Field(key="filterOut", column="filter_out", kind=TEXTS),
    Field(key="trimAfter", column="trim_after", kind=TEXTS),
    Field(key="trimWhitespace", column="trim_whitespace", kind=FLAG),
    Field(key="newlines", column="newlines", kind=choice(*NEWLINES)),
    Field(key="links", column="links", kind=choice(*MARKS)),
    Field(key="markup", column="markup", kind=choice(*MARKS)),
    Field(key="maxSimilarity", column="max_similarity", kind=real(0, 1, above=True)),
    Field(key="responseChance", column="response_chance", kind=real(0, 1)),
    Field(key="weight", column="weight", kind=real(0, 1e6)),
    Field(key="defaultPriority", column="priority", kind=whole(0, 99)),
    *LIMITS,
    Field(key="conversationSettings.respondsToHumanMessages", column="responds_to_humans", kind=FLAG),
    Field(key="conversationSettings.respondsToAllAiMessages", column="responds_to_all_ai", kind=FLAG),
    Field(key="conversationSettings.respondsToTheseAiOnly", column="responds_to_these_ai", kind=TEXTS),
    Field(key="maxAgeSeconds", column="max_age_s", kind=whole(1, _LARGE)),
    Field(key="whenLimited", column="when_limited", kind=choice(*LIMITED)),
    Field(key="holdForApproval", column="hold", kind=FLAG),
    Field(key="maxFailures", column="max_failures", kind=whole(0, _SMALL)),
    Field(key="cacheAnswers", column="cache_answers", kind=FLAG),
    Field(key="useTraits", column="use_traits", kind=FLAG),
    Field(key="traits.style", column="style", kind=text(200)),
    Field(key="traits.mood", column="mood", kind=text(200)),
    Field(key="traits.interests", column="interests", kind=TEXTS),
    Field(key="greeting", dead="it belonged to the private chats of October"),
    *(
        Field(key=key, dead="it asked several voices and summed them up; use manage.py ensemble. This entity answers like any other")
        for key in ("specialHandler", *SYNTHESIS)
    ),
)

_GLOBAL: Final = (
    "the original never obeyed it, so neither is it obeyed here; write globalSettings.rateLimits.{} to limit all entities together"
)
BACKEND: Final = "it only describes the message backend's own limits"
GLOBAL: Final = (
    Field(key="defaultModel", column="default_model", kind=nullable(text(300), "")),
    *LIMITS,
    Field(key="minTimeBetweenMessages", dead=_GLOBAL.format("minSecondsBetweenPosts (in seconds)")),
    Field(key="maxMessagesPerMinute", dead=_GLOBAL.format("maxPostsPerMinute")),
    Field(key="requireHumanSeconds", column="require_human_s", kind=whole(0, _LARGE)),
    Field(
        key="requireHumanActivity",
        dead="the original never obeyed it; write requireHumanSeconds, for example 600: by chance only if a human wrote within 10 minutes",
    ),
    Field(key="globalFilterOut", column="filter_out", kind=TEXTS),
    Field(key="globalTrimAfter", column="trim_after", kind=TEXTS),
    Field(key="globalStopSequences", column="stop", kind=TEXTS),
    Field(key="warmup", column="warmup", kind=TURNS),
    Field(key="initContext", column="_init", kind=CONTEXT),
    Field(key="secondTry", column="try_again", kind=FLAG),
    Field(key="cloudflareWorkerRateLimits", dead=BACKEND),
    Field(key="defaultEntity", dead="a message names the entity it is meant for, or anybody may answer it"),
    Field(key="brandName", dead="nothing shows it"),
)

_DAYS: Final = whole(0, _LARGE)
RETENTION: Final = (
    Field(key="messagesDays", column="messages_days", kind=_DAYS),
    Field(key="detailsDays", column="details_days", kind=_DAYS),
    Field(key="requestsDays", column="requests_days", kind=_DAYS),
    Field(key="permitsDays", column="permits_days", kind=_DAYS),
    Field(key="placementsDays", column="placements_days", kind=_DAYS),
    Field(key="eventsDays", column="events_days", kind=_DAYS),
    Field(key="maxEvents", column="events_most", kind=whole(0, _LARGE)),
    Field(key="deliveriesDays", column="deliveries_days", kind=_DAYS),
    Field(key="recordsDays", column="records_days", kind=_DAYS),
)

TALK: Final = ("require_human_s", "filter_out", "trim_after", "stop", "warmup", "try_again")
"""Columns of `globalSettings` that are the conversation's."""
