"""
The read side: questions about runs, for the service and what is built on it.
"""

from telemetry.storage.queries.errors import FilterError, SlowQueryError
from telemetry.storage.queries.filters import PARAMETERS, Condition, Filters, Operator, Parameter
from telemetry.storage.queries.known import Known
from telemetry.storage.queries.orders import NEWEST_FIRST, SORTABLE
from telemetry.storage.queries.paging import Page
from telemetry.storage.queries.ranges import STATS_PARAMETERS, StatsFilters
from telemetry.storage.queries.stats import STATS
from telemetry.storage.queries.store import Store

__all__ = [
    "NEWEST_FIRST",
    "PARAMETERS",
    "SORTABLE",
    "STATS",
    "STATS_PARAMETERS",
    "Condition",
    "FilterError",
    "Filters",
    "Known",
    "Operator",
    "Page",
    "Parameter",
    "SlowQueryError",
    "StatsFilters",
    "Store",
]
