"""The form of the login page: it says how long somebody has to wait who has tried too often."""

from math import ceil

from django.core.exceptions import ValidationError
from unfold.forms import AuthenticationForm


class LoginForm(AuthenticationForm):  # type: ignore[misc]  # unfold ships no types
    """The theme's, with the throttle's sentence."""

    def get_invalid_login_error(self) -> ValidationError:
        """What is said to whoever is not let in."""
        wait_s = getattr(self.request, "login_wait_s", 0.0)
        if not wait_s:
            return super().get_invalid_login_error()  # type: ignore[no-any-return]
        minutes = ceil(wait_s / 60)
        text = f"Too many wrong passwords. Try again in {minutes} minute{'' if minutes == 1 else 's'}; until then none is looked at."
        return ValidationError(text, code="throttled")
