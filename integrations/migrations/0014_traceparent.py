"""The span in which an event was recorded."""

from django.apps import apps
from django.db import migrations, models

APP = apps.get_containing_app_config(__name__).label


class Migration(migrations.Migration):

    dependencies = [
        (APP, '0013_payload_versions'),
    ]

    operations = [
        migrations.AddField(
            model_name='integrationevent',
            name='traceparent',
            field=models.CharField(blank=True, db_default='', default='', editable=False, max_length=55),
        ),
    ]
