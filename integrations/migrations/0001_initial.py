"""All tables. The tenant model is the project's, and so is the label of this app: neither is written out here."""

import pkgutil
import uuid
from importlib import import_module

import django.core.validators
import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.manager
from django.apps import apps
from django.conf import settings
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.migration import SwappableTuple

APP = apps.get_containing_app_config(__name__).label


def _of_tenant_model():
    """Depend on the migration that makes the tenant model; `swappable_dependency` would name the first of its app."""
    setting = settings.INTEGRATIONS_TENANT_MODEL
    app_label, name = setting.split('.')
    place, _ = MigrationLoader.migrations_module(app_label)
    found = '__first__'
    try:
        modules = list(pkgutil.iter_modules(import_module(place).__path__)) if place else []
    except (ImportError, AttributeError):
        modules = []  # an app without migrations
    for module in sorted(each.name for each in modules if each.name[0] not in '_~'):
        migration = getattr(import_module(f'{place}.{module}'), 'Migration', None)
        for operation in getattr(migration, 'operations', ()):
            made = operation.name if isinstance(operation, migrations.CreateModel) else None
            made = operation.new_name if isinstance(operation, migrations.RenameModel) else made
            if made is not None and made.lower() == name.lower():
                found = module
    return SwappableTuple((app_label, found), setting)


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('contenttypes', '0002_remove_content_type_name'),
        _of_tenant_model(),
    ]

    operations = [
        migrations.CreateModel(
            name='ConnectionGrant',
            fields=[
                ('tokens_encrypted', models.TextField(blank=True, default='', editable=False)),
                ('scope', models.TextField(blank=True, default='', editable=False)),
                ('expires_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('granted_by', models.CharField(blank=True, editable=False, max_length=150)),
                ('granted_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('last_refreshed_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('invalid_since', models.DateTimeField(blank=True, editable=False, null=True)),
                ('invalid_reason', models.CharField(blank=True, editable=False, max_length=500)),
                ('revision', models.PositiveBigIntegerField(default=0, editable=False)),
                ('lock_token', models.CharField(blank=True, default='', editable=False, max_length=32)),
                ('locked_until', models.DateTimeField(blank=True, editable=False, null=True)),
                ('connection_id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
            ],
            options={
                'verbose_name': 'OAuth grant of a connection',
                'verbose_name_plural': 'OAuth grants of connections',
            },
        ),
        migrations.CreateModel(
            name='Heartbeat',
            fields=[
                ('name', models.CharField(max_length=50, primary_key=True, serialize=False)),
                ('beaten_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='IntegrationConfiguration',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('enabled', models.BooleanField(default=False)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('name', models.CharField(max_length=50, unique=True)),
                ('url_encrypted', models.TextField(blank=True, default='', editable=False)),
                ('credentials_encrypted', models.TextField(blank=True, default='', editable=False)),
                ('config', models.JSONField(blank=True, default=dict)),
                ('rotated_at', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='credentials changed')),
            ],
            options={
                'verbose_name': 'system integration',
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='TenantIntegration',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('connector_version', models.CharField(blank=True, editable=False, max_length=30)),
                ('credentials_encrypted', models.TextField(blank=True, default='', editable=False)),
                ('config', models.JSONField(blank=True, default=dict)),
                ('is_enabled', models.BooleanField(default=True, help_text='Our switch: off after three wrong-credential answers or a 410.', verbose_name='enabled')),
                ('is_connected', models.BooleanField(default=False, help_text='Result of the last test.', verbose_name='connected')),
                ('last_test_at', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='last successful test')),
                ('auth_failure_count', models.PositiveIntegerField(default=0, editable=False)),
                ('last_auth_failure_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('disabled_reason', models.CharField(blank=True, editable=False, max_length=500)),
                ('name', models.CharField(max_length=200, verbose_name='name')),
                ('integration_type', models.CharField(max_length=50)),
                ('provider_family', models.CharField(blank=True, editable=False, max_length=50)),
                ('exclusive_group', models.CharField(blank=True, editable=False, max_length=50)),
                ('webhook_url_encrypted', models.TextField(blank=True, default='', editable=False)),
                ('headers_encrypted', models.TextField(blank=True, default='', editable=False)),
                ('is_active', models.BooleanField(default=True, help_text="The tenant's switch.", verbose_name='active')),
                ('is_signed', models.BooleanField(default=True, help_text='Sign every request (Standard Webhooks).', verbose_name='signed')),
                ('renew_secret_days', models.PositiveSmallIntegerField(blank=True, help_text='A new secret is then made by itself and waits on this page; the old one signs beside it until a day after somebody has seen the new one. Empty: only by hand.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(3650)], verbose_name='renew the signing secret every … days')),
                ('secret_renewed_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('credentials_rotated_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('refused_calls', models.PositiveIntegerField(db_default=0, default=0, editable=False)),
                ('ordering', models.CharField(choices=[('object', 'In order per object'), ('none', 'Any order (fastest)')], default='object', max_length=10, verbose_name='order')),
                ('max_in_flight', models.PositiveSmallIntegerField(blank=True, help_text='How many requests this destination gets in parallel; empty: 8.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(64)], verbose_name='requests at once')),
                ('rate_limit_per_minute', models.PositiveIntegerField(blank=True, help_text='At most so many requests a minute, evenly spaced; empty: no limit.', null=True, validators=[django.core.validators.MinValueValidator(1)], verbose_name='requests a minute')),
                ('timeout_seconds', models.FloatField(blank=True, help_text='Total time for one request, 1 to 60; empty: 30.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(60)], verbose_name='seconds for a request')),
                ('max_attempts', models.PositiveSmallIntegerField(blank=True, help_text='Give up after so many attempts; empty: about three days of them.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(100)], verbose_name='attempts at most')),
                ('inbound_actions', models.JSONField(blank=True, default=list, help_text='What it may do here when it calls back (docs/inbound.md).', verbose_name='may do')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('tenant', models.ForeignKey(on_delete=django.db.models.deletion.DO_NOTHING, to=settings.INTEGRATIONS_TENANT_MODEL)),
            ],
            options={
                'verbose_name': 'tenant integration',
                'ordering': ['name', 'id'],
                'abstract': False,
                'base_manager_name': 'objects',
            },
        ),
        migrations.CreateModel(
            name='ProcessHeartbeat',
            fields=[
                ('name', models.CharField(max_length=200, primary_key=True, serialize=False)),
                ('kind', models.CharField(max_length=20)),
                ('host', models.CharField(max_length=150)),
                ('pid', models.PositiveIntegerField()),
                ('queues', models.CharField(blank=True, max_length=500)),
                ('skew_seconds', models.FloatField(default=0.0)),
                ('beaten_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='GeminiConfiguration',
            fields=[
            ],
            options={
                'verbose_name': 'Gemini configuration',
                'verbose_name_plural': 'Gemini configuration',
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=(f'{APP}.integrationconfiguration',),
        ),
        migrations.CreateModel(
            name='GitHubConfiguration',
            fields=[
            ],
            options={
                'verbose_name': 'GitHub configuration',
                'verbose_name_plural': 'GitHub configuration',
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=(f'{APP}.integrationconfiguration',),
        ),
        migrations.CreateModel(
            name='GraphConfiguration',
            fields=[
            ],
            options={
                'verbose_name': 'Microsoft Graph configuration',
                'verbose_name_plural': 'Microsoft Graph configuration',
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=(f'{APP}.integrationconfiguration',),
        ),
        migrations.CreateModel(
            name='OpenAIConfiguration',
            fields=[
            ],
            options={
                'verbose_name': 'OpenAI configuration',
                'verbose_name_plural': 'OpenAI configuration',
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=(f'{APP}.integrationconfiguration',),
        ),
        migrations.CreateModel(
            name='WeaviateConfiguration',
            fields=[
            ],
            options={
                'verbose_name': 'Weaviate configuration',
                'verbose_name_plural': 'Weaviate configuration',
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=(f'{APP}.integrationconfiguration',),
        ),
        migrations.CreateModel(
            name='IntegrationEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('event_type', models.CharField(max_length=100)),
                ('object_id', models.CharField(max_length=255)),
                ('body', models.TextField()),
                ('occurred_at', models.DateTimeField()),
                ('idempotency_key', models.CharField(max_length=255, unique=True)),
                ('content_type', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='contenttypes.contenttype')),
                ('tenant', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.INTEGRATIONS_TENANT_MODEL)),
                ('origin', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=f'{APP}.tenantintegration')),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='IntegrationSync',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('object_key', models.CharField(editable=False, max_length=300)),
                ('status', models.CharField(choices=[('pending', '⚠ Pending'), ('synced', '✓ Synced'), ('failed', '✗ Failed'), ('cancelled', '– Cancelled')], default='pending', max_length=10)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('next_attempt_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('first_failed_at', models.DateTimeField(blank=True, null=True)),
                ('last_failed_at', models.DateTimeField(blank=True, null=True)),
                ('generation', models.PositiveIntegerField(db_default=0, default=0)),
                ('deaths', models.PositiveSmallIntegerField(db_default=0, default=0)),
                ('progress', models.TextField(blank=True, db_default='', default='', editable=False)),
                ('last_error', models.CharField(blank=True, max_length=1100)),
                ('response_status', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('reason', models.CharField(blank=True, max_length=500)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('not_before', models.DateTimeField(blank=True, null=True)),
                ('retried_at', models.DateTimeField(blank=True, null=True)),
                ('synced_at', models.DateTimeField(blank=True, null=True)),
                ('settled_at', models.DateTimeField(blank=True, null=True)),
                ('event', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='syncs', to=f'{APP}.integrationevent')),
                ('integration', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='syncs', to=f'{APP}.tenantintegration')),
            ],
            options={
                'verbose_name': 'integration sync',
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='ERPPushLog',
            fields=[
            ],
            options={
                'verbose_name': 'ERP push',
                'verbose_name_plural': 'ERP pushes',
                'proxy': True,
                'default_permissions': ('view',),
                'indexes': [],
                'constraints': [],
            },
            bases=(f'{APP}.integrationsync',),
        ),
        migrations.CreateModel(
            name='Lane',
            fields=[
                ('integration', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='lane', serialize=False, to=f'{APP}.tenantintegration')),
                ('lease_token', models.CharField(blank=True, default='', max_length=32)),
                ('lease_expires_at', models.DateTimeField(blank=True, null=True)),
                ('turn', models.PositiveBigIntegerField(db_default=0, default=0)),
                ('hinted_at', models.DateTimeField(blank=True, null=True)),
                ('epoch', models.PositiveIntegerField(db_default=0, default=0)),
                ('careful_left', models.PositiveIntegerField(db_default=0, default=0)),
                ('deleting_since', models.DateTimeField(blank=True, null=True)),
                ('breaker', models.CharField(choices=[('closed', 'Closed'), ('open', 'Open')], default='closed', max_length=10)),
                ('consecutive_failures', models.PositiveIntegerField(default=0)),
                ('refused_object', models.CharField(blank=True, db_default='', default='', max_length=300)),
                ('rejections', models.PositiveSmallIntegerField(db_default=0, default=0)),
                ('rejected_as', models.CharField(blank=True, db_default='', default='', max_length=100)),
                ('rejected_object', models.CharField(blank=True, db_default='', default='', max_length=300)),
                ('times_opened', models.PositiveIntegerField(default=0)),
                ('opened_at', models.DateTimeField(blank=True, null=True)),
                ('paused_until', models.DateTimeField(blank=True, null=True)),
                ('pause_reason', models.CharField(blank=True, max_length=200)),
                ('next_send_at', models.DateTimeField(blank=True, null=True)),
                ('next_check_at', models.DateTimeField(blank=True, db_index=True, null=True)),
                ('is_slow', models.BooleanField(default=False)),
                ('mean_seconds', models.FloatField(blank=True, null=True)),
                ('attention', models.CharField(blank=True, max_length=500)),
                ('last_success_at', models.DateTimeField(blank=True, null=True)),
                ('last_failure_at', models.DateTimeField(blank=True, null=True)),
                ('taken_with', models.CharField(blank=True, db_default='', default='', max_length=16)),
                ('delivered_count', models.PositiveBigIntegerField(default=0)),
                ('failed_count', models.PositiveBigIntegerField(default=0)),
            ],
            options={
                'verbose_name': 'lane',
            },
        ),
        migrations.CreateModel(
            name='OAuthGrant',
            fields=[
                ('tokens_encrypted', models.TextField(blank=True, default='', editable=False)),
                ('scope', models.TextField(blank=True, default='', editable=False)),
                ('expires_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('granted_by', models.CharField(blank=True, editable=False, max_length=150)),
                ('granted_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('last_refreshed_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('invalid_since', models.DateTimeField(blank=True, editable=False, null=True)),
                ('invalid_reason', models.CharField(blank=True, editable=False, max_length=500)),
                ('revision', models.PositiveBigIntegerField(default=0, editable=False)),
                ('lock_token', models.CharField(blank=True, default='', editable=False, max_length=32)),
                ('locked_until', models.DateTimeField(blank=True, editable=False, null=True)),
                ('integration', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='oauth_grant', serialize=False, to=f'{APP}.tenantintegration')),
            ],
            options={
                'verbose_name': 'OAuth grant',
            },
        ),
        migrations.CreateModel(
            name='ExecutionLog',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('action', models.CharField(max_length=100)),
                ('method', models.CharField(blank=True, max_length=10)),
                ('url', models.CharField(blank=True, max_length=500)),
                ('request_payload', models.JSONField(blank=True, null=True)),
                ('response_status', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('response_payload', models.JSONField(blank=True, null=True)),
                ('duration_ms', models.PositiveIntegerField(default=0)),
                ('error', models.TextField(blank=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('tenant_name', models.CharField(blank=True, db_default='', default='', max_length=200)),
                ('integration_name', models.CharField(blank=True, db_default='', default='', max_length=200)),
                ('actor', models.CharField(default='system', max_length=150)),
                ('attempt', models.PositiveIntegerField(default=0)),
                ('tenant', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.INTEGRATIONS_TENANT_MODEL)),
                ('sync', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='logs', to=f'{APP}.integrationsync')),
                ('integration', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='logs', to=f'{APP}.tenantintegration')),
            ],
            options={
                'verbose_name': 'execution log entry',
                'verbose_name_plural': 'execution log entries',
                'ordering': ['-id'],
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='EventSubscription',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('event_type', models.CharField(max_length=100)),
                ('condition', models.CharField(blank=True, help_text="JMESPath over the payload, e.g. workitem.priority == 'Urgent'; empty: always.", max_length=500)),
                ('integration', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='subscriptions', to=f'{APP}.tenantintegration')),
            ],
        ),
        migrations.CreateModel(
            name='ERPConnection',
            fields=[
            ],
            options={
                'verbose_name': 'ERP connection',
                'proxy': True,
                'default_permissions': (),
                'base_manager_name': 'unannounced',
                'indexes': [],
                'constraints': [],
            },
            bases=(f'{APP}.tenantintegration',),
            managers=[
                ('objects', django.db.models.manager.Manager()),
                ('unannounced', django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name='OAuthRequest',
            fields=[
                ('state_hash', models.CharField(editable=False, max_length=64, primary_key=True, serialize=False)),
                ('tenant', models.ForeignKey(db_constraint=False, db_index=False, editable=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.INTEGRATIONS_TENANT_MODEL)),
                ('connection_model', models.CharField(db_default='', default='', editable=False, max_length=200)),
                ('connection_id', models.UUIDField(editable=False, null=True)),
                ('admin_site', models.CharField(db_default='', default='', editable=False, max_length=100)),
                ('return_to', models.CharField(db_default='', default='', editable=False, max_length=500)),
                ('user_id', models.CharField(editable=False, max_length=64)),
                ('session_hash', models.CharField(editable=False, max_length=64)),
                ('provider', models.CharField(editable=False, max_length=50)),
                ('redirect_uri', models.CharField(editable=False, max_length=500)),
                ('verifier_encrypted', models.TextField(editable=False)),
                ('expires_at', models.DateTimeField(db_index=True, editable=False)),
                ('integration', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=f'{APP}.tenantintegration')),
            ],
            options={
                'verbose_name': 'OAuth request',
            },
        ),
        migrations.CreateModel(
            name='SyncState',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('resource_type', models.CharField(max_length=50)),
                ('cursor', models.CharField(blank=True, default='', max_length=500)),
                ('last_sync_at', models.DateTimeField(blank=True, null=True)),
                ('next_sync_at', models.DateTimeField(blank=True, null=True)),
                ('status', models.CharField(choices=[('idle', 'Idle'), ('running', '⚠ Running'), ('completed', '✓ Completed'), ('failed', '✗ Failed')], default='idle', max_length=20)),
                ('error_count', models.PositiveIntegerField(default=0)),
                ('last_error', models.TextField(blank=True)),
                ('lease_token', models.CharField(blank=True, default='', editable=False, max_length=32)),
                ('lease_expires_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('unfinished', models.PositiveSmallIntegerField(db_default=0, default=0, editable=False)),
                ('pages_in_run', models.PositiveIntegerField(default=0, editable=False)),
                ('interval_minutes', models.PositiveIntegerField(blank=True, help_text='How often it is pulled; empty: only when somebody asks.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(44640)])),
                ('connection', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='sync_states', to=f'{APP}.tenantintegration')),
            ],
            options={
                'verbose_name': 'pull',
                'ordering': ['resource_type', 'id'],
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='WebhookEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('provider', models.CharField(max_length=50)),
                ('event_type', models.CharField(blank=True, max_length=100)),
                ('action', models.CharField(blank=True, max_length=100)),
                ('idempotency_key', models.CharField(max_length=255, unique=True)),
                ('body', models.BinaryField(default=b'')),
                ('payload', models.JSONField(blank=True, default=dict)),
                ('headers', models.JSONField(blank=True, default=dict)),
                ('signature_valid', models.BooleanField(default=False)),
                ('status', models.CharField(choices=[('received', '⚠ Received'), ('processing', '⚠ Processing'), ('processed', '✓ Processed'), ('failed', '✗ Failed'), ('duplicate', '– Duplicate')], default='received', max_length=20)),
                ('error', models.TextField(blank=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('unfinished', models.PositiveSmallIntegerField(db_default=0, default=0, editable=False)),
                ('duplicates', models.PositiveIntegerField(default=0)),
                ('received_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('next_attempt_at', models.DateTimeField(blank=True, db_index=True, null=True)),
                ('processed_at', models.DateTimeField(blank=True, null=True)),
                ('announced_at', models.DateTimeField(blank=True, null=True)),
                ('connection', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='webhook_events', to=f'{APP}.tenantintegration')),
            ],
            options={
                'verbose_name': 'inbound webhook',
                'ordering': ['-id'],
                'abstract': False,
            },
        ),
        migrations.AddConstraint(
            model_name='tenantintegration',
            constraint=models.UniqueConstraint(condition=models.Q(('is_active', True), models.Q(('exclusive_group', ''), _negated=True)), fields=('tenant', 'exclusive_group'), name='one_active_of_group', violation_error_message='The tenant has an active integration of this kind; switch that one off first.'),
        ),
        migrations.AddIndex(
            model_name='integrationsync',
            index=models.Index(condition=models.Q(('first_failed_at', None), ('status', 'pending')), fields=['integration', 'id'], name='sync_fresh'),
        ),
        migrations.AddIndex(
            model_name='integrationsync',
            index=models.Index(condition=models.Q(('first_failed_at__isnull', False), ('status', 'pending')), fields=['integration', 'next_attempt_at', 'id'], name='sync_retry'),
        ),
        migrations.AddIndex(
            model_name='integrationsync',
            index=models.Index(condition=models.Q(('status', 'pending')), fields=['integration', 'object_key', 'id'], name='sync_order_of_object'),
        ),
        migrations.AddIndex(
            model_name='integrationsync',
            index=models.Index(fields=['integration', '-id'], name='sync_history'),
        ),
        migrations.AddIndex(
            model_name='integrationsync',
            index=models.Index(condition=models.Q(('status', 'failed')), fields=['-id'], name='sync_failed'),
        ),
        migrations.AlterUniqueTogether(
            name='integrationsync',
            unique_together={('event', 'integration')},
        ),
        migrations.AddIndex(
            model_name='integrationevent',
            index=models.Index(fields=['content_type', 'object_id', '-id'], name='event_history_of_object'),
        ),
        migrations.AddIndex(
            model_name='executionlog',
            index=models.Index(fields=['tenant', '-id'], name='log_of_tenant'),
        ),
        migrations.AddIndex(
            model_name='eventsubscription',
            index=models.Index(fields=['event_type', 'integration'], name='subscription_by_event'),
        ),
        migrations.AlterUniqueTogether(
            name='eventsubscription',
            unique_together={('integration', 'event_type')},
        ),
        migrations.AddIndex(
            model_name='syncstate',
            index=models.Index(condition=models.Q(('interval_minutes__isnull', False)), fields=['next_sync_at'], name='pull_due'),
        ),
        migrations.AddConstraint(
            model_name='syncstate',
            constraint=models.UniqueConstraint(fields=('connection', 'resource_type'), name='one_pull_per_resource'),
        ),
        migrations.AddIndex(
            model_name='webhookevent',
            index=models.Index(fields=['connection', '-id'], name='inbound_history'),
        ),
        migrations.AddIndex(
            model_name='webhookevent',
            index=models.Index(condition=models.Q(('signature_valid', False)), fields=['id'], name='inbound_rejected'),
        ),
    ]
