"""What crosses the pipe between a `LogReader` and the process that answers for it."""

import msgspec

from lakehouse.sessionlog.index import questions as ask
from lakehouse.sessionlog.index.names import AskKinds, AskNames, KindDigests, Names

AnyQuestion = (
    ask.AskSessions
    | ask.AskRows
    | ask.AskNeighbours
    | ask.AskSession
    | ask.AskRates
    | ask.AskFindings
    | ask.AskValues
    | ask.AskLatency
    | ask.AskOverview
    | ask.AskLabels
    | ask.AskUnlabelled
    | AskNames
    | AskKinds
)


class Reply(msgspec.Struct, frozen=True):
    """What comes back. `distrusts`: a pack could not be read, and must be made again."""

    answer: (
        ask.Sessions
        | ask.RowPage
        | ask.Neighbours
        | ask.FoundSession
        | ask.Rates
        | ask.Findings
        | ask.Latency
        | ask.Overview
        | ask.Labels
        | ask.Unlabelled
        | Names
        | KindDigests
        | ask.Failed
    )
    distrusts: bool = False
