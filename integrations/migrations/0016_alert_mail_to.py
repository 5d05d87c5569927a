"""Who still lacks the mail of an alert, where the mail server took it for others."""

from django.apps import apps
from django.db import migrations, models

APP = apps.get_containing_app_config(__name__).label


class Migration(migrations.Migration):
    dependencies = [(APP, "0015_event_actor_key")]

    operations = [
        migrations.AddField("AlertMail", "to", models.JSONField(blank=True, default=None, null=True)),
    ]
