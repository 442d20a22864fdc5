"""Every bound in the system, one per line, unit last, each with its reason.

A number that a user may change is a *default* here and a field in the configuration;
a number that nobody may change keeps a hostile or broken peer from costing us more.
"""

from typing import Final

# --- What a caller may send (contract section 3) ---
BODY_BYTES_MAX: Final = 1 << 20  # a request body; larger is a 413 before it is read to the end
BODY_IDLE_MS_MAX: Final = 30_000  # between two pieces of a request body; then it is refused
JSON_DEPTH_MAX: Final = 64  # nesting of any JSON we parse; deeper costs a stack, not a heap
NUMBER_DIGITS_MAX: Final = 4_300  # of a number we compute with; Python's own limit for integers
NUMBER_EXPONENT_DIGITS_MAX: Final = 17  # so that no sum exceeds the range of `Decimal`
SCHEMA_BYTES_MAX: Final = 64 << 10  # an inline or configured JSON Schema
OFFER_SCHEMA_BYTES_MAX: Final = 256 << 10  # a schema narrowed to values of tables, of /v1/chat
ENUM_VALUES_MAX: Final = 10_000  # of a model's `enum_values_max`, which only lowers a limit
OFFER_HINT_BYTES_MAX: Final = 64 << 10  # the text that stands for it in a prompt
INLINE_TABLES_BYTES_MAX: Final = 64 << 10  # all inline tables of one /v1/validate body
PATTERN_CHARS_MAX: Final = 256  # one `pattern`; the engine is linear, its compiled form is not
SCHEMA_NODES_MAX: Final = 2_000  # objects and arrays in one schema
SCHEMA_UNFOLDED_MAX: Final = 4_000  # subschemas that its references apply to one value
PATTERN_COMPILED_BYTES_MAX: Final = 4 << 20  # the compiled form of one `pattern`
PATTERNS_COMPILED_BYTES_MAX: Final = 16 << 20  # of all patterns of one schema
SCHEMAS_CACHED_MAX: Final = 256  # compiled schemas kept
SCHEMAS_CACHED_BYTES_MAX: Final = 64 << 20  # of all of them together, by our estimate
POINTER_KEPT_CHARS_MAX: Final = 256  # of a JSON Pointer whose parts are cached
TASKS_KEPT_MAX: Final = 256  # of sessions, by what their requests set
TASK_KEPT_CHARS_MAX: Final = 4 << 10  # of a request's system text, whose task is kept
INLINE_DIGESTS_CACHED_MAX: Final = 256  # digests of inline kinds, by a hash of their texts
MESSAGES_MAX: Final = 64  # turns in one conversation
METADATA_ENTRIES_MAX: Final = 64  # members of `metadata`
ITERATIONS_MAX: Final = 10  # answers judged in one session
ITERATIONS_DEFAULT: Final = 3
DEADLINE_MS_MAX: Final = 600_000
DEADLINE_MS_DEFAULT: Final = 120_000
TOKENS_MAX: Final = 1 << 20  # of one answer, in a request or the configuration
SEED_MAX: Final = 2**63 - 1
TEMPERATURE_MAX: Final = 2.0
TOP_P_MAX: Final = 1.0
STREAM_WAIT_MS_DEFAULT: Final = 20_000  # well before proxies give up, after 60 s
STREAM_WAIT_MS_MAX: Final = 600_000
STOPS_MAX: Final = 16  # texts that end an answer
FUNCTIONS_MAX: Final = 16  # of an OpenAI client, of which a model chooses one
FUNCTION_NAME_CHARS_MAX: Final = 64  # of one of them, as at OpenAI
SESSIONS_LIMIT_MAX: Final = 200  # rows in one page of GET /v1/sessions
SESSIONS_LIMIT_DEFAULT: Final = 50
BODY_MS_MAX: Final = 120_000  # a whole request body, however steadily it arrives
HEADER_BYTES_MAX: Final = 16 << 10  # the whole header block of a request
HEAD_MS_MAX: Final = 10_000  # from the first byte of a request to the end of its headers
KEEP_ALIVE_MS: Final = 5_000  # between two requests; the default of uvicorn and Node
ANSWER_IDLE_MS_MAX: Final = 30_000  # then a caller that reads none of its answer is cut
ANSWER_PIECE_BYTES: Final = 64 << 10  # of an answer, written before we check that it is read
ANSWER_SYSTEM_BYTES: Final = 256 << 10  # of an answer in the socket buffer, per connection
ANSWERS_BYTES_MAX: Final = 64 << 20  # of all answers that wait for slow callers
PIPELINED_MAX: Final = 64  # requests of one connection waiting for the running one
CONNECTIONS_MAX: Final = 8_192  # at once, even if the system allows more
DESCRIPTORS_RESERVED: Final = 128  # kept for the log, tables and threads
PAGE_BYTES_MAX: Final = 8 << 20  # of rows in one answer; the rest is the next page
TRACESTATE_CHARS_MAX: Final = 4_096  # forwarded; an inner hop's headers must fit the limit above

# --- What a model may send back ---
OUTPUT_BYTES_MAX: Final = 1 << 20  # one answer's text; larger is the finding `too_large`
UPSTREAM_BODY_BYTES_MAX: Final = 8 << 20  # one provider reply, after decompression
UPSTREAM_HEADER_BYTES_MAX: Final = 64 << 10  # the header block of one provider reply
FINDINGS_TOLD_MAX: Final = 20  # findings carried by one re-prompt
TOLD_BYTES_MAX: Final = 8 << 10  # the whole re-prompt
TOLD_PATH_BYTES_MAX: Final = 256  # one finding's place in it: a model can invent a name of 900 KB
TOLD_EVIDENCE_BYTES_MAX: Final = 2 << 10  # what one finding expected, or the nearest values
TOLD_MESSAGE_BYTES_MAX: Final = 512  # one finding's message
ANSWER_SHOWN_BYTES_MAX: Final = 16 << 10  # one rejected answer that the model sees again
GOT_BYTES_MAX: Final = 256  # `got` of a finding; longer values are left out
NEAREST_MAX: Final = 3  # near values named by one finding
CANDIDATES_MAX: Final = 200  # values, and rows, of one grounding rule that a text names
CANDIDATES_CHARS_MAX: Final = 64 << 10  # of a session's texts that are searched for them: 10 ms
CANDIDATE_ROWS_MAX: Final = 4_096  # of a table that are looked at for one rule: about 2 ms
HINT_VALUES_MAX: Final = 20  # values, or rows, of one grounding rule that a prompt names
HINT_BYTES_MAX: Final = 4_096  # of the values that one rule adds to a prompt
SCHEMA_FINDINGS_MAX: Final = 1_000  # schema findings of one answer; ten attempts must fit a row
SCHEMA_FINDINGS_BYTES_MAX: Final = 256 << 10  # of all of them together
GROUNDING_FINDINGS_MAX: Final = 1_000  # grounding findings of one answer, as of its schema
CARRIED_RULES_MAX: Final = 64  # grounding rules in one schema, which anybody may send
EXPECTED_RESOLVED_BYTES_MAX: Final = 8 << 10  # of `expected` with references replaced
SCHEMA_STEPS_MAX: Final = 1_000_000  # subschemas tried to locate what is wrong in one answer
SCHEMA_CHECKS_MAX: Final = 5_000_000  # a schema's nodes x an answer's values: about 1 s at worst
SCHEMA_EXACT_CHECKS_MAX: Final = 1_000_000  # the same for bounds checked in decimals, one by one
SCHEMA_MATCHED_CHARS_MAX: Final = 2 << 20  # a schema's patterns x an answer's characters: 1 s too
UNCLOSED_REGIONS_MAX: Final = 4  # unclosed brackets after which we search for thinking
BLOCKS_DEEP_MAX: Final = 4  # nesting of fenced blocks searched for JSON
REPAIR_BYTES_MAX: Final = 64 << 10  # broken JSON that repair is tried on
REPAIR_REGIONS_MAX: Final = 8  # places in one answer that repair is tried on

# --- Checks in Python ---
CHECK_MS_MAX: Final = 600_000  # of one check's time limit: no session lasts longer
CHECK_MS_DEFAULT: Final = 10_000
CHECK_THREADS_MAX: Final = 64  # of one client, for checks that run; more checks wait
CHECK_THREADS_HUNG_MAX: Final = 128  # those given up, which no one can stop; then `overloaded`
CHECKS_NAMED_BYTES_MAX: Final = 4_096  # of the checks of one session, in its row

# --- Time ---
LOAD_BUDGET_MS_MAX: Final = 3_600_000
LOAD_BUDGET_MS_DEFAULT: Final = 180_000  # waiting for a model to load, once per session
CONNECT_TIMEOUT_MS_DEFAULT: Final = 5_000
CONTEXT_TOKENS_MAX: Final = 1 << 24
FIRST_BYTE_TIMEOUT_MS_LOCAL: Final = 90_000  # a model on this machine may think that long
FIRST_BYTE_TIMEOUT_MS_REMOTE: Final = 30_000
IDLE_TIMEOUT_MS_DEFAULT: Final = 30_000  # between two chunks of one reply
STATE_MS_MAX: Final = 2_000  # reporting a model's state without calling it
SLOT_WAIT_MS_MAX: Final = 30_000  # waiting for a free slot of a model: then `overloaded`
SLOT_QUEUE_MAX: Final = 512  # calls waiting for the slots of one model; more are `overloaded`
CALL_SLOTS_DEFAULT: Final = 64  # calls at once to an endpoint; the embedded model has its own
MAX_TOKENS_DEFAULT: Final = 512  # of an embedded model's answer: tiny models may never stop
CHECK_GRACE_MS: Final = 1_000  # for judging an answer that arrived at the end of the deadline
LOG_GRACE_MS: Final = 1_500  # after the deadline, for its row: callers wait less than 2 s more
LOG_MS_MIN: Final = 700  # for the row of a session that ended even later
VALIDATE_MS_MAX: Final = 25_000  # one /v1/validate, which has no deadline of its own
ALIVE_MS: Final = 1_800  # liveness timeout of a validatord after a session's deadline
CHAT_ALIVE_MS: Final = 1_300  # the same for a chatd: the session's row is written after that
CONNECT_GRACE_MS: Final = 1_500  # to connect to an inner daemon after a call's deadline
ALIVE_PAUSE_MS: Final = 1_000  # between two liveness checks
DRAIN_MS_DEFAULT: Final = 25_000  # from SIGTERM to exit; under Kubernetes' 30 s
LAST_REQUESTS_MS: Final = 1_000  # of the drain, for requests on connections that are open
DRAIN_MARGIN_MS: Final = 3_000  # of the drain, kept for writing the rows of cancelled sessions

# --- Retries (the one loop, in chatd) ---
RETRIES_MAX: Final = 2  # per model call
RETRY_BACKOFF_MS_MIN: Final = 500
RETRY_BACKOFF_MS_MAX: Final = 8_000
RETRY_BUDGET_SHARE: Final = 0.1  # of the calls of the last minute
RETRY_BUDGET_MIN: Final = 3  # retries a minute that are always allowed
ATTEMPT_MS_MIN: Final = 100  # with less left of the deadline, no attempt is started
RETRY_WAIT_MS_MAX: Final = 60_000  # of a wait that an endpoint asks for; a longer one ends the call
COOLDOWN_MS_MAX: Final = 60_000  # longest pause one `Retry-After` imposes on a model's calls
BREAKER_FAILURES_MAX: Final = 5  # transport failures in a row that open the breaker
BREAKER_OPEN_MS: Final = 10_000  # before one probe call is let through

# --- The session log (contract sections 4 and 5) ---
CRC_BYTES: Final = 18  # of `,"crc":"xxxxxxxx"}`, the end of every line that we write
ROW_BYTES_MAX: Final = 8 << 20  # one line; DuckDB refuses a line of 2 x 16 MiB
TRUNCATED_TEXT_BYTES_MAX: Final = 65_536  # the rest of a text that had to be cut
