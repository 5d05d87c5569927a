"""The JSON API. It needs django-ninja, the extra `api`."""

from importlib.util import find_spec

from integrations.errors import missing_extra

if find_spec("ninja") is None:
    raise missing_extra("integrations.urls has the JSON API", "api")
