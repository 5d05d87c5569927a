"""A JSON file per order or event, over SFTP or into a folder of this machine."""

from .connector import DropzoneJsonV1Connector

__all__ = ["DropzoneJsonV1Connector"]
