"""Where a secret could come out: what an error, a result or a log shows.

In: an error or any value, and the secrets. Out: a list of places, empty when all is well.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Any


def leaks_of(error: BaseException, secrets: Iterable[str], *, caller: object = None) -> list[str]:
    """Return where `error` shows a secret: text, repr, arguments, attributes, what caused it, and the locals of every
    frame of its traceback, since error reporters send those.

    Args:
        caller: whose methods hold the configuration by right: the test.
    """
    wanted, places = tuple(secrets), []
    seen: set[int] = set()
    pending: list[tuple[str, BaseException | None]] = [("error", error)]
    while pending:
        name, current = pending.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        shown = {"str": str(current), "repr": repr(current), "args": repr(current.args), "vars": repr(vars(current))}
        places += [f"{what} of the {name}" for what, text in shown.items() if holds(text, wanted)]
        places += [f"{place} of the {name}" for place in _frames(current.__traceback__, wanted, caller)]
        pending += [(f"{name}'s cause", current.__cause__), (f"{name}'s context", current.__context__)]
    return places


def holds(text: str, secrets: Iterable[str]) -> bool:
    """Tell whether one of `secrets` is in `text`."""
    return any(secret in text for secret in secrets)


def _frames(traceback: TracebackType | None, secrets: tuple[str, ...], caller: object) -> Iterable[str]:
    while traceback is not None:
        frame = traceback.tb_frame
        if caller is None or frame.f_locals.get("self") is not caller:
            for name, value in frame.f_locals.items():
                if holds(_shown(value), secrets):
                    yield f"local {name!r} in {frame.f_code.co_qualname}"
        traceback = traceback.tb_next


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except Exception:
        return ""
