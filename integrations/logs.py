"""The logger of one integration or connector: ``<LOGGER_PREFIX>.<name>`` (seeds/004; the prefix is a setting)."""

from __future__ import annotations

import logging

from integrations import conf


def logger_for(name: str) -> logging.Logger:
    return logging.getLogger(f"{conf.LOGGER_PREFIX}.{name}")
