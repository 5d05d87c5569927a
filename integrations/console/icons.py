"""The console's symbols: lines on a field of 24 by 24, in the colour of the text."""

from __future__ import annotations

ICONS: dict[str, str] = {
    "logo": '<path d="M4 12h5m6 0h5M12 4v5m0 6v5"/><circle cx="12" cy="12" r="3"/>',
    "menu": '<path d="M4 7h16M4 12h16M4 17h16"/>',
    "overview": '<path d="M4 19V9m5 10V5m5 14v-7m5 7V8"/>',
    "integrations": '<path d="M9 7V3m6 4V3M7 7h10v4a5 5 0 0 1-10 0zM12 16v5"/>',
    "deliveries": '<path d="M3 12h14m-5-6 6 6-6 6M21 5v14"/>',
    "events": '<path d="M13 3 5 14h6l-1 7 8-11h-6z"/>',
    "catalogue": '<path d="M5 4h11a3 3 0 0 1 3 3v13H8a3 3 0 0 1-3-3zM5 17a3 3 0 0 1 3-3h11M9 8h6"/>',
    "jobs": '<path d="M4 12a8 8 0 0 1 14-5l2 2M20 12a8 8 0 0 1-14 5l-2-2M20 4v5h-5M4 20v-5h5"/>',
    "inbound": '<path d="M21 12H7m5 6-6-6 6-6M3 5v14"/>',
    "pulls": '<path d="M12 3v12m-5-5 5 5 5-5M4 20h16"/>',
    "pushes": '<path d="M12 16V4m-5 5 5-5 5 5M4 20h16"/>',
    "people": '<circle cx="9" cy="8" r="3.5"/><path d="M3 20c0-4 3-6 6-6s6 2 6 6M16 5a3.5 3.5 0 0 1 0 6.5M18 14c2 1 3 3 3 6"/>',  # noqa: E501
    "keys": '<circle cx="8" cy="15" r="4"/><path d="m11 12 9-9m-4 4 3 3"/>',
    "audit": '<path d="M6 3h9l4 4v14H6zM9 12h7M9 16h7M9 8h3"/>',
    "system": '<path d="M4 5h16v5H4zM4 14h16v5H4zM8 7.5h.01M8 16.5h.01"/>',
    "lock": '<path d="M6 11h12v9H6zM9 11V8a3 3 0 0 1 6 0v3"/>',
    "search": '<circle cx="11" cy="11" r="6"/><path d="m20 20-4.5-4.5"/>',
    "copy": '<path d="M9 9h11v11H9zM5 15H4V4h11v1"/>',
    "check": '<path d="m5 12 5 5 9-10"/>',
    "cross": '<path d="M6 6l12 12M18 6 6 18"/>',
    "clock": '<circle cx="12" cy="12" r="8"/><path d="M12 8v4l3 2"/>',
    "person": '<circle cx="12" cy="8" r="4"/><path d="M5 20c0-4 3-6 7-6s7 2 7 6"/>',
    "note": '<path d="M5 4h14v11l-5 5H5zM14 20v-5h5"/>',
    "pause": '<path d="M8 5v14M16 5v14"/>',
    "play": '<path d="M7 5v14l11-7z"/>',
    "plus": '<path d="M12 5v14M5 12h14"/>',
    "trash": '<path d="M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13"/>',
    "external": '<path d="M10 5H5v14h14v-5M14 4h6v6M20 4l-9 9"/>',
    "skip": '<circle cx="12" cy="12" r="8"/><path d="m6.5 6.5 11 11"/>',
    "warning": '<path d="M12 4 3 19h18zM12 10v4M12 16.5v.01"/>',
}
