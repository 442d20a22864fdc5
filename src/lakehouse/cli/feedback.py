"""`lakehouse feedback`: record whether a session's result was right."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from lakehouse.cli.options import ConfigOption, JsonOption, log_directory, read_config
from lakehouse.cli.table import print_json
from lakehouse.cli.terminal import say
from lakehouse.config.catalog import catalog
from lakehouse.core.clock import SystemClock
from lakehouse.core.errors import SetupError
from lakehouse.core.json_text import NULL, JsonError, compact, parse
from lakehouse.core.replay_row import FeedbackLabel, FeedbackRequest
from lakehouse.feedback.labels import give_feedback

feedback_app = typer.Typer(add_completion=False, rich_markup_mode=None)


@feedback_app.command(name="feedback")
def command(
    context: typer.Context,
    session: Annotated[str, typer.Argument(help="Session id.")],
    label: Annotated[FeedbackLabel, typer.Argument(help="Whether the session's result was right.")],
    *,
    row_id: Annotated[
        str | None, typer.Option(help="Row id; needed if the session has more than one row.")
    ] = None,
    artifact: Annotated[
        Path | None, typer.Option(help="JSON file with the right artifact; needed for corrected.")
    ] = None,
    comment: Annotated[str | None, typer.Option(help="Comment in your own words.")] = None,
    author: Annotated[str | None, typer.Option(help="Who gives the feedback.")] = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Record whether a session's result was right. Replays are scored against corrections.

    Example: lakehouse feedback 0af7651916cd43dd8448eb211c80319c wrong --comment "closed, not late"
    """
    settings = read_config(context, config)
    request = FeedbackRequest(
        session_id=session,
        label=label,
        row_id=row_id,
        artifact=NULL if artifact is None else _read(artifact),
        comment=comment,
        author=author,
    )
    known = catalog(settings)
    try:
        given = give_feedback(log_directory(settings), request, catalog=known, clock=SystemClock())
    finally:
        known.close()
    if json:
        print_json(given)
    else:
        say(f"{given.feedback_id}: row {given.row_id} labelled {given.label}")


def _read(path: Path) -> msgspec.Raw:
    try:
        text = path.read_text("utf-8")
        parse(text)
        return msgspec.Raw(compact(text))
    except (OSError, UnicodeDecodeError, JsonError) as error:
        raise SetupError(f"--artifact {path}: cannot be read as JSON: {error}.") from error
