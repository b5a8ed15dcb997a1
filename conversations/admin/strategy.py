"""A form whose strategy must be one that there is."""

from django import forms

from entities import choose


class Strategic(forms.ModelForm):  # type: ignore[type-arg]  # django-stubs: generic only for the type checker
    """Asks the registry which reply strategies there are."""

    def clean_strategy(self) -> str:
        """One that there is, or none where the field may be empty."""
        name: str = self.cleaned_data["strategy"]
        if name:
            try:
                choose.strategy(name)
            except choose.UnknownStrategy as error:
                raise forms.ValidationError(str(error)) from error
        return name
