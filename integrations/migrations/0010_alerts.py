"""What people were told of integrations and workers."""

import django.db.models.deletion
from django.apps import apps
from django.db import migrations, models

APP = apps.get_containing_app_config(__name__).label


class Migration(migrations.Migration):

    dependencies = [
        (APP, '0009_skipped_syncs'),
    ]

    operations = [
        migrations.CreateModel(
            name='Alert',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(choices=[('integration_failing', 'Integration fails'), ('integration_recovered', 'Integration works again'), ('integration_disabled', 'Integration disabled'), ('sync_given_up', 'Deliveries given up'), ('backlog_old', 'Deliveries wait too long'), ('worker_silent', 'Worker silent')], max_length=50)),
                ('about', models.CharField(blank=True, default='', max_length=100)),
                ('is_open', models.BooleanField(default=True)),
                ('since', models.DateTimeField()),
                ('told_at', models.DateTimeField(blank=True, null=True)),
                ('is_told', models.BooleanField(default=False)),
                ('counted_to', models.IntegerField(default=0)),
                ('integration', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='alerts', to=f'{APP}.tenantintegration')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('integration', 'name', 'about'), name='one_alert_of_integration'), models.UniqueConstraint(condition=models.Q(('integration', None)), fields=('name', 'about'), name='one_alert_of_all')],
            },
        ),
    ]
