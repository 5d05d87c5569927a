"""The account of who caused an event, so that it is named as people know it, and said to be gone when it is."""

from django.apps import apps
from django.db import migrations, models

APP = apps.get_containing_app_config(__name__).label


class Migration(migrations.Migration):
    dependencies = [(APP, "0014_traceparent")]

    operations = [
        migrations.AddField(
            "IntegrationEvent", "actor_key", models.CharField(blank=True, db_default="", default="", max_length=64)
        ),
    ]
