"""Figures of deliveries, by the minute, hour and day."""

import django.db.models.deletion
from django.apps import apps
from django.conf import settings
from django.db import migrations, models

APP = apps.get_containing_app_config(__name__).label


def _stretch():
    """Return the columns that all tables of figures have."""
    counts = ['delivered', 'retrying', 'given_up', 'cancelled']
    counts += [f'duration_{place}' for place in range(13)] + [f'age_{place}' for place in range(14)]
    return [
        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
        ('resolution', models.SmallIntegerField()),
        ('start', models.IntegerField()),
        *((name, models.IntegerField(db_default=0, default=0)) for name in counts),
        *((name, models.BigIntegerField(db_default=0, default=0)) for name in ('duration_ms', 'age_ms')),
    ]


class Migration(migrations.Migration):

    dependencies = [
        (APP, '0003_audit_trail'),
    ]

    operations = [
        migrations.CreateModel(
            name='RollUp',
            fields=[
                ('name', models.CharField(max_length=10, primary_key=True, serialize=False)),
                ('until', models.IntegerField()),
            ],
        ),
        migrations.CreateModel(
            name='TotalFigures',
            fields=_stretch(),
            options={
                'verbose_name': 'stretch of figures',
                'verbose_name_plural': 'stretches of figures',
                'constraints': [models.UniqueConstraint(fields=('resolution', 'start'), name='figures_of_all')],
            },
        ),
        migrations.CreateModel(
            name='IntegrationFigures',
            fields=[
                *_stretch(),
                ('integration', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='figures', to=f'{APP}.tenantintegration')),
            ],
            options={
                'verbose_name': 'stretch of figures',
                'verbose_name_plural': 'stretches of figures',
                'indexes': [models.Index(fields=['resolution', 'start'], name='figures_by_time')],
                'constraints': [models.UniqueConstraint(fields=('integration', 'resolution', 'start'), name='figures_of_integration')],
            },
        ),
        migrations.CreateModel(
            name='TenantFigures',
            fields=[
                *_stretch(),
                ('tenant', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.INTEGRATIONS_TENANT_MODEL)),
            ],
            options={
                'verbose_name': 'stretch of figures',
                'verbose_name_plural': 'stretches of figures',
                'indexes': [models.Index(fields=['resolution', 'start'], name='tenant_figures_by_time')],
                'constraints': [models.UniqueConstraint(fields=('tenant', 'resolution', 'start'), name='figures_of_tenant')],
            },
        ),
    ]
