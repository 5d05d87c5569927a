"""Attributes of a model that are kept encrypted in a text column.

    class TenantIntegration(Model):
        headers_encrypted = models.TextField(blank=True, default="", editable=False)
        headers = EncryptedJSON("headers_encrypted")

        def encryption_context(self) -> str:
            return row_context(self.tenant_id, self.public_id)

``integration.headers = {...}`` seals at once, ``integration.headers`` opens at every read. The plaintext
is never kept on the instance, so no repr, pickle, cache or ``__dict__`` shows it. For the same reason a
change *inside* the dict that was read is not noticed: assign the whole dict. ``save(update_fields=…)``
takes the column's name.

They are properties because ``Model.__init__``, ``create()`` and ``update_or_create()`` take only properties
as keyword arguments beside the fields; Django sets them after the fields, so tenant and uuid are known.

The value is bound to tenant, row and column (docs/adr/0008): a row that changes one of them cannot be read
any more until its secrets are set again. That is meant. What the code calls its model must not be part of it: a
proxy, a child class and a renamed model read the same rows. A model that bound its values to something else once gives
those contexts as ``former_encryption_contexts()``: such values open, and `reseal` binds them anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Generic, TypeVar, overload
from uuid import UUID

from integrations.credentials.encryption import EncryptionService, dump_json, load_json_object
from integrations.credentials.masking import has_mask, is_mask, merge_masked
from integrations.errors import EncryptionError

T = TypeVar("T")


def row_context(tenant_id: object, public_id: object) -> str:
    """Return what `encryption_context` should: tenant and public id of the row as one text.

    A UUID gives the same text however it was spelled when it was assigned: the database respells it.

    Raises:
        ValueError: one of them is not known yet; a secret bound to "None" could be copied between rows.
    """
    if tenant_id in (None, "") or public_id in (None, ""):
        raise ValueError("the tenant (saved) and the public id must be set before a secret can be stored")
    return f"{_spelled(tenant_id)}:{_spelled(public_id)}"


def _spelled(key: object) -> str:
    with suppress(ValueError):  # some other kind of key
        return str(UUID(str(key)))
    return str(key)


class EncryptedAttribute(property, Generic[T]):
    """Base of the two below: what a plaintext looks like is theirs, sealing and binding is here.

    Reading raises EncryptionError (naming model and attribute) if the value cannot be opened. Setting
    raises TypeError for the wrong type and ValueError while tenant or public id are unknown.
    """

    def __init__(self, column: str, *, bound_as: str = "") -> None:
        """Keep the values in `column`; `bound_as` is what a renamed one was called when the first was stored."""
        super().__init__(self._read, self._write)
        self.column = column
        self.bound_as = bound_as or column
        self.name = column

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> EncryptedAttribute[T]: ...
    @overload
    def __get__(self, instance: Any, owner: type | None = None) -> T: ...
    def __get__(self, instance: Any, owner: type | None = None) -> EncryptedAttribute[T] | T:
        return self if instance is None else self._read(instance)

    def __set__(self, instance: Any, value: T) -> None:
        self._write(instance, value)

    def needs_reseal(self, instance: Any) -> bool:
        """Tell whether the stored token is Fernet's, an older key's, or bound as this model bound them once.

        Raises:
            EncryptionError: nothing of ours opens it.
        """
        token = getattr(instance, self.column)
        return bool(token) and (self._opened(instance, token)[1] or EncryptionService.needs_reseal(token))

    def reseal(self, instance: Any) -> bool:
        """Seal the stored value anew if it needs it; return whether it did. The caller saves `column`."""
        if not self.needs_reseal(instance):
            return False
        setattr(instance, self.column, EncryptionService.seal(self._open(instance), self._aad(instance)))
        return True

    def value_of(self, plaintext: str) -> T:
        """Return what `plaintext` says, "" what an empty column does."""
        raise NotImplementedError

    def _read(self, instance: Any) -> T:
        plaintext = self._open(instance)
        try:
            return self.value_of(plaintext)
        except EncryptionError as error:
            message = error.message
        raise EncryptionError(f"{self._label(instance)}: {message}")

    def _write(self, instance: Any, value: T) -> None:
        raise NotImplementedError

    def _aad(self, instance: Any) -> str:
        context = instance.encryption_context()
        if not context:
            raise ValueError(f"{self._label(instance)}: set the tenant and the public id before this secret")
        return f"{context}:{self.bound_as}"

    def _label(self, instance: Any) -> str:
        return f"{type(instance).__name__}.{self.name}"

    def _open(self, instance: Any) -> str:
        """Return the plaintext, "" for an empty column."""
        token = getattr(instance, self.column)
        return self._opened(instance, token)[0] if token else ""

    def _opened(self, instance: Any, token: str) -> tuple[str, bool]:
        """Return the plaintext, and whether it is bound to something that the model bound it to once."""
        try:
            return EncryptionService.open(token, self._aad(instance)), False
        except EncryptionError as error:
            message = error.message
        former = getattr(instance, "former_encryption_contexts", tuple)
        for context in former():
            with suppress(EncryptionError):
                return EncryptionService.open(token, f"{context}:{self.bound_as}"), True
        raise EncryptionError(f"{self._label(instance)}: {message}")

    def _seal(self, instance: Any, plaintext: str | bytes) -> None:
        aad = self._aad(instance)  # also for an empty value: a missing tenant shows at once
        setattr(instance, self.column, EncryptionService.seal(plaintext, aad) if plaintext else "")


class EncryptedText(EncryptedAttribute[str]):
    """A text, "" when empty. Setting the mask changes nothing (masking.py)."""

    def value_of(self, plaintext: str) -> str:
        return plaintext

    def _write(self, instance: Any, value: str) -> None:
        if not isinstance(value, str):
            raise TypeError(f"{self._label(instance)} must be a str, not {type(value).__name__}")
        if not is_mask(value):
            self._seal(instance, value)


class EncryptedJSON(EncryptedAttribute[dict[str, Any]]):
    """A JSON object, ``default()`` when empty. A masked value keeps the stored one (masking.py)."""

    def __init__(self, column: str, default: Callable[[], dict[str, Any]] = dict, *, bound_as: str = "") -> None:
        super().__init__(column, bound_as=bound_as)
        self.default = default

    def value_of(self, plaintext: str) -> dict[str, Any]:
        return load_json_object(plaintext) if plaintext else self.default()

    def _write(self, instance: Any, value: dict[str, Any]) -> None:
        if not isinstance(value, dict):
            raise TypeError(f"{self._label(instance)} must be a dict, not {type(value).__name__}")
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"{self._label(instance)} must have str keys; JSON would turn others into text")
        if has_mask(value):
            value = merge_masked(value, self._read(instance))
        self._seal(instance, dump_json(value) if value else "")


def read_together(instance: Any, *attributes: EncryptedAttribute[Any]) -> list[Any]:
    """Return the values of several attributes of one row, opened at once.

    Raises:
        EncryptionError: one of them cannot be opened; it names model and attribute.
    """
    tokens = [getattr(instance, each.column) for each in attributes]
    context = instance.encryption_context() if any(tokens) else ""
    sealed = [(token, f"{context}:{each.bound_as}") for token, each in zip(tokens, attributes, strict=True)]
    try:
        return [each.value_of(text) for each, text in zip(attributes, EncryptionService.open_all(sealed), strict=True)]
    except EncryptionError:
        pass
    return [each.__get__(instance) for each in attributes]  # one by one: bound to something else once, or named


def encrypted_attributes(model: type) -> Iterator[EncryptedAttribute[Any]]:
    """Yield the encrypted attributes of a model class, inherited ones too (for the re-seal command)."""
    for name in dir(model):
        for owner in model.__mro__:
            if name in owner.__dict__:  # the first owner decides, as attribute look-up does
                if isinstance(found := owner.__dict__[name], EncryptedAttribute):
                    yield found
                break
