"""What a browser calls itself, in words that its owner recognises."""

MAX_AGENT_LENGTH = 200
# The first that matches wins: most browsers name the ones they descend from as well.
_BROWSERS = (
    (("Edg/", "EdgA/", "EdgiOS/"), "Edge"),
    (("OPR/", "OPT/"), "Opera"),
    (("SamsungBrowser/",), "Samsung Internet"),
    (("Vivaldi/",), "Vivaldi"),
    (("Firefox/", "FxiOS/"), "Firefox"),
    (("Chrome/", "CriOS/", "Chromium/"), "Chrome"),
    (("Safari/",), "Safari"),
)
_SYSTEMS = (
    (("iPhone",), "iPhone"),
    (("iPad",), "iPad"),
    (("Android",), "Android"),
    (("Windows",), "Windows"),
    (("CrOS",), "ChromeOS"),
    (("Macintosh", "Mac OS X"), "macOS"),
    (("Linux", "X11"), "Linux"),
)


def describe_agent(user_agent: str) -> str:
    """`Firefox on Linux`, as much of it as can be told, or an empty string.

    Whoever sends the header chooses it: it helps a person to recognise their own devices, and proves nothing.
    """
    text = user_agent[:MAX_AGENT_LENGTH]
    browser, system = _find(text, _BROWSERS), _find(text, _SYSTEMS)
    if browser and system:
        return f"{browser} on {system}"
    return browser or system


def _find(text: str, names: tuple[tuple[tuple[str, ...], str], ...]) -> str:
    return next((name for marks, name in names if any(mark in text for mark in marks)), "")
