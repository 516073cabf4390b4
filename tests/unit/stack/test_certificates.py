"""With what the nodes of a cluster know each other, over the years."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from services.stack.certificates import AUTHORITY_DAYS, NODES_DAYS, RENEWED_DAYS, CertificateUnusable, ends, make

NOW = datetime(2026, 11, 27, tzinfo=UTC)
NODES = ("nats-1", "nats-2", "127.0.0.1")
MADE = make(NODES, NOW)


def days(number: int) -> datetime:
    return NOW + timedelta(days=number)


def test_what_holds_is_kept() -> None:
    assert make(NODES, days(NODES_DAYS - RENEWED_DAYS - 1), MADE) == MADE


def test_what_ends_soon_is_made_anew_by_the_same_authority() -> None:
    later = days(NODES_DAYS - RENEWED_DAYS + 1)
    made = make(NODES, later, MADE)
    assert (made.authority, made.authority_key) == (MADE.authority, MADE.authority_key)
    assert made.nodes != MADE.nodes
    assert ends(made.nodes) == later + timedelta(days=NODES_DAYS)


def test_a_node_more_needs_a_new_certificate() -> None:
    made = make([*NODES, "nats-4"], NOW, MADE)
    assert made.authority == MADE.authority
    assert made.nodes != MADE.nodes


def test_an_authority_that_could_not_outlive_another_certificate_is_made_anew() -> None:
    made = make(NODES, days(AUTHORITY_DAYS - NODES_DAYS + 1), MADE)
    assert made.authority != MADE.authority


def test_the_authoritys_key_may_lie_elsewhere_until_it_is_needed() -> None:
    without = replace(MADE, authority_key=b"")
    assert make(NODES, NOW, without) == without
    with pytest.raises(CertificateUnusable, match="without the authority"):
        make(["nats-4"], NOW, without)


@pytest.mark.parametrize("part", ["authority", "nodes"])
def test_what_is_no_certificate_is_said(part: str) -> None:
    with pytest.raises(CertificateUnusable):
        make(NODES, NOW, replace(MADE, **{part: b"rubbish"}))


def test_another_authoritys_key_is_noticed() -> None:
    with pytest.raises(CertificateUnusable, match="not that of its certificate"):
        make(["nats-4"], NOW, replace(MADE, authority_key=make(NODES, NOW).authority_key))
