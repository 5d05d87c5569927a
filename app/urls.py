"""The URLs of the project."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from tenants.admin import take_from_staff

take_from_staff()
admin.site.site_header = "Work items and their integrations"
admin.site.site_title = "Outbox"
admin.site.index_title = "Administration"

handler500 = "integrations.console.trouble.views.server_error"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("integrations.urls")),
    path("", RedirectView.as_view(pattern_name="console:overview"), name="home"),
]
