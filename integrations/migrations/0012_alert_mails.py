"""Alerts that are still to be mailed, and managers who want none by mail."""

import django.db.models.deletion
from django.apps import apps
from django.conf import settings
from django.db import migrations, models

APP = apps.get_containing_app_config(__name__).label


class Migration(migrations.Migration):

    dependencies = [
        (APP, '0011_idempotent_requests'),
    ]

    operations = [
        migrations.AddField(
            model_name='alert',
            name='is_quiet',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.CreateModel(
            name='AlertMail',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('title', models.CharField(max_length=300)),
                ('text', models.TextField()),
                ('made_at', models.DateTimeField()),
                ('next_try_at', models.DateTimeField(db_index=True)),
                ('tenant', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.INTEGRATIONS_TENANT_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='AlertMute',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('user_key', models.CharField(max_length=255)),
                ('tenant', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.INTEGRATIONS_TENANT_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('tenant', 'user_key'), name='one_mute_of_alerts')],
            },
        ),
    ]
