"""`lakehouse feedback`: say of a session whether it was right, or what would have been."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from lakehouse.cli.options import ConfigOption, JsonOption, log_directory, read_config
from lakehouse.cli.table import print_json
from lakehouse.cli.terminal import say
from lakehouse.core.clock import SystemClock
from lakehouse.core.errors import SetupError
from lakehouse.core.json_text import NULL, JsonError, compact, parse
from lakehouse.core.replay_row import FeedbackLabel, FeedbackRequest
from lakehouse.feedback.labels import give_feedback
from lakehouse.stack import catalog

feedback_app = typer.Typer(add_completion=False, rich_markup_mode=None)


@feedback_app.command(name="feedback")
def command(
    context: typer.Context,
    session: Annotated[str, typer.Argument(help="A session id.")],
    label: Annotated[FeedbackLabel, typer.Argument(help="What it was.")],
    *,
    row_id: Annotated[
        str | None, typer.Option(help="Which row, where the session has several.")
    ] = None,
    artifact: Annotated[
        Path | None, typer.Option(help="A JSON file with the right artifact, for corrected.")
    ] = None,
    comment: Annotated[str | None, typer.Option(help="Why.")] = None,
    author: Annotated[str | None, typer.Option(help="Who says so.")] = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Say of a session whether it was right. Replays are scored against what was corrected.

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
        say(f"{given.feedback_id}: row {given.row_id} is {given.label}")


def _read(path: Path) -> msgspec.Raw:
    try:
        text = path.read_text("utf-8")
        parse(text)
        return msgspec.Raw(compact(text))
    except (OSError, UnicodeDecodeError, JsonError) as error:
        raise SetupError(f"--artifact {path}: cannot be read as JSON: {error}.") from error
