"""The lines of a publish, as nats-server reads them."""

import pytest
from nats.errors import BadSubjectError

from services.log.sending import publication


def test_the_lines_of_a_message() -> None:
    assert publication("a.b", b"{}") == b"PUB a.b 2\r\n{}\r\n"
    assert publication("a.b", b"{}", reply="_INBOX.x") == b"PUB a.b _INBOX.x 2\r\n{}\r\n"
    assert publication("a.b", b"\xff", {"N": "v", "M": "å"}) == (
        b"HPUB a.b 25 26\r\nNATS/1.0\r\nN: v\r\nM: \xc3\xa5\r\n\r\n\xff\r\n"
    )


@pytest.mark.parametrize("subject", ["", "a b", "a\r\nPUB b 0", "a\tb", "a\nb", "a\x00b"])
def test_a_subject_that_would_be_read_as_other_lines_is_refused(subject: str) -> None:
    with pytest.raises(BadSubjectError):
        publication(subject, b"")
    if subject:
        with pytest.raises(BadSubjectError):
            publication("a", b"", reply=subject)


def test_a_header_stays_one_line() -> None:
    assert b"N: a  b: c\r\n" in publication("a", b"", {"N": "a\r\n b: c"})
