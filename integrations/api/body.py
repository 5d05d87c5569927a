"""How bodies of requests are read: JSON, of which every text can be stored and sent."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest
from ninja.parser import Parser


class StorableJSON(Parser):
    """Refuses (400) bodies with texts that no database and no answer takes: with a NUL, or half a character."""

    def parse_body(self, request: HttpRequest) -> Any:
        found = json.loads(request.body)
        waiting = [found]
        while waiting:
            each = waiting.pop()
            if isinstance(each, dict):
                waiting += each.keys()
                waiting += each.values()
            elif isinstance(each, list):
                waiting += each
            elif isinstance(each, str):
                each.encode()  # half of a pair ("\\ud800") is a ValueError here
                if "\0" in each:
                    raise ValueError("a text contains NUL")
        return found
