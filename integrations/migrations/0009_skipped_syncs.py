"""Syncs that were never owed: skipped by their condition."""

from django.apps import apps
from django.db import migrations, models

APP = apps.get_containing_app_config(__name__).label


class Migration(migrations.Migration):

    dependencies = [
        (APP, '0008_delivery_story'),
    ]

    operations = [
        migrations.AlterField(
            model_name='integrationsync',
            name='status',
            field=models.CharField(choices=[('pending', '⚠ Pending'), ('synced', '✓ Synced'), ('failed', '✗ Failed'), ('cancelled', '– Cancelled'), ('skipped', '– Skipped')], default='pending', max_length=10),
        ),
    ]
