import django.db.models.manager
from django.db import migrations


class Migration(migrations.Migration):
    """Two proxies: no table changes, only their content types and permissions."""

    dependencies = [
        ('integrations', '0004_integration_configuration'),
    ]

    operations = [
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
            bases=('integrations.tenantintegration',),
            managers=[
                ('objects', django.db.models.manager.Manager()),
                ('unannounced', django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name='ERPPushLog',
            fields=[
            ],
            options={
                'verbose_name': 'ERP push',
                'verbose_name_plural': 'ERP push log',
                'proxy': True,
                'default_permissions': ('view',),
                'indexes': [],
                'constraints': [],
            },
            bases=('integrations.integrationsync',),
        ),
    ]
