"""Which addresses a container may be connected to: public ones, and networks that an admin named.

It is asked after a name has been resolved, so that no name can stand for the host or its network.
"""

import ipaddress
from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Metadata services live here, so not even an admin's list opens these.
_NEVER = tuple(map(ipaddress.ip_network, ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128")))
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
            "::/96",
            "64:ff9b:1::/48",
            "100::/64",
            "2001::/23",
            "2002::/16",
            "3fff::/20",
            "5f00::/16",
            "fc00::/7",
            "fec0::/10",
            "ff00::/8",
        ),
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Addresses:
    """The check. `private` are the networks, as `10.1.2.0/24`, that are open all the same."""

    def __init__(self, private: Iterable[str] = ()) -> None:
        self._private: tuple[Network, ...] = tuple(map(ipaddress.ip_network, private))

    def allows(self, text: str) -> bool:
        """Whether a connection may go to this address; what is no address is refused."""
        try:
            address = _meant(ipaddress.ip_address(text))
        except ValueError:
            return False
        if _within(address, _NEVER):
            return False
        if _within(address, self._private):
            return True
        return address.is_global and not address.is_multicast and not _within(address, _REFUSED)


def _meant(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for; a zone makes it one of a link."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.scope_id:
        raise ValueError("an address with a zone")
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(address.packed[-4:])
    return address


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == one.version and address in one for one in networks)
