"""The keys about the bot as a whole: those at the top of the file, `botSettings` and `queueSettings`."""

from typing import Final

from swwbot_site.config.kinds import PROSE, choice, millis, nullable, whole
from swwbot_site.config.section import Field
from swwbot_site.config.tables import BACKEND

BOT: Final = (
    Field(key="pollingInterval", column="poll_interval_s", kind=millis()),
    Field(key="websocketPort", dead="the status page and the API replace the WebSocket; the setting PORT says where"),
    Field(key="enableConsoleLogs", dead="the console always reports; the setting LOG_LEVEL says how much"),
    Field(key="minSecondsBetweenAnyPost", dead="write globalSettings.rateLimits.minSecondsBetweenPosts"),
    Field(key="maxTotalMessagesPerMinute", dead="write globalSettings.rateLimits.maxPostsPerMinute"),
)

QUEUE: Final = (
    Field(key="maxRetries", column="_retries", kind=whole(0, 19)),
    Field(key="defaultPriority", column="priority", kind=whole(0, 99)),
    Field(key="enabled", dead="the queue is always on"),
    Field(key="maxConcurrentWorkers", dead="as many answers run at once as the loaded models have slots; a server's `slots` bounds them"),
    Field(key="staleClaimTimeout", dead="claims are leases that a living worker renews"),
    Field(key="congestionThreshold", dead="an answer that would come too late is not begun; maxAgeSeconds of each entity says when"),
    Field(key="maxQueueSize", dead="the queue is rows in the database; clusterSettings.maxWaiting bounds other programs"),
)

TOP: Final = (
    Field(key="version", column="_version", kind=nullable(PROSE, "")),
    Field(key="escapes", column="_escapes", kind=choice("decode", "literal")),
    Field(key="routerSettings", dead="the router was never built"),
    Field(key="monitoring", dead="the status page and /metrics are always there; retention says what is kept"),
    Field(key="cloudflareWorkerRateLimits", dead=BACKEND),
)
