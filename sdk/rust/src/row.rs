//! The lines of a session log and what is in them, member by member in the contract's order.
//!
//! A field is a member. `Option` is `null` where the contract says that nothing is `null`, and
//! "left out" for `got`, `expected`, `nearest`, `narrowed`, `history`, `candidates`, `top_p`, `stop` and
//! `assert_formats` of the settings and the `…_truncated` markers. A JSON value that is carried with its
//! own bytes is a [`RawJson`]. Reading checks form, types and closed lists, and takes any word of a list
//! that grows; the form of ids, times and digests, and whether members agree, is the writer's business.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::codec::Line;
use crate::raw::{RawJson, RawNumber};
use crate::record::{DecodeError, Member, growing_words, left_out, nullable, record, words};

words! {
    /// How a session ended.
    pub enum Verdict {
        /// The artifact passed every check:
        Accepted = "accepted",
        /// The allowed attempts were rejected:
        MaxIterExhausted = "max_iter_exhausted",
        /// The session could not be judged:
        InfraError = "infra_error",
    }
}

words! {
    /// How one attempt ended.
    pub enum Outcome {
        /// The artifact passed every check:
        Accepted = "accepted",
        /// There is at least one finding:
        Rejected = "rejected",
    }
}

words! {
    /// Whether the schema was handed to a model that can decode under it.
    pub enum Constrain {
        /// Where the model can:
        Auto = "auto",
        /// Never:
        Off = "off",
    }
}

words! {
    /// Who said a message.
    pub enum Role {
        /// Instructions:
        System = "system",
        /// The caller:
        User = "user",
        /// The model:
        Assistant = "assistant",
    }
}

growing_words! {
    /// Why the model stopped.
    pub enum FinishReason {
        /// By itself:
        Stop = "stop",
        /// At its limit of tokens:
        Length = "length",
        /// The provider refused:
        ContentFilter = "content_filter",
        /// To call a tool:
        ToolCalls = "tool_calls",
        /// Anything else:
        Other = "other",
    }
}

growing_words! {
    /// Why an answer was rejected.
    pub enum FindingCode {
        /// Nothing in the answer begins like an object or array:
        NoJson = "no_json",
        /// Something does, and does not parse:
        InvalidJson = "invalid_json",
        /// Several different values pass the schema:
        Ambiguous = "ambiguous",
        /// The text ended in the middle:
        Truncated = "truncated",
        /// The provider says so:
        Refused = "refused",
        /// No text:
        Empty = "empty",
        /// Over 1 MiB:
        TooLarge = "too_large",
        /// The JSON Schema does not hold:
        Schema = "schema",
        /// A SQL rule does not hold:
        Rule = "rule",
        /// A value is not in its table:
        Ungrounded = "ungrounded",
    }
}

growing_words! {
    /// Why a session could not be judged.
    pub enum InfraCode {
        /// Refused, DNS, TLS, or reset before the first byte:
        Connect = "connect",
        /// Cut, not JSON, or of the wrong shape:
        UpstreamMalformed = "upstream_malformed",
        /// Any other status that is not 2xx:
        UpstreamStatus = "upstream_status",
        /// The endpoint does not know the model:
        ModelMissing = "model_missing",
        /// After retries, or no slot in time:
        Overloaded = "overloaded",
        /// The deadline, or a transport limit:
        Timeout = "timeout",
        /// The load budget ended:
        ModelLoading = "model_loading",
        /// A grounding table could not be read:
        TableUnavailable = "table_unavailable",
        /// A rule fails whatever the artifact holds:
        RuleBroken = "rule_broken",
        /// The session log could not be written:
        LogUnavailable = "log_unavailable",
        /// The daemon was stopping:
        Shutdown = "shutdown",
        /// The process that ran the session died:
        Crashed = "crashed",
    }
}

record! {
    /// Stands right after a value that was cut: the size and digest of the whole.
    pub struct Truncated {
        /// Always true.
        truncated: bool,
        /// UTF-8 bytes of the whole value.
        bytes: i64,
        /// SHA-256 of the whole value, 64 lowercase hex digits.
        sha256: String,
    }
}

record! {
    /// One turn of a conversation.
    pub struct Message {
        /// Who said it.
        role: Role,
        /// What was said.
        content: String,
        /// If `content` was cut.
        content_truncated: Option<Truncated>,
    }
}

growing_words! {
    /// What a later attempt saw of the earlier answers, where it saw any.
    pub enum History {
        /// The last one:
        AnswerAndFindings = "answer_and_findings",
        /// All of them:
        Full = "full",
    }
}

growing_words! {
    /// How a request wanted the values offered to the model that the source names.
    pub enum CandidatesMode {
        /// As the model and their number allow:
        Auto = "auto",
        /// In the schema that the model decodes under:
        Decode = "decode",
        /// In the prompt:
        Hint = "hint",
        /// Not at all:
        Off = "off",
    }
}

record! {
    /// The sampling and time settings in force; `None` is "not set".
    pub struct Settings {
        /// Whether decoding was constrained.
        constrain: Constrain,
        /// As it came: `0.70` stays `0.70`.
        temperature: Option<RawNumber>,
        /// Of one answer.
        max_tokens: Option<i64>,
        /// Of the sampler.
        seed: Option<i64>,
        /// Of the session, in milliseconds.
        deadline_ms: i64,
        /// `None`, which is left out: a later attempt saw none of the earlier answers.
        history: Option<History>,
        /// `None`, which is left out: the request set none.
        candidates: Option<CandidatesMode>,
        /// `None`, which is left out: the request set none.
        top_p: Option<TopP>,
        /// Texts that end an answer; `None`, which is left out: the request set none.
        stop: Option<Vec<String>>,
        /// `None`, which is left out: the request asserted no formats.
        assert_formats: Option<True>,
    }
}

record! {
    /// Tokens of one model call, or their sum; `None` where the provider does not say.
    pub struct Usage {
        /// Read.
        prompt_tokens: Option<i64>,
        /// Written.
        completion_tokens: Option<i64>,
    }
}

record! {
    /// One reason to reject an answer.
    pub struct Finding {
        /// Which check.
        code: FindingCode,
        /// JSON Pointer (RFC 6901) into the artifact; empty for the whole.
        path: String,
        /// For people; not compared between runtimes.
        message: String,
        /// If `message` was cut.
        message_truncated: Option<Truncated>,
        /// The value at `path`; left out over 256 bytes.
        got: Option<RawJson>,
        /// What would have held.
        expected: Option<RawJson>,
        /// Values of the column, nearest first; at most 3.
        nearest: Option<Vec<NearValue>>,
    }
}

record! {
    /// One change that opt-in repair made to get JSON.
    pub struct Repair {
        /// What was mended.
        code: String,
        /// UTF-8 bytes of `output` before it.
        offset: i64,
        /// For people.
        message: String,
    }
}

growing_words! {
    /// How the values of a column were given to the model.
    pub enum Narrowing {
        /// In the schema that the model decoded under:
        Decode = "decode",
        /// In the prompt:
        Hint = "hint",
    }
}

record! {
    /// What the model could choose from at one place: values of a column that the source names, or
    /// quotes of the source.
    pub struct Narrowed {
        /// JSON Pointer (RFC 6901) into the artifact.
        path: String,
        /// `table.column`; `source` where quotes of the source were offered.
        column: String,
        /// How the model was given them.
        mode: Narrowing,
        /// How many there were.
        candidates: i64,
        /// Of their list, by its RFC 8785 form: `sha256:` and 64 hex digits.
        digest: String,
    }
}

record! {
    /// One model answer, judged.
    pub struct Attempt {
        /// From 0.
        iteration: i64,
        /// How it ended.
        outcome: Outcome,
        /// Ordered by `path` bytes, then code, then keyword; empty when accepted.
        findings: Vec<Finding>,
        /// If `findings` was cut.
        findings_truncated: Option<Truncated>,
        /// What was added to the conversation for this attempt; `None` at iteration 0.
        told: Option<String>,
        /// If `told` was cut.
        told_truncated: Option<Truncated>,
        /// The model's text, thinking blocks included.
        output: String,
        /// If `output` was cut.
        output_truncated: Option<Truncated>,
        /// The provider's reasoning field, else the thinking blocks.
        thinking: Option<String>,
        /// If `thinking` was cut.
        thinking_truncated: Option<Truncated>,
        /// The JSON value taken from the answer, or `null`.
        artifact: RawJson,
        /// If `artifact` was cut.
        artifact_truncated: Option<Truncated>,
        /// In the order in which they were made.
        repairs: Vec<Repair>,
        /// If `repairs` was cut.
        repairs_truncated: Option<Truncated>,
        /// Why the model stopped.
        finish_reason: FinishReason,
        /// Tokens of this call.
        usage: Usage,
        /// Of the call and its checks, in milliseconds, rounded down.
        duration_ms: i64,
        /// The parent that the model call carried: 16 lowercase hex digits.
        span_id: String,
        /// What the model could choose from; `None` is left out.
        narrowed: Option<Vec<Narrowed>>,
    }
}

record! {
    /// Why a session could not be judged: the member `error` of a row.
    pub struct SessionError {
        /// What was in the way.
        code: InfraCode,
        /// For people.
        message: String,
        /// The cause in the words of whoever had it; `Some(None)` if there is none, and `None` in a
        /// row of before there was one.
        detail: Option<Option<String>>,
    }
}

record! {
    /// `session.iterate.v1`: the one line a session leaves.
    pub struct SessionRow {
        /// Joins everything; see [`crate::CallIds`].
        session_id: String,
        /// See [`crate::trace_id_of`].
        trace_id: String,
        /// See [`crate::new_id`].
        row_id: String,
        /// The end of the session; see [`crate::timestamp`].
        timestamp: String,
        /// The process that writes the row: this runtime's name.
        daemon: String,
        /// `None` with an inline schema.
        kind: Option<String>,
        /// The provider's name for the model, as configured.
        model: String,
        /// The name that requests use.
        model_alias: String,
        /// Such as `openai`.
        provider: String,
        /// With `messages`, the last user text.
        prompt: String,
        /// If `prompt` was cut.
        prompt_truncated: Option<Truncated>,
        /// `None` if a prompt was given.
        messages: Option<Vec<Message>>,
        /// The text in force.
        system: Option<String>,
        /// If `system` was cut.
        system_truncated: Option<Truncated>,
        /// Answers that may be judged.
        max_iterations: i64,
        /// In force.
        settings: Settings,
        /// As it came, or `null`.
        inline_schema: RawJson,
        /// How the session ended.
        verdict: Verdict,
        /// Attempts made.
        iterations: i64,
        /// `None` unless accepted.
        accepted_iteration: Option<i64>,
        /// `None` if no grounding rule applied.
        grounded: Option<bool>,
        /// The final one, or `null`.
        artifact: RawJson,
        /// In order.
        attempts: Vec<Attempt>,
        /// Of `infra_error`.
        error: Option<SessionError>,
        /// Sums over the attempts; `None` if any part is.
        usage: Usage,
        /// Milliseconds, rounded down.
        duration_ms: i64,
        /// The caller's.
        conversation_id: Option<String>,
        /// The caller's, in its order.
        metadata: IndexMap<String, String>,
        /// Whether a bad trace-id header was replaced.
        trace_id_replaced: bool,
        /// `sha256:` and 64 hex digits.
        config_digest: String,
        /// `sha256:` and 64 hex digits.
        kind_digest: String,
        /// Table name to digest of the version used; sorted by bytes.
        tables: BTreeMap<String, String>,
    }
}

record! {
    /// `session.started.v1`: what is known before the first model call.
    ///
    /// A session whose writer died without a row becomes one row made of these members.
    pub struct Started {
        /// As in the row, like all that follow.
        session_id: String,
        /// See [`crate::trace_id_of`].
        trace_id: String,
        /// The same as the row's.
        row_id: String,
        /// The start of the session.
        timestamp: String,
        /// The process that writes.
        daemon: String,
        /// `None` with an inline schema.
        kind: Option<String>,
        /// The provider's name for the model.
        model: String,
        /// Ours.
        model_alias: String,
        /// Such as `openai`.
        provider: String,
        /// With `messages`, the last user text.
        prompt: String,
        /// If `prompt` was cut.
        prompt_truncated: Option<Truncated>,
        /// `None` if a prompt was given.
        messages: Option<Vec<Message>>,
        /// The text in force.
        system: Option<String>,
        /// If `system` was cut.
        system_truncated: Option<Truncated>,
        /// Answers that may be judged.
        max_iterations: i64,
        /// In force.
        settings: Settings,
        /// As it came, or `null`.
        inline_schema: RawJson,
        /// The caller's.
        conversation_id: Option<String>,
        /// The caller's, in its order.
        metadata: IndexMap<String, String>,
        /// Whether a bad trace-id header was replaced.
        trace_id_replaced: bool,
        /// `sha256:` and 64 hex digits.
        config_digest: String,
        /// `sha256:` and 64 hex digits.
        kind_digest: String,
    }
}

record! {
    /// `session_log.segment.v1`: the first line of every segment.
    pub struct SegmentHeader {
        /// Of the one writer of this file.
        writer_id: String,
        /// From 0, one more for each file of the writer.
        segment: i64,
        /// The process that writes.
        daemon: String,
        /// The language it is made in: `rust`.
        runtime: String,
        /// Of the writer's library.
        version: String,
        /// When the file was begun.
        started_at: String,
    }
}

/// A near value: it is a column's, so its text is written in our form and its number as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NearValue {
    /// Of a text column.
    Text(String),
    /// Of a numeric column.
    Number(RawNumber),
}

impl Member for NearValue {
    fn read(text: &str) -> Result<Self, DecodeError> {
        if text.starts_with('"') {
            return String::read(text).map(Self::Text);
        }
        let number = RawNumber::read(text);
        number.map(Self::Number).map_err(|_| DecodeError::new("neither a string nor a number"))
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Text(text) => text.write(out),
            Self::Number(number) => number.write(out),
        }
    }
}

/// The share of the likeliest tokens that a request sampled from. As it came: `0.90` stays `0.90`.
///
/// A type of its own, because an `Option` of a [`RawNumber`] is `null` where there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopP(pub RawNumber);

impl Member for TopP {
    fn read(text: &str) -> Result<Self, DecodeError> {
        RawNumber::read(text).map(Self)
    }

    fn write(&self, out: &mut String) {
        self.0.write(out);
    }
}

/// `true`, the only value of a member that is left out where it would be false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct True;

impl Member for True {
    fn read(text: &str) -> Result<Self, DecodeError> {
        if text == "true" { Ok(Self) } else { Err(DecodeError::new("not true")) }
    }

    fn write(&self, out: &mut String) {
        out.push_str("true");
    }
}

nullable!(Vec<Message>, SessionError);
left_out!(Truncated, History, CandidatesMode, TopP, Vec<String>, True);
left_out!(Vec<NearValue>, Vec<Narrowed>, Option<String>);

impl Line for SessionRow {
    const SCHEMA: &'static str = "session.iterate.v1";
}

impl Line for Started {
    const SCHEMA: &'static str = "session.started.v1";
}

impl Line for SegmentHeader {
    const SCHEMA: &'static str = "session_log.segment.v1";
}
