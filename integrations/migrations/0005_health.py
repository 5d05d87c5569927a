"""What a lane keeps so that its health can be told: since when nothing is taken, the last error, a person's pause."""

from django.apps import apps
from django.db import migrations, models

APP = apps.get_containing_app_config(__name__).label


class Migration(migrations.Migration):

    dependencies = [(APP, '0004_figures')]

    operations = [
        migrations.AddField('lane', 'trouble', models.CharField(blank=True, db_default='', default='', max_length=500)),
        migrations.AddField('lane', 'paused_since', models.DateTimeField(blank=True, null=True)),
        migrations.AddField('lane', 'paused_by', models.CharField(blank=True, db_default='', default='', max_length=150)),
        migrations.AddField('lane', 'failing_since', models.DateTimeField(blank=True, null=True)),
        migrations.AddField('lane', 'failing_rows', models.PositiveIntegerField(db_default=0, default=0)),
        migrations.AddField('lane', 'failing_attempts', models.PositiveIntegerField(db_default=0, default=0)),
        migrations.AddField('lane', 'gave_up_at', models.DateTimeField(blank=True, null=True)),
        migrations.AddField('lane', 'last_error', models.CharField(blank=True, db_default='', default='', max_length=500)),
    ]
