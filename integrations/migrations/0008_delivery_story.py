"""What each attempt sent and got, and who caused an event."""

from django.apps import apps
from django.db import migrations, models

APP = apps.get_containing_app_config(__name__).label


class Migration(migrations.Migration):
    dependencies = [(APP, "0007_api_keys")]

    operations = [
        migrations.AddField("ExecutionLog", "exchanges", models.JSONField(blank=True, editable=False, null=True)),
        migrations.AddField(
            "IntegrationEvent", "actor", models.CharField(blank=True, db_default="", default="", max_length=200)
        ),
    ]
