"""Replays and backfills, and how far they are."""

import django.core.validators
import django.db.models.deletion
import django.db.models.functions.datetime
from django.apps import apps
from django.conf import settings
from django.db import migrations, models

APP = apps.get_containing_app_config(__name__).label


class Migration(migrations.Migration):
    dependencies = [(APP, "0005_health")]

    operations = [
        migrations.CreateModel(
            name="Job",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("integration_name", models.CharField(blank=True, default="", max_length=200)),
                ("kind", models.CharField(choices=[("replay", "Replay"), ("backfill", "Backfill")], max_length=10)),
                ("filter", models.JSONField(default=dict)),
                ("in_words", models.CharField(max_length=500)),
                ("made_by", models.CharField(max_length=150)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("running", "Running"),
                            ("paused", "Paused"),
                            ("done", "Done"),
                            ("cancelled", "Cancelled"),
                            ("failed", "Failed"),
                        ],
                        default="waiting",
                        max_length=10,
                    ),
                ),
                (
                    "pace",
                    models.PositiveSmallIntegerField(
                        default=50,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(1000),
                        ],
                    ),
                ),
                ("total", models.PositiveBigIntegerField(blank=True, null=True)),
                ("done", models.PositiveBigIntegerField(default=0)),
                ("skipped", models.PositiveBigIntegerField(default=0)),
                ("failed", models.PositiveBigIntegerField(default=0)),
                ("first", models.JSONField(blank=True, null=True)),
                ("last", models.JSONField(blank=True, null=True)),
                ("cursor", models.JSONField(blank=True, null=True)),
                ("rate", models.FloatField(default=0.0)),
                ("lease_token", models.CharField(blank=True, default="", max_length=32)),
                ("lease_expires_at", models.DateTimeField(blank=True, null=True)),
                ("next_turn_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("deaths", models.PositiveSmallIntegerField(default=0)),
                ("errors", models.PositiveSmallIntegerField(default=0)),
                ("last_error", models.CharField(blank=True, default="", max_length=500)),
                ("waits_for", models.CharField(blank=True, default="", max_length=500)),
                ("messages", models.JSONField(default=list)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("updated_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                (
                    "integration",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to=f"{APP}.tenantintegration",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to=settings.INTEGRATIONS_TENANT_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "indexes": [
                    models.Index(fields=["tenant", "-id"], name="job_of_tenant"),
                    models.Index(
                        condition=models.Q(("state__in", ["waiting", "running"])),
                        fields=["next_turn_at"],
                        name="job_to_do",
                    ),
                ],
            },
        ),
    ]
