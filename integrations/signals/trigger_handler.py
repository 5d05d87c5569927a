"""What the first edition of the guide imported from here; today ``from integrations.capture import TriggerHandler``."""

from integrations.capture.trigger_handler import TriggerHandler, trigger_integrations

__all__ = ["TriggerHandler", "trigger_integrations"]
