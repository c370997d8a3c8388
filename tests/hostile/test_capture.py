"""What the capture takes for a secret on its way."""

import base64

import pytest

from tests.hostile.capture import encodings

VALUE = b"canary-in-a-packet-0815"


@pytest.mark.parametrize("before", [b"", b"x", b"x-access-token:", b"ab"])
@pytest.mark.parametrize("after", [b"", b"\n", b"::"])
def test_a_value_is_found_as_it_travels(before: bytes, after: bytes) -> None:
    said = before + VALUE + after
    for sent in (said, base64.b64encode(said), base64.b64encode(b"ab" + said), said.hex().encode()):
        assert any(form in sent for form in encodings(VALUE)), sent
    assert not any(form in base64.b64encode(b"another" * 9) for form in encodings(VALUE))
