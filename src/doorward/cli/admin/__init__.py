"""`doorward admin …`: operator actions over `manage/`, on the data folder, with the server running or not."""

import typer

from . import admin_token as _admin_token  # noqa: F401  # its commands join the group of tokens
from .admission import admission_commands
from .audit import audit_commands, incident_commands
from .client import client_commands
from .connection import connection_commands, token_commands
from .exchange import exchange_commands
from .key import key_commands, sealing_key_commands
from .project import project_commands
from .provider import provider_commands
from .registration import initial_token_commands, software_commands
from .resource import resource_commands
from .server_key import master_key_commands, signing_key_commands
from .timeline import timeline_commands
from .trust import trust_commands
from .user import user_commands

client_commands.add_typer(admission_commands)
admin = typer.Typer(help="Operator actions; every change is audited.", no_args_is_help=True, rich_markup_mode=None)
for name, commands in {
    "project": project_commands,
    "resource": resource_commands,
    "client": client_commands,
    "user": user_commands,
    "connection": connection_commands,
    "token": token_commands,
    "key": key_commands,
    "signing-key": signing_key_commands,
    "sealing-key": sealing_key_commands,
    "master-key": master_key_commands,
    "initial-token": initial_token_commands,
    "software": software_commands,
    "exchange": exchange_commands,
    "trust": trust_commands,
    "provider": provider_commands,
    "audit": audit_commands,
    "incident": incident_commands,
    "timeline": timeline_commands,
}.items():
    admin.add_typer(commands, name=name)
