"""What a browser calls itself, told in words its owner recognises (complaint 24)."""

import pytest

from doorward.core.agents import describe_agent

MOZILLA = "Mozilla/5.0"
KHTML = "AppleWebKit/537.36 (KHTML, like Gecko)"
AGENTS = {
    f"{MOZILLA} (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0": "Firefox on Linux",
    f"{MOZILLA} (Windows NT 10.0; Win64; x64) {KHTML} Chrome/140.0.0.0 Safari/537.36": "Chrome on Windows",
    f"{MOZILLA} (Windows NT 10.0; Win64; x64) {KHTML} Chrome/140.0.0.0 Safari/537.36 Edg/140.0": "Edge on Windows",
    f"{MOZILLA} (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.5 Safari/605.1.15": (
        "Safari on macOS"
    ),
    f"{MOZILLA} (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Version/18.5 Mobile Safari/604.1": (
        "Safari on iPhone"
    ),
    f"{MOZILLA} (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 CriOS/140.0 Mobile Safari/604.1": (
        "Chrome on iPad"
    ),
    f"{MOZILLA} (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 FxiOS/140.0 Safari/605.1.15": (
        "Firefox on iPhone"
    ),
    f"{MOZILLA} (Linux; Android 15; Pixel 9) {KHTML} Chrome/140.0.0.0 Mobile Safari/537.36": "Chrome on Android",
    f"{MOZILLA} (Linux; Android 15; SM-S921B) {KHTML} SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36": (
        "Samsung Internet on Android"
    ),
    f"{MOZILLA} (X11; CrOS x86_64 16181.61.0) {KHTML} Chrome/140.0.0.0 Safari/537.36": "Chrome on ChromeOS",
    f"{MOZILLA} (X11; Linux x86_64) {KHTML} Chrome/140.0.0.0 Safari/537.36 OPR/120.0": "Opera on Linux",
    f"{MOZILLA} (X11; Linux x86_64) {KHTML} HeadlessChrome/140.0.0.0 Safari/537.36": "Chrome on Linux",
    "Firefox/1": "Firefox",
    "a program on Linux": "Linux",
    "curl/8.5": "",
    "": "",
    "é\x00<b>" * 1000: "",
}


@pytest.mark.parametrize(("agent", "words"), AGENTS.items())
def test_a_browser_is_told_in_words(agent: str, words: str) -> None:
    assert describe_agent(agent) == words


def test_only_the_beginning_is_read_and_nothing_of_it_is_repeated() -> None:
    assert describe_agent("x" * 200 + "Firefox/140 (Linux)") == ""
    assert describe_agent("Firefox/140 <script>alert(1)</script> Linux") == "Firefox on Linux"
