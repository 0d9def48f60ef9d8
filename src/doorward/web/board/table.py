"""Every page of the dashboard, by its address below the project's prefix, with the acts on it and who may do them."""

from collections.abc import Mapping

from .apps import APP, APP_PAGE, APPS, APPS_PAGE
from .charts import CHARTS_PAGE
from .desk import BoardPage
from .emergency import STOP, STOP_PAGE
from .links import CONNECTIONS, CONNECTIONS_PAGE
from .overview import OVERVIEW_PAGE
from .people import PEOPLE, PEOPLE_PAGE, PERSON, PERSON_PAGE
from .secrets import KEYS_PAGE
from .servers import SERVER, SERVER_PAGE, SERVERS, SERVERS_PAGE
from .stories import TIMELINE_PAGE
from .trail import AUDIT_PAGE, EXPORT_PAGE

BOARD: Mapping[str, BoardPage] = {
    "/dashboard": OVERVIEW_PAGE,
    SERVERS: SERVERS_PAGE,
    SERVER: SERVER_PAGE,
    APPS: APPS_PAGE,
    APP: APP_PAGE,
    PEOPLE: PEOPLE_PAGE,
    PERSON: PERSON_PAGE,
    CONNECTIONS: CONNECTIONS_PAGE,
    "/dashboard/timeline": TIMELINE_PAGE,
    "/dashboard/audit": AUDIT_PAGE,
    "/dashboard/audit/export": EXPORT_PAGE,
    "/dashboard/keys": KEYS_PAGE,
    STOP: STOP_PAGE,
    "/dashboard/charts": CHARTS_PAGE,
}
