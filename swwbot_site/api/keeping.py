"""How long rows are kept, in `/api/v1/`."""

from drf_spectacular.utils import extend_schema, extend_schema_serializer, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from swwbot_site.lib.apikit import One
from swwbot_site.lib.forms import RowForm
from swwbot_site.lib.rights import who
from swwbot_site.retention.alter import alter
from swwbot_site.retention.row import Retention


class RetentionForm(RowForm[Retention]):
    """How long rows are kept, in days; 0: for ever. `events_most` is a number of rows."""

    class Meta:
        model = Retention
        fields = Retention.written()


@extend_schema_serializer(many=False)
class RetentionSerializer(serializers.ModelSerializer[Retention]):
    """How long rows are kept, in days (0: for ever), and how far throwing away has come: `kind` is what it is at, empty between two rounds."""

    gone = serializers.DictField(child=serializers.IntegerField(), read_only=True)

    class Meta:
        model = Retention
        fields = (*Retention.written(), "kind", "due_at", "ended_at", "gone")
        read_only_fields = fields


@extend_schema_view(list=extend_schema(operation_id="retention_retrieve"))
class RetentionView(One):
    """How long rows are kept."""

    serializer_class = RetentionSerializer
    queryset = Retention.objects.all()
    forms = {"change": RetentionForm}

    def get_object(self) -> Retention:
        """The one row, or the defaults where nobody has made it yet: looking writes nothing."""
        return Retention.objects.first() or Retention()

    @extend_schema(operation_id="retention_change")
    def change(self, request: Request) -> Response:
        """Change what is given, from the next step of throwing away on. What went does not come back."""
        alter(self.said(), who(request))
        return self.shown()
