"""Rules of exchange from the command line: what may be exchanged is what is listed, and no more (TX-06, T30)."""

from tests.cli.conftest import Command

NOTES, FILES = "https://notes.example.com/mcp", "https://files.example.com/mcp"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


def add_servers(doorward: Command) -> None:
    for uri in (NOTES, FILES):
        doorward("admin", "resource", "add", uri, "--scope", "read", "--scope", "write")


def test_a_rule_from_adding_to_removing(doorward: Command) -> None:
    add_servers(doorward)
    client_id = doorward.json("admin", "client", "add", "--redirect-uri", "https://a.example/cb", "--confidential")[
        "client_id"
    ]
    assert doorward.json("admin", "exchange", "list") == []
    rule = ("admin", "exchange", "add", client_id, "--to", FILES)
    added = doorward.json(*rule, "--from", f"{NOTES}/", "--scope", "read write")
    assert added == {
        "rule_id": added["rule_id"],
        "client_id": client_id,
        "from": NOTES,
        "to": FILES,
        "mode": "delegation",
        "scope": "read write",
        "created_at": added["created_at"],
    }
    grants = doorward.json("admin", "client", "show", client_id)["grant_types"]
    assert grants == ["authorization_code", "refresh_token", TOKEN_EXCHANGE]
    assert "remove it first" in doorward.refused(*rule, "--from", NOTES, "--scope", "read")
    anywhere = doorward.json(*rule, "--scope", "read", "--mode", "impersonation")
    assert (anywhere["from"], anywhere["mode"]) == ("any", "impersonation")
    assert doorward.json("admin", "exchange", "list") == [added, anywhere]
    assert "exr_" in doorward("admin", "exchange", "list").stdout
    for each in (added, anywhere):
        doorward("admin", "exchange", "remove", each["rule_id"])
    assert doorward.json("admin", "exchange", "list") == []
    assert "There is no rule" in doorward.refused("admin", "exchange", "remove", added["rule_id"])


def test_a_rule_that_makes_no_sense_is_refused_and_said_why(doorward: Command) -> None:
    add_servers(doorward)
    public = doorward.json("admin", "client", "add", "--redirect-uri", "https://a.example/cb")["client_id"]
    client_id = doorward.json("admin", "client", "add", "--grant", "token-exchange")["client_id"]
    rule = ("admin", "exchange", "add")
    assert "with a secret or keys" in doorward.refused(*rule, public, "--to", FILES, "--scope", "read")
    assert "There is no client" in doorward.refused(*rule, "mcl_x", "--to", FILES, "--scope", "read")
    assert "There is no resource" in doorward.refused(*rule, client_id, "--to", "https://x.example", "--scope", "read")
    assert "It has: read write." in doorward.refused(*rule, client_id, "--to", FILES, "--scope", "drop")
    assert "out of: read write." in doorward.refused(*rule, client_id, "--to", FILES)
    assert "A mode is one of" in doorward.refused(*rule, client_id, "--to", FILES, "--scope", "read", "--mode", "x")


def test_a_rule_goes_with_its_client_and_with_the_server_it_is_for(doorward: Command) -> None:
    add_servers(doorward)
    for what in ("client", "resource"):
        client_id = doorward.json("admin", "client", "add", "--grant", "token-exchange")["client_id"]
        doorward("admin", "exchange", "add", client_id, "--to", FILES, "--from", NOTES, "--scope", "read")
        doorward("admin", what, "remove", client_id if what == "client" else FILES)
        assert doorward.json("admin", "exchange", "list") == []
