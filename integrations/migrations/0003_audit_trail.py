"""The audit trail."""

import django.db.models.functions.datetime
from django.apps import apps
from django.db import migrations, models

APP = apps.get_containing_app_config(__name__).label


class Migration(migrations.Migration):

    dependencies = [
        (APP, '0002_payloads'),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='when')),
                ('actor', models.CharField(default='system', max_length=150, verbose_name='who')),
                ('actor_key', models.CharField(blank=True, max_length=64)),
                ('source', models.CharField(choices=[('form', 'form'), ('console', 'console'), ('api', 'API'), ('command', 'command'), ('task', 'task'), ('system', 'system')], default='system', max_length=10)),
                ('address', models.GenericIPAddressField(blank=True, null=True)),
                ('path', models.CharField(blank=True, max_length=200)),
                ('action', models.CharField(max_length=60)),
                ('object_type', models.CharField(blank=True, max_length=100)),
                ('object_key', models.CharField(blank=True, max_length=255)),
                ('object_name', models.CharField(blank=True, max_length=200)),
                ('integration_key', models.BigIntegerField(blank=True, null=True)),
                ('integration_name', models.CharField(blank=True, max_length=200)),
                ('tenant_key', models.CharField(blank=True, max_length=64)),
                ('tenant_name', models.CharField(blank=True, max_length=200)),
                ('changes', models.JSONField(blank=True, default=dict)),
                ('details', models.JSONField(blank=True, default=dict)),
            ],
            options={
                'default_permissions': ('view',),
                'verbose_name_plural': 'audit entries',
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['tenant_key', '-id'], name='audit_of_tenant'), models.Index(fields=['integration_key', '-id'], name='audit_of_integration'), models.Index(fields=['object_type', 'object_key', '-id'], name='audit_of_object')],
            },
        ),
    ]
