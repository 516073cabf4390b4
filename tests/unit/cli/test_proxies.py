"""What runs on this machine is asked without the proxy that is set for the rest of the world."""

import pytest

from services.cli import api
from services.cli.usage import BadUsage


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_no_proxy_is_asked_for_this_machine(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    with api.client_of(f"http://{host}:8080", {}, 1) as client:
        assert not client.trust_env


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "nonsense://x"])
def test_a_proxy_that_can_t_be_used_is_named(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(BadUsage, match="the proxy that is set"):
        api.client_of("https://kronik.example.org", {}, 1)
