"""How many wrong passwords the sign-in takes in a minute.

Counted for a name from one address, for an address, and for a name from everywhere: so that nobody tries passwords in
numbers, and nobody keeps somebody else from signing in by typing wrong ones at one place.
"""

from __future__ import annotations

import hashlib
from unicodedata import normalize

from integrations import conf, per_minute

FROM_ONE_ADDRESS = 3  # times as many, of all names
OF_ONE_NAME = 10  # times as many, from all addresses


def count_wrong(name: str, address: str) -> None:
    """Count one wrong password."""
    for what, _ in _counted(name, address):
        per_minute.count(what)


def are_too_many(name: str, address: str) -> bool:
    """Tell whether no further password is looked at in this minute."""
    return any(per_minute.counted(what) >= most for what, most in _counted(name, address))


def _counted(name: str, address: str) -> list[tuple[str, int]]:
    most = conf.SIGN_IN_PER_MINUTE
    # As the form reads a name: "ada " and "\uff41da" are the same account.
    texts = (normalize("NFKC", name.strip()).strip().lower(), address)
    who, where = (hashlib.sha256(text.encode(errors="replace")).hexdigest()[:24] for text in texts)
    return [
        (f"sign-in:{who}:{where}", most),
        (f"sign-in:-:{where}", most * FROM_ONE_ADDRESS),
        (f"sign-in:{who}:-", most * OF_ONE_NAME),
    ]
