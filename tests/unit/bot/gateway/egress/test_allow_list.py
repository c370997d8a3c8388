"""Which addresses may stand behind a name, and which names are on the list."""

import pytest

from bot.config import Settings
from bot.gateway.egress.allow_list import AddressList, AllowList


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255",
        "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200", "198.18.0.1",
        "192.0.0.192", "192.0.2.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1",
        "240.0.0.1", "255.255.255.255", "192.88.99.1",
        "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
        "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2001:0:1::1",
        "2001:db8::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
        "100::1", "2001:10::1", "3fff::1", "5f00::1",
        "168.63.129.16", "::ffff:168.63.129.16", "64:ff9b::a83f:8110", "2002:a83f:8110::1",
        "::ffff:0:127.0.0.1", "::ffff:0:169.254.169.254", "::ffff:0:1.1.1.1", "::1.1.1.1",
        "::fffe:1.1.1.1", "64:ff9b:2::1", "200::1", "400::1", "1fff::1", "4000::1", "e000::1",
        "2606:4700::5efe:a00:1", "2606:4700::200:5efe:a9fe:a9fe", "fd20:ce::254", "fd00:42::42",
        "", "localhost", "1", "127.1", "0x7f000001", "2130706433", "010.0.0.1", "1.2.3.4%eth0",
    ],
)  # fmt: skip
def test_these_are_never_public(address: str) -> None:
    assert not AddressList().allows(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "151.101.0.223", "2606:4700::1", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_these_are_public(address: str) -> None:
    assert AddressList().allows(address)


def test_an_admin_opens_a_network_but_never_the_one_of_metadata_services() -> None:
    some = AddressList(["10.1.0.0/16", "fd12::/32", "169.254.0.0/16", "0.0.0.0/0"])
    assert some.allows("10.1.2.3")
    assert some.allows("::ffff:10.1.2.3")
    assert some.allows("fd12::1")
    assert not some.allows("fd13::1")
    assert not some.allows("169.254.169.254")
    assert not some.allows("::ffff:169.254.169.254")
    assert not AddressList(["10.1.0.0/16"]).allows("10.2.0.1")


@pytest.mark.parametrize("ipv4", ["168.63.129.16", "169.254.169.254", "100.100.100.200"])
@pytest.mark.parametrize(
    "form",
    [
        "{}", "::{}", "::ffff:{}", "::ffff:0:{}", "64:ff9b::{}", "64:ff9b:1::{}",
        "2606:4700::5efe:{}", "fd12::200:5efe:{}",
    ],
)  # fmt: skip
def test_a_metadata_service_stays_shut_in_every_form_even_with_everything_open(
    ipv4: str, form: str
) -> None:
    assert not AddressList(["0.0.0.0/0", "::/0"]).allows(form.format(ipv4))


@pytest.mark.parametrize(
    "address", ["2002:a83f:8110::1", "2001:0:a9fe:a9fe::1", "2001:0:101:101:0:0:5601:5601"]
)
def test_a_tunnel_to_a_metadata_service_stays_shut_even_with_everything_open(address: str) -> None:
    assert not AddressList(["0.0.0.0/0", "::/0"]).allows(address)


def test_a_pattern_is_the_name_or_everything_below_it() -> None:
    some = AllowList(["Example.com", "*.corp.test.", "1.2.3.4"])
    assert some.allows("example.com")
    assert some.allows("a.corp.test")
    assert some.allows("a.b.corp.test")
    assert some.allows("1.2.3.4")
    for other in ("a.example.com", "corp.test", "notcorp.test", "example.com.evil.test", "1.2.3.5"):
        assert not some.allows(other), other
    assert AllowList(["*"]).allows("anything.test")
    assert not AllowList([]).allows("pypi.org")


def test_the_settings_add_to_the_registries_or_stand_alone() -> None:
    some = AllowList.of(Settings(_env_file=None, egress_allow=("corp.test",)))
    assert all(map(some.allows, ("pypi.org", "registry.npmjs.org", "github.com", "corp.test")))
    alone = Settings(_env_file=None, egress_allow=("corp.test",), egress_registries=False)
    assert AllowList.of(alone).allows("corp.test")
    assert not any(map(AllowList.of(alone).allows, ("pypi.org", "github.com")))


@pytest.mark.parametrize(
    "wrong", ["http://a.test", "a.test:443", "a.test/x", "*.*.test", "a b", "-"]
)
def test_a_pattern_that_can_never_match_is_refused_at_the_start(wrong: str) -> None:
    with pytest.raises(ValueError, match="host name"):
        Settings(_env_file=None, egress_allow=(wrong,))


def test_a_network_that_is_none_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.1/8"):
        Settings(_env_file=None, egress_private_networks=("10.0.0.1/8",))
