"""The ASGI entry point."""

import os

from django.core.asgi import get_asgi_application

from swwbot_site import processes

processes.follow_parent()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "swwbot_site.settings")
application = get_asgi_application()
