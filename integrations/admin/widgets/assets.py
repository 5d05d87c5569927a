"""The style sheet and the script of our admin pages."""

from __future__ import annotations

CSS = "integrations/admin.css"
JS = "integrations/admin.js"


class Assets:
    """The admin's ``Media`` for our pages."""

    css = {"all": [CSS]}
    js = [JS]
