"""Owns which names and which addresses tools may reach.

Names are package registries and what an admin adds. The address is checked after the name has
been resolved, so that no name can stand for the host or its network.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Self
from urllib.parse import urlsplit

from bot.config import Settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Where package managers look when nobody has told them otherwise.
REGISTRIES = (
    "pypi.org", "files.pythonhosted.org",
    "registry.npmjs.org", "registry.yarnpkg.com", "nodejs.org",
    "index.crates.io", "static.crates.io", "crates.io", "static.rust-lang.org",
    "proxy.golang.org", "sum.golang.org",
    "rubygems.org", "index.rubygems.org",
    "repo.maven.apache.org", "repo1.maven.org", "plugins.gradle.org", "services.gradle.org",
    "api.nuget.org", "repo.packagist.org", "packagist.org", "hex.pm", "repo.hex.pm",
    "deb.debian.org", "security.debian.org", "archive.ubuntu.com", "security.ubuntu.com",
)  # fmt: skip
# Metadata services live here, so not even an admin's list opens these.
_NEVER = tuple(
    map(
        ipaddress.ip_network,
        (
            "169.254.0.0/16",
            "fe80::/10",
            "168.63.129.16/32",  # Azure, on a public address
            "100.100.100.200/32",  # Alibaba Cloud
            "192.0.0.192/32",  # Oracle Cloud
            "fd00:ec2::/32",  # Amazon
            "fd20:ce::/32",  # Google
            "fd00:42::/32",  # Scaleway
        ),
    )
)
# What is_global says of these has changed between releases of Python, or is not what is meant here.
_REFUSED = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "224.0.0.0/3",
            # All but 2000::/3, the only part that is given out: the rest holds the forms in which
            # an IPv4 address is written or translated (::a.b.c.d, ::ffff:0:a.b.c.d, 64:ff9b:1::).
            "::/3",
            "4000::/2",
            "8000::/1",
            "2001::/23",
            "2002::/16",
            "3fff::/20",
        ),
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Other forms whose end is an IPv4 address; what a host makes of them depends on its routes.
_TRANSLATED = tuple(map(ipaddress.ip_network, ("::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48")))
# The middle of an address whose end is an IPv4 address to tunnel to (ISATAP), behind any prefix.
_TUNNELS = (b"\x00\x00\x5e\xfe", b"\x02\x00\x5e\xfe")


class AllowList:
    """Checks names: `example.com` allows that name, `*.example.com` all names below, `*` all."""

    def __init__(self, patterns: Iterable[str]) -> None:
        lowered = {pattern.lower().rstrip(".") for pattern in patterns}
        self._everything = "*" in lowered
        self._below = tuple(pattern[1:] for pattern in lowered if pattern.startswith("*."))
        self._exact = frozenset(lowered)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Returns the list of these settings."""
        known = REGISTRIES if settings.egress_registries else ()
        return cls((*known, *_host_of(settings), *settings.egress_allow))

    def allows(self, host: str) -> bool:
        """Checks a name in lower case without a last dot, or a literal address."""
        return self._everything or host in self._exact or host.endswith(self._below)


def _host_of(settings: Settings) -> tuple[str, ...]:
    """Returns the git host, since dependencies are named by its addresses too."""
    host = urlsplit(settings.github_url).hostname if settings.egress_registries else None
    return (host,) if host else ()


class AddressList:
    """Checks addresses: public ones are allowed, and these `private` networks (`10.1.2.0/24`)."""

    def __init__(self, private: Iterable[str] = ()) -> None:
        self._private: tuple[Network, ...] = tuple(map(ipaddress.ip_network, private))

    def allows(self, text: str) -> bool:
        """Checks a literal address; text that is no address is refused."""
        try:
            address = _ipv4_or_itself(ipaddress.ip_address(text))
        except ValueError:
            return False
        if any(_within(form, _NEVER) for form in (address, *_carried(address))):
            return False
        if _within(address, self._private):
            return True
        if address.packed[8:12] in _TUNNELS:
            return False
        return address.is_global and not address.is_multicast and not _within(address, _REFUSED)


def _ipv4_or_itself(address: Address) -> Address:
    """Returns the IPv4 address that an IPv6 one embeds; raises ValueError for one with a zone."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.scope_id:
        raise ValueError("an address with a zone")
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(address.packed[-4:])
    return address


def _carried(address: Address) -> Sequence[Address]:
    """Returns the IPv4 addresses that a translated or tunnelled form carries."""
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    ends = _within(address, _TRANSLATED) or address.packed[8:12] in _TUNNELS
    last = ipaddress.IPv4Address(address.packed[-4:]) if ends else None
    return [ipv4 for ipv4 in (last, address.sixtofour, *(address.teredo or ())) if ipv4]


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == net.version and address in net for net in networks)
