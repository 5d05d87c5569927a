"""Which methods of a connector may be called by name, from a task's arguments.

A port marks them once, where it declares them; whoever implements the port has marked them too:

    class ShopPort(ABC):
        @exported
        @abstractmethod
        def get_orders(self, since=None, cursor=None): ...

Nothing else can be reached by a name, however it is spelt: no helper, no attribute, no ``__class__``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

_MARK = "_is_exported"

F = TypeVar("F", bound=Callable[..., Any])


def exported(method: F) -> F:
    """Mark a method of a port as callable by name."""
    setattr(method, _MARK, True)
    return method


def exported_methods(connector_type: type) -> frozenset[str]:
    """Return the names that may be called on an instance of `connector_type`.

    A method counts if it is marked in any of its classes: an override needs no mark of its own. What was replaced by
    something that is no method (``get_orders = None``) does not count.
    """
    marked = {
        name for each in connector_type.__mro__ for name, value in vars(each).items() if getattr(value, _MARK, False)
    }
    return frozenset(name for name in marked if callable(getattr(connector_type, name, None)))
