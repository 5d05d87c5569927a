"""Every page of the console. A project mounts it: ``path("console/", include("integrations.console.urls"))``."""

from __future__ import annotations

from django.urls import path

from .audit.views import audit, audit_entry, audit_export, history
from .business_object import business_object
from .deliveries import act_on_deliveries, deliveries, integration_deliveries
from .delivery.views import act_on_delivery, delivery
from .elsewhere import elsewhere
from .event_types import event_type, event_types
from .events import event, events
from .gallery import gallery
from .inbound import inbound, inbound_event, process_again
from .integrations import integrations
from .jobs.views import act_on_job, job, jobs, new_job
from .keys import keys, new_key, revoke_key
from .overview import overview
from .people import mail_alerts, members, remove_member, set_role
from .pulls import pull, pull_act, pulls
from .pushes import push, pushes
from .secrets import secrets
from .settings import settings
from .setup import setup, setup_connect, setup_discard, setup_done, setup_events, setup_test
from .sign_in.views import SignIn, password, sign_out
from .subscriptions import subscription, subscription_trial, subscriptions
from .system import system
from .tenant import choose_tenant
from .workbench import actions, calling_back
from .workbench.overview import overview as workbench

app_name = "console"
urlpatterns = [
    path("", overview, name="overview"),
    path("integrations/<uuid:public_id>/deliveries/", integration_deliveries, name="integration-deliveries"),
    path("deliveries/", deliveries, name="deliveries"),
    path("deliveries/act/", act_on_deliveries, name="deliveries-act"),
    path("deliveries/<int:pk>/", delivery, name="delivery"),
    path("deliveries/<int:pk>/<slug:act>/", act_on_delivery, name="delivery-act"),
    path("objects/<int:content_type>/<path:object_id>/", business_object, name="object"),
    path("events/", events, name="events"),
    path("events/<int:pk>/", event, name="event"),
    path("event-types/", event_types, name="event-types"),
    path("event-types/<str:name>/", event_type, name="event-type"),
    path("inbound/", inbound, name="inbound"),
    path("inbound/<int:pk>/", inbound_event, name="inbound-event"),
    path("inbound/<int:pk>/again/", process_again, name="inbound-again"),
    path("pulls/", pulls, name="pulls"),
    path("pulls/<int:pk>/", pull, name="pull"),
    path("pulls/<int:pk>/now/", pull_act, {"act": "now"}, name="pull-now"),
    path("pulls/<int:pk>/again/", pull_act, {"act": "again"}, name="pull-again"),
    path("pushes/", pushes, name="pushes"),
    path("pushes/<int:pk>/", push, name="push"),
    path("jobs/", jobs, name="jobs"),
    path("jobs/new/", new_job, name="job-new"),
    path("jobs/<int:pk>/", job, name="job"),
    path("jobs/<int:pk>/pause/", act_on_job, {"act": "pause"}, name="job-pause"),
    path("jobs/<int:pk>/resume/", act_on_job, {"act": "resume"}, name="job-resume"),
    path("jobs/<int:pk>/cancel/", act_on_job, {"act": "cancel"}, name="job-cancel"),
    path("system/", system, name="system"),
    path("people/", members, name="people"),
    path("people/mails/", mail_alerts, name="people-mails"),
    path("people/<path:key>/remove/", remove_member, name="person-remove"),
    path("people/<path:key>/role/", set_role, name="person"),
    path("keys/", keys, name="keys"),
    path("keys/new/", new_key, name="keys-new"),
    path("keys/<int:pk>/revoke/", revoke_key, name="keys-revoke"),
    path("secrets/", secrets, name="secrets"),
    path("integrations/new/", gallery, name="gallery"),
    path("integrations/new/<slug:key>/", setup, name="setup"),
    path("integrations/<uuid:public_id>/set-up/connect/", setup_connect, name="setup-connect"),
    path("integrations/<uuid:public_id>/set-up/events/", setup_events, name="setup-events"),
    path("integrations/<uuid:public_id>/set-up/test/", setup_test, name="setup-test"),
    path("integrations/<uuid:public_id>/set-up/done/", setup_done, name="setup-done"),
    path("integrations/<uuid:public_id>/set-up/discard/", setup_discard, name="setup-discard"),
    path("integrations/<uuid:public_id>/settings/", settings, name="integration-settings"),
    path("integrations/<uuid:public_id>/events/", subscriptions, name="integration-events"),
    path("integrations/<uuid:public_id>/events/<str:event_type>/", subscription, name="integration-event"),
    path(
        "integrations/<uuid:public_id>/events/<str:event_type>/try/", subscription_trial, name="integration-event-try"
    ),
    path("integrations/", integrations, name="integrations"),
    path("integrations/<uuid:public_id>/", workbench, name="integration"),
    path("integrations/<uuid:public_id>/calling-back/", calling_back.calling_back, name="integration-calling-back"),
    path("integrations/<uuid:public_id>/do/<slug:name>/", actions.act, name="integration-do"),
    path("integrations/<uuid:public_id>/rotate/", actions.rotate, name="integration-rotate"),
    path("integrations/<uuid:public_id>/secret/", actions.secret, name="integration-secret"),
    path("integrations/<uuid:public_id>/delete/", actions.delete, name="integration-delete"),
    path("integrations/<uuid:public_id>/history/", history, name="integration-history"),
    path("audit/", audit, name="audit"),
    path("audit/export/", audit_export, name="audit-export"),
    path("audit/<int:pk>/", audit_entry, name="audit-entry"),
    path("tenant/", choose_tenant, name="tenant"),
    path("sign-in/", SignIn.as_view(), name="sign-in"),
    path("sign-out/", sign_out, name="sign-out"),
    path("password/", password, name="password"),
    path("<path:rest>", elsewhere, name="elsewhere"),  # the last: what no page has
]
