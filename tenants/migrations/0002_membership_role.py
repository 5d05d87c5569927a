from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tenants', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='membership',
            name='role',
            field=models.CharField(blank=True, choices=[('viewer', 'Viewer: sees'), ('operator', 'Operator: retries, tests, pauses'), ('manager', 'Manager: settings, secrets, keys, people')], db_default='', default='', help_text="What they may do with the tenant's integrations; empty: what their Django permissions say.", max_length=10),
        ),
    ]
