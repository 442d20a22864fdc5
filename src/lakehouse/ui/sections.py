"""All pages, in the order of the navigation: each module adds its own."""

from lakehouse.ui.exports import exports_section
from lakehouse.ui.feedback_page import feedback_section
from lakehouse.ui.findings_page import findings_section
from lakehouse.ui.kinds_page import kinds_section
from lakehouse.ui.latency_page import latency_section
from lakehouse.ui.live import LiveFeed
from lakehouse.ui.overview_page import overview_section
from lakehouse.ui.page import Section
from lakehouse.ui.queries import Queries
from lakehouse.ui.query_page import query_section
from lakehouse.ui.replay_reading import ReplayReadings
from lakehouse.ui.replays_page import replays_section
from lakehouse.ui.session_page import session_section
from lakehouse.ui.sessions_page import sessions_section
from lakehouse.ui.sources import PageSources
from lakehouse.ui.values_page import values_section


def sections(
    sources: PageSources, live: LiveFeed, queries: Queries, replays: ReplayReadings
) -> tuple[Section, ...]:
    """Return the sections of the pages over these sources."""
    return (
        overview_section(sources, live),
        exports_section(sources, queries),
        sessions_section(sources),
        session_section(sources),
        findings_section(sources),
        values_section(sources),
        latency_section(sources),
        kinds_section(sources),
        replays_section(sources, replays),
        query_section(queries),
        feedback_section(sources),
    )
