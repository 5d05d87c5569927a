"""A subscription's own payload, and the row that keeps it as it was when its event was recorded."""

from django.apps import apps
from django.db import migrations, models

APP = apps.get_containing_app_config(__name__).label


class Migration(migrations.Migration):
    dependencies = [(APP, "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="eventsubscription",
            name="payload",
            field=models.TextField(
                blank=True,
                db_default="",
                default="",
                help_text="JMESPath that makes what is sent, e.g. {text: workitem.title}; empty: the event's body as it is.",
                max_length=4096,
            ),
        ),
        migrations.AddField(
            model_name="integrationsync",
            name="payload",
            field=models.TextField(blank=True, db_default="", default="", editable=False),
        ),
    ]
