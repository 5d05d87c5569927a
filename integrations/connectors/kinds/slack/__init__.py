"""Slack: messages by an incoming webhook or a bot token."""

from .connector import SlackConnector

__all__ = ["SlackConnector"]
