"""`doorward client cimd …`: the metadata document of a client of your own."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from doorward.oauth.jwt import SigningKey

cimd = typer.Typer(
    help="Client metadata documents: one address by which every authorization server knows your client.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@cimd.callback()
def _group() -> None:
    """Keep `create` a command of its own."""


@cimd.command()
def create(
    url: Annotated[str, typer.Argument(help="The https address it will be published at; that is the client id.")],
    *,
    name: Annotated[str, typer.Option(help="What people are told your client is called.")] = "Doorward client",
    redirect_uri: Annotated[
        list[str] | None,
        typer.Option(help="Where answers go; repeatable.", show_default="this machine, on any port"),
    ] = None,
    client_uri: Annotated[str | None, typer.Option(help="Its home page.")] = None,
    logo_uri: Annotated[str | None, typer.Option(help="Its logo.")] = None,
    scope: Annotated[str | None, typer.Option(help="The most it will ever ask for, space separated.")] = None,
    signing_key: Annotated[
        Path | None, typer.Option(help="PEM file of the key that it proves itself with; made where there is none.")
    ] = None,
) -> None:
    """Print a metadata document that is ready to be published."""
    from doorward.client.document import LOOPBACK_REDIRECTS, build_client_document, render_client_document
    from doorward.client.errors import StoreUnavailable
    from doorward.client.key_files import resolve_signing_key

    def build(key: "SigningKey | None") -> dict[str, Any]:
        return build_client_document(
            url,
            name,
            redirect_uris=redirect_uri or LOOPBACK_REDIRECTS,
            signing_key=key,
            client_uri=client_uri,
            logo_uri=logo_uri,
            scope=scope,
        )

    try:
        document = build(None)
        if signing_key is not None:  # made only for a document that can be
            key, was_made = resolve_signing_key(signing_key)
            document = build(key)
            if was_made:
                print(f"A private key was made in {signing_key}. Keep it: it is your client.", file=sys.stderr)
    except (ValueError, StoreUnavailable) as error:
        raise typer.BadParameter(str(error)) from None
    print(render_client_document(document).decode(), end="")
    options = f"--metadata-url {url}" + (f" --signing-key {signing_key}" if signing_key else "")
    print(f"Publish this at {url} as application/json, then use it with {options}.", file=sys.stderr)
