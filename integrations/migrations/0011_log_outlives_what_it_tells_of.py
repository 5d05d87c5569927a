"""What the log tells of outlives it: its lines keep tenant and names. A retry has a time of its own."""

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import Max, OuterRef, Subquery, Value
from django.db.models.functions import Coalesce

BATCH = 10_000


def name_subjects(apps, schema_editor):
    """Write into each line whose integration it tells of, in batches along the key."""
    log = apps.get_model("integrations", "ExecutionLog").objects.using(schema_editor.connection.alias)
    integrations = apps.get_model("integrations", "TenantIntegration")._base_manager.filter(pk=OuterRef("integration_id"))
    last = log.aggregate(last=Max("pk"))["last"] or 0
    for start in range(0, last + 1, BATCH):
        log.filter(pk__gte=start, pk__lt=start + BATCH, tenant=None).update(
            tenant=Subquery(integrations.values("tenant_id")[:1]),
            tenant_name=Coalesce(Subquery(integrations.values("tenant__name")[:1]), Value("")),
            integration_name=Coalesce(Subquery(integrations.values("name")[:1]), Value("")),
        )


class Migration(migrations.Migration):

    dependencies = [
        ('integrations', '0010_clocks'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='executionlog',
            name='log_without_sync',
        ),
        migrations.AddField(
            model_name='executionlog',
            name='integration_name',
            field=models.CharField(blank=True, db_default='', default='', max_length=200),
        ),
        migrations.AddField(
            model_name='executionlog',
            name='tenant',
            field=models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.INTEGRATIONS_TENANT_MODEL),
        ),
        migrations.AddField(
            model_name='executionlog',
            name='tenant_name',
            field=models.CharField(blank=True, db_default='', default='', max_length=200),
        ),
        migrations.AddField(
            model_name='integrationsync',
            name='not_before',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='integrationsync',
            name='retried_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name='executionlog',
            name='integration',
            field=models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='logs', to='integrations.tenantintegration'),
        ),
        migrations.AlterField(
            model_name='executionlog',
            name='sync',
            field=models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='logs', to='integrations.integrationsync'),
        ),
        migrations.AddField(
            model_name='tenantintegration',
            name='renew_secret_days',
            field=models.PositiveSmallIntegerField(blank=True, help_text='A new secret is then made by itself and waits on this page; the old one signs beside it until a day after somebody has seen the new one. Empty: only by hand.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(3650)], verbose_name='renew the signing secret every … days'),
        ),
        migrations.AddField(
            model_name='tenantintegration',
            name='secret_renewed_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.RunPython(name_subjects, migrations.RunPython.noop, elidable=True),
        migrations.AddIndex(
            model_name='executionlog',
            index=models.Index(fields=['tenant', '-id'], name='log_of_tenant'),
        ),
    ]
