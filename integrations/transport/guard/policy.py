"""What an operator opened: ``AddressPolicy``, read from the settings and checked when it is made.

In: ``INTEGRATIONS`` settings ALLOW_HTTP, ALLOWED_HOSTS, ALLOWED_NETWORKS, OWN_HOSTS. Out: a hashable policy.
Errors: ``ImproperlyConfigured`` naming the setting and the entry, because a rule that is silently ignored
either opens a network or breaks a working target.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network

from django.core.exceptions import ImproperlyConfigured

from integrations import conf
from integrations.transport.guard.hosts import canonical_host
from integrations.transport.guard.rejected import UrlRejected

MAX_URL = 2048


@dataclass(frozen=True)
class AddressPolicy:
    """Which addresses may be called. Equal policies are equal keys.

    Attributes:
        allow_http: plain http:// is allowed for everybody (targets in `allowed_hosts` always may).
        allowed_hosts: ``"host:port"``; exactly these may be private, single-label, plain http, on any port.
        allowed_networks: subnets that may be reached although they are private. Metadata never is.
        own_hosts: our own public names.
        max_url: characters.
    """

    allow_http: bool = False
    allowed_hosts: tuple[str, ...] = ()
    allowed_networks: tuple[str, ...] = ()
    own_hosts: tuple[str, ...] = ()
    max_url: int = MAX_URL
    host_ports: frozenset[tuple[str, int]] = field(init=False, repr=False, compare=False)
    networks4: tuple[IPv4Network, ...] = field(init=False, repr=False, compare=False)
    networks6: tuple[IPv6Network, ...] = field(init=False, repr=False, compare=False)
    own_names: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        networks = [_network(text) for text in _entries(self.allowed_networks, "ALLOWED_NETWORKS")]
        derived = {
            "allowed_hosts": tuple(self.allowed_hosts),
            "allowed_networks": tuple(self.allowed_networks),
            "own_hosts": tuple(self.own_hosts),
            "host_ports": frozenset(_host_port(text) for text in _entries(self.allowed_hosts, "ALLOWED_HOSTS")),
            "networks4": tuple(network for network in networks if isinstance(network, IPv4Network)),
            "networks6": tuple(network for network in networks if isinstance(network, IPv6Network)),
            "own_names": frozenset(_name(text, "OWN_HOSTS", text) for text in _entries(self.own_hosts, "OWN_HOSTS")),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_conf(cls) -> AddressPolicy:
        """Return the policy of the current settings (not cached, so that ``override_settings`` works)."""
        return cls(
            allow_http=bool(conf.ALLOW_HTTP),
            allowed_hosts=_listed(conf.ALLOWED_HOSTS, "ALLOWED_HOSTS"),
            allowed_networks=_listed(conf.ALLOWED_NETWORKS, "ALLOWED_NETWORKS"),
            own_hosts=_listed(conf.OWN_HOSTS, "OWN_HOSTS"),
        )


def _bad(setting: str, entry: object, why: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"INTEGRATIONS[{setting!r}] (INTEGRATIONS_{setting}): {entry!r} {why}")


def _listed(value: object, setting: str) -> tuple[str, ...]:
    # A bare string is iterable too, and would become a list of letters.
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise _bad(setting, value, "must be a list")
    return tuple(value)


def _entries(values: Iterable[object], setting: str) -> Iterable[str]:
    for value in _listed(values, setting):
        if not isinstance(value, str) or not value.strip():
            raise _bad(setting, value, "must be non-empty text")
        yield value.strip()


def _name(text: str, setting: str, entry: str) -> str:
    bracketed = text.startswith("[") and text.endswith("]")
    try:
        return canonical_host(text[1:-1] if bracketed else text, bracketed=bracketed).name
    except UrlRejected:
        raise _bad(setting, entry, "is not a host name or IP address") from None


def _host_port(entry: str) -> tuple[str, int]:
    host, colon, port = entry.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
        raise _bad("ALLOWED_HOSTS", entry, "must be host:port, for example n8n:5678")
    return _name(host, "ALLOWED_HOSTS", entry), int(port)


def _network(entry: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(entry)
    except ValueError:
        raise _bad("ALLOWED_NETWORKS", entry, "is not a subnet such as 172.18.0.0/16") from None
    if network.prefixlen == 0:
        raise _bad("ALLOWED_NETWORKS", entry, "would switch the address guard off")
    return network
