"""What a tenant's webhook may never reach, as data.

Out: networks, names, suffixes and ports that ``check.py`` refuses. Networks are ``ipaddress`` objects.
Explicit lists, because ``ipaddress.is_global`` differs between Python releases (measured on 3.11.7: true for
multicast, 192.88.99.0/24, 64:ff9b::/96, 2002::/16, 5f00::/16 …).
Source: IANA special-purpose registries, cloud vendors' metadata pages, the WHATWG "bad port" list.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

IPV4_DENIED = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network; connects to loopback on Linux
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # IETF protocol assignments
        "192.0.2.0/24",  # TEST-NET-1
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relay anycast
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # TEST-NET-2
        "203.0.113.0/24",  # TEST-NET-3
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "168.63.129.16/32",  # Azure WireServer: a public-range address
    )
)

# Everything outside global unicast is refused, whatever is assigned there next.
IPV6_ALLOWED = IPv6Network("2000::/3")
IPV6_DENIED = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # IETF protocol assignments: Teredo, ORCHID, benchmarks
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: carries any IPv4 address
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)

# Cloud control planes: no allow-list opens these.
METADATA_IPV4 = tuple(
    IPv4Network(text) for text in ("169.254.169.254/32", "169.254.170.2/32", "168.63.129.16/32", "100.100.100.200/32")
)
METADATA_IPV6 = (IPv6Network("fd00:ec2::254/128"),)

# Their neighbours, which an operator who opens a whole range does not mean either.
NEVER_OPENED_IPV4 = tuple(
    IPv4Network(text)
    for text in (
        "169.254.169.253/32",  # AWS: DNS
        "169.254.170.23/32",  # AWS: EKS pod identity
        "192.0.0.192/32",  # Oracle
    )
)
NEVER_OPENED_IPV6 = tuple(
    IPv6Network(text)
    for text in (
        "fd00:ec2::/32",  # AWS: DNS, pod identity
        "fd20:ce::254/128",  # GCP
        "64:ff9b::/96",  # NAT64: carries any IPv4 address, the ones above included
        "64:ff9b:1::/48",
    )
)

METADATA_NAMES = frozenset(
    {
        "instance-data",
        "instance-data.ec2.internal",
        "metadata",
        "metadata.goog",
        "metadata.google.internal",
    }
)
DENIED_NAMES = METADATA_NAMES | {
    "gateway.docker.internal",
    "host.docker.internal",
    "kubernetes.default",
    "localhost",
}
DENIED_SUFFIXES = (
    ".localhost",
    ".local",
    ".internal",
    ".intranet",
    ".lan",
    ".home.arpa",
    ".corp",
    ".svc",
    ".cluster.local",
    ".onion",
    ".arpa",
)

# Below 1024 only these may be used; above, everything but BAD_PORTS.
ALLOWED_LOW_PORTS = frozenset({80, 443})
# fmt: off
BAD_PORTS = frozenset({
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101,
    102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427,
    465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990,
    993, 995, 1433, 1521, 1719, 1720, 1723, 2049, 2181, 2375, 2376, 2379, 2380, 3306, 3389, 3659,
    4045, 4190, 4222, 5060, 5061, 5432, 5672, 5900, 6000, 6379, 6443, 6566, 6665, 6666, 6667, 6668,
    6669, 6679, 6697, 8009, 8500, 9042, 9092, 9200, 9300, 10080, 10250, 10255, 11211, 15672, 27017,
    50000,
})
# fmt: on
