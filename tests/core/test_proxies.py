"""One rule says who is asked through a proxy; the table is curl's, with what Python and users add to it."""

from __future__ import annotations

import contextlib
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.proxies import Proxies, ProxyError, stays_here

PROXY = "http://proxy.example.com:3128"
REMOTE = "https://lessons.s3.eu-west-1.amazonaws.com/key"


def chosen(url: str, **environ: str) -> str | None:
    proxy = Proxies(environ).of(url)
    return None if proxy is None else proxy.url


@pytest.mark.parametrize(
    "environ",
    [
        {"HTTPS_PROXY": PROXY},
        {"https_proxy": PROXY, "HTTPS_PROXY": "http://other:1"},
        {"ALL_PROXY": PROXY},
        {"all_proxy": PROXY, "HTTP_PROXY": "http://other:1"},
        {"HTTPS_PROXY": "proxy.example.com:3128"},
        {"HTTPS_PROXY": "//proxy.example.com:3128"},
        {"HTTPS_PROXY": f"  {PROXY}/ "},
        {"HTTPS_PROXY": "HTTP://Proxy.Example.com:3128"},
        {"HTTPS_PROXY": PROXY, "NO_PROXY": "example.com, s3.eu-west-2.amazonaws.com"},
        {"HTTPS_PROXY": PROXY, "NO_PROXY": "*", "no_proxy": ""},
    ],
)
def test_a_remote_is_asked_through_the_proxy_of_its_scheme(environ: dict[str, str]) -> None:
    assert chosen(REMOTE, **environ) == PROXY


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"HTTP_PROXY": PROXY},
        {"ALL_PROXY": PROXY, "https_proxy": ""},
        {"HTTPS_PROXY": PROXY, "https_proxy": " "},
    ],
)
def test_a_remote_for_whose_scheme_none_is_named_is_asked_directly(environ: dict[str, str]) -> None:
    """A lower-case name that is set to nothing counts: it is how one turns a proxy off."""
    assert chosen(REMOTE, **environ) is None


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        ("*", REMOTE),
        ("amazonaws.com", REMOTE),
        (".amazonaws.com", REMOTE),
        ("AmazonAWS.com.", REMOTE),
        ("*.amazonaws.com", REMOTE),
        ("lessons.*", REMOTE),
        ("other\tamazonaws.com", REMOTE),
        (" other , amazonaws.com:443", REMOTE),
        ("https://amazonaws.com/", REMOTE),
        (".minio.local", "http://minio.local:9000"),
        ("minio.local:9000", "http://minio.local:9000"),
        ("minio.local:9000", "http://a.minio.local:9000"),
        ("minio", "http://minio:9000"),
        ("10.0.0.0/8", "http://10.1.2.3:9000"),
        ("10.1.2.3/8", "http://10.9.9.9"),
        ("10.1.2.3", "http://10.1.2.3:9000"),
        ("10.1.2.3:9000", "http://10.1.2.3:9000"),
        ("192.168.*", "http://192.168.7.7"),
        ("fd00::/8", "http://[fd12::7]:9000"),
        ("[fd00::]/8", "http://[fd12::7]:9000"),
        ("fd12:0::7", "http://[fd12::7]:9000"),
        ("[fd12::7]", "http://[FD12::7]:9000"),
        ("[fd12::7]:9000", "http://[fd12::7]:9000"),
        ("10.0.0.0/8", "http://[::ffff:10.1.2.3]"),
    ],
)
def test_what_no_proxy_names_is_asked_directly(no_proxy: str, url: str) -> None:
    assert chosen(url, ALL_PROXY=PROXY, NO_PROXY=no_proxy) is None


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        ("aws.com", REMOTE),
        ("amazonaws.com:80", REMOTE),
        ("*.lessons", REMOTE),
        ("", REMOTE),
        (", . :443 [] / /8", REMOTE),
        ("minio.local:9000", "http://minio.local:9001"),
        ("10.0.0.0/8", "http://11.1.2.3"),
        ("10.0.0.0/8", "http://10.example.com"),
        ("10.0.0.0/99", "http://10.1.2.3"),
        ("fd00::/8", "http://[fe00::1]"),
        ("[fd12::7]:9000", "http://[fd12::7]:9001"),
        ("0.0.0.0/0", "http://[fd12::7]"),
    ],
)
def test_what_no_proxy_does_not_name_goes_through(no_proxy: str, url: str) -> None:
    assert chosen(url, ALL_PROXY=PROXY, NO_PROXY=no_proxy) == PROXY


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST.",
        "bucket.localhost",
        "127.0.0.1",
        "127.8.9.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",  # noqa: S104 - asked, not bound
        "127.1",
        "0x7f.1",
        "2130706433",
        "[::]",
    ],
)
def test_this_machine_is_never_asked_through_a_proxy(host: str) -> None:
    """Not even where nobody thought of NO_PROXY: the proxy's loopback is another one."""
    assert chosen(f"http://{host}:9000/", ALL_PROXY=PROXY, HTTP_PROXY="nonsense://") is None


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("socks5://10.0.0.1", "socks5://10.0.0.1:1080"),
        ("socks5h://10.0.0.1:9", "socks5://10.0.0.1:9"),
        ("socks://10.0.0.1", "socks5://10.0.0.1:1080"),
        ("https://proxy", "https://proxy:443"),
        ("proxy", "http://proxy:80"),
        ("http://[fd00::1]:3128", "http://[fd00::1]:3128"),
    ],
)
def test_every_spelling_of_a_proxy_is_one_address(value: str, url: str) -> None:
    assert chosen(REMOTE, ALL_PROXY=value) == url


def test_credentials_are_taken_out_of_the_address() -> None:
    """They are percent-encoded, or nearly: people write the password as it is."""
    proxy = Proxies({"ALL_PROXY": "http://r%C3%A9n%C3%A9:p%40s:s@d@proxy:1"}).of(REMOTE)
    assert proxy is not None
    assert (proxy.username, proxy.password, proxy.url) == ("réné", "p@s:s@d", "http://proxy:1")


@pytest.mark.parametrize(
    "value",
    [
        "socks4://p:1",
        "socks4a://p:1",
        "ftp://u:secret@p",
        "://",
        "http://",
        "http://[::1",
        "http://a b",
        "a..b",
        "\udcff",
        "http://u:secret#x@p:1",
        "http://p:99999",
        "http://u:secret@p:port",
        "x" * 70 + ".com",
        "\x1b[31m",
        "9" * 5000,
        "socks5://u:p%C3%A9@p:1",
    ],
)
def test_what_is_no_proxy_is_one_sentence_that_names_the_variable(value: str) -> None:
    with pytest.raises(ProxyError, match=r"^https_proxy (is no address of|names a|holds) ") as caught:
        Proxies({"https_proxy": value}).of(REMOTE)
    assert "secret" not in str(caught.value)
    assert str(caught.value).isprintable()


HOSTS = st.one_of(
    st.sampled_from(["s3.example.com", "minio", "localhost", "a.localhost"]),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
)
TEXT = st.text(st.characters(exclude_characters="\0"), max_size=30)


@given(host=HOSTS, value=TEXT, no_proxy=TEXT)
def test_no_value_breaks_the_rule(host: str, value: str, no_proxy: str) -> None:
    """Whatever the variables hold, the answer is a proxy, none, or a sentence; this machine's is none."""
    url = f"https://{host}:8443/bucket"
    proxies = Proxies({"ALL_PROXY": value, "NO_PROXY": no_proxy})
    if stays_here(host):
        assert proxies.of(url) is None
        return
    with contextlib.suppress(ProxyError):
        proxies.of(url)


@given(address=st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), bits=st.integers(0, 128))
def test_an_address_is_excepted_by_itself_and_by_every_network_around_it(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, bits: int
) -> None:
    host = f"[{address}]" if address.version == 6 else str(address)
    around = ipaddress.ip_network((address, min(bits, address.max_prefixlen)), strict=False)
    for entry in (str(address), str(around), f"{host}:9000"):
        assert chosen(f"http://{host}:9000", ALL_PROXY=PROXY, NO_PROXY=f"x,{entry}") is None
