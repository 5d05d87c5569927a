"""The version of the payload that an event has, that a subscription has, and what a row of an older one sends."""

from django.apps import apps
from django.db import migrations, models

APP = apps.get_containing_app_config(__name__).label


class Migration(migrations.Migration):

    dependencies = [
        (APP, '0012_alert_mails'),
    ]

    operations = [
        migrations.AddField(
            model_name='eventsubscription',
            name='payload_version',
            field=models.PositiveSmallIntegerField(blank=True, db_default=1),
        ),
        migrations.AddField(
            model_name='integrationevent',
            name='payload_version',
            field=models.PositiveSmallIntegerField(db_default=1, default=1),
        ),
        migrations.AddField(
            model_name='integrationsync',
            name='older_body',
            field=models.TextField(blank=True, db_default='', default='', editable=False),
        ),
        migrations.AddField(
            model_name='integrationsync',
            name='payload_version',
            field=models.PositiveSmallIntegerField(blank=True, editable=False, null=True),
        ),
    ]
