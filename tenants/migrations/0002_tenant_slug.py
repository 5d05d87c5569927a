from itertools import count

from django.core.validators import RegexValidator
from django.db import migrations, models
from django.utils.text import slugify


def fill(apps, schema_editor):
    taken = set()
    for tenant in apps.get_model("tenants", "Tenant").objects.order_by("pk").iterator():
        base = slugify(tenant.name)[:190] or "tenant"
        base = f"tenant-{base}" if base.isdigit() else base
        slugs = (base if number == 1 else f"{base}-{number}" for number in count(1))
        tenant.slug = next(slug for slug in slugs if slug not in taken)
        taken.add(tenant.slug)
        tenant.save(update_fields=["slug"])


class Migration(migrations.Migration):

    dependencies = [("tenants", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="tenant",
            name="slug",
            field=models.SlugField(
                blank=True,
                help_text="The tenant's name in code and in the API, e.g. acme-corp; empty: made from the name.",
                max_length=200,
                null=True,
                unique=True,
                validators=[RegexValidator("[^0-9]", "A slug of digits alone would be taken for an id.")],
            ),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop, elidable=True),
    ]
