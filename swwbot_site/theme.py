"""How the admin looks: django-unfold's settings."""

from typing import Any, Final

from django.templatetags.static import static
from django.urls import reverse, reverse_lazy


def _item(title: str, icon: str, name: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse_lazy(f"admin:{name}_changelist")}


UNFOLD: Final[dict[str, Any]] = {
    "SITE_TITLE": "Say What Want bot",
    "SITE_HEADER": "Say What Want bot",
    "SITE_SUBHEADER": "personas, cluster, conversation",
    "SITE_SYMBOL": "forum",
    "SITE_URL": "/status/",
    "LOGIN": {"form": "swwbot_site.login.LoginForm"},
    "ENVIRONMENT": "swwbot_site.monitoring.status.badge",
    "SHOW_VIEW_ON_SITE": True,
    "STYLES": [lambda _: static("swwbot/admin.css")],
    "DASHBOARD_CALLBACK": "swwbot_site.monitoring.dashboard.callback",
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": False,
        "navigation": [
            {
                "items": [
                    {"title": "How it goes", "icon": "home", "link": reverse_lazy("admin:index")},
                    {"title": "Status", "icon": "monitoring", "link": reverse_lazy("status")},
                ]
            },
            {
                "title": "Personas",
                "items": [
                    _item("Entities", "groups", "entities_entity"),
                    _item("Rate limits", "speed", "entities_ratelimit"),
                    _item("Permits", "confirmation_number", "entities_permit"),
                ],
            },
            {
                "title": "Cluster",
                "items": [
                    _item("Servers", "dns", "cluster_server"),
                    _item("Models", "psychology", "cluster_languagemodel"),
                    _item("In memory", "memory", "cluster_placement"),
                    _item("On disk", "hard_drive", "cluster_offer"),
                    _item("Generations", "playlist_play", "cluster_generation"),
                    _item("In flight", "flight", "cluster_seat"),
                    _item("Shares", "balance", "cluster_share"),
                    _item("Calls for servers", "cell_tower", "cluster_notice"),
                    _item("Policy", "tune", "cluster_clusterpolicy"),
                ],
            },
            {
                "title": "Conversation",
                "items": [
                    _item("Feeds", "rss_feed", "conversations_feed"),
                    _item("Rooms", "meeting_room", "conversations_room"),
                    _item("Messages", "chat", "conversations_message"),
                    _item("Replies", "reply", "conversations_reply"),
                    {
                        "title": "On hold",
                        "icon": "front_hand",
                        "link": lambda _: f"{reverse('admin:conversations_reply_changelist')}?state__exact=held",
                        "active": lambda request: "state__exact=held" in request.META.get("QUERY_STRING", ""),
                        "badge": "swwbot_site.monitoring.status.on_hold",
                        "badge_variant": "warning",
                    },
                    _item("Several voices", "groups_3", "conversations_ensemble"),
                    _item("Scenarios", "theater_comedy", "conversations_scenario"),
                    _item("Posting and policy", "emergency_home", "conversations_conversationpolicy"),
                ],
            },
            {
                "title": "Running",
                "items": [
                    _item("Events", "history", "swwbot_site_event"),
                    _item("Retention", "auto_delete", "swwbot_site_retention"),
                    _item("Webhooks", "webhook", "swwbot_site_webhook"),
                    _item("Deliveries", "send", "swwbot_site_delivery"),
                    _item("Imports", "upload_file", "swwbot_site_configimport"),
                    _item("Engines", "settings_suggest", "conversations_engine"),
                    _item("Schedules", "schedule", "django_q_schedule"),
                    _item("Waiting tasks", "pending", "django_q_ormq"),
                    _item("Finished tasks", "task_alt", "django_q_success"),
                    _item("Failed tasks", "error", "django_q_failure"),
                ],
            },
            {
                "title": "People",
                "items": [
                    _item("Users", "person", "auth_user"),
                    _item("Groups", "group", "auth_group"),
                    _item("Tokens", "key", "swwbot_site_token"),
                ],
            },
        ],
    },
}
