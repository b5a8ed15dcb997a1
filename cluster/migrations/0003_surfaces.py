"""A placement that a person told to leave."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("cluster", "0002_deepen")]
    operations = [
        migrations.RenameField("placement", "duplicate", "dismissed"),
        migrations.AlterField(
            "placement",
            "dismissed",
            models.BooleanField(
                default=False, help_text="Somebody told it to leave: it goes once it is idle and nobody waits for its model."
            ),
        ),
    ]
