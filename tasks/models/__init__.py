"""The business objects; they do not know that integrations exist."""

from .customer import Customer, CustomerAsset
from .dropoff_point import DropoffPoint
from .note import Note
from .work_item import WorkItem

__all__ = ["Customer", "CustomerAsset", "DropoffPoint", "Note", "WorkItem"]
