//! Rows to write in tests.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use crate::{
    Attempt, Constrain, Finding, FindingCode, FinishReason, NearValue, Outcome, RawJson, Repair,
    SessionRow, Settings, Started, Unknown, Usage, Verdict, new_id,
};

/// A rejected session with one finding and a `row_id` of its own.
pub(crate) fn row() -> SessionRow {
    let usage =
        Usage { prompt_tokens: Some(10), completion_tokens: None, unknown: Unknown::default() };
    let artifact: RawJson = r#"{"airport":"QQQ","delay":1.10}"#.parse().unwrap();
    let finding = Finding {
        code: FindingCode::Ungrounded,
        path: "/airport".to_owned(),
        message: "no such airport".to_owned(),
        message_truncated: None,
        got: Some(r#""QQQ""#.parse().unwrap()),
        expected: Some(r#"{"match":"exact"}"#.parse().unwrap()),
        nearest: Some(vec![
            NearValue::Text("OSL".to_owned()),
            NearValue::Number("1.50".parse().unwrap()),
        ]),
        unknown: Unknown::default(),
    };
    let attempt = Attempt {
        iteration: 0,
        outcome: Outcome::Rejected,
        findings: vec![finding],
        findings_truncated: None,
        told: None,
        told_truncated: None,
        output: "{\"airport\":\"QQQ\",\n\"delay\":1.10,}".to_owned(),
        output_truncated: None,
        thinking: None,
        thinking_truncated: None,
        artifact: artifact.clone(),
        artifact_truncated: None,
        repairs: vec![Repair {
            code: "trailing_comma".to_owned(),
            offset: 30,
            message: "dropped".to_owned(),
            unknown: Unknown::default(),
        }],
        repairs_truncated: None,
        finish_reason: FinishReason::Stop,
        usage: usage.clone(),
        duration_ms: 12,
        span_id: "00f067aa0ba902b7".to_owned(),
        narrowed: None,
        unknown: Unknown::default(),
    };
    let row_id = new_id();
    SessionRow {
        session_id: row_id.clone(),
        trace_id: row_id.clone(),
        row_id,
        timestamp: "2026-01-02T03:04:05.678901Z".to_owned(),
        daemon: "test".to_owned(),
        kind: Some("airport_event".to_owned()),
        model: "smollm2-135m-instruct".to_owned(),
        model_alias: "small".to_owned(),
        provider: "scripted".to_owned(),
        prompt: "Flight to Oslo is late.".to_owned(),
        prompt_truncated: None,
        messages: None,
        system: None,
        system_truncated: None,
        max_iterations: 1,
        settings: Settings {
            constrain: Constrain::Auto,
            temperature: Some("0.70".parse().unwrap()),
            max_tokens: None,
            seed: Some(-1),
            deadline_ms: 120_000,
            history: None,
            candidates: None,
            top_p: None,
            stop: None,
            assert_formats: None,
            unknown: Unknown::default(),
        },
        inline_schema: RawJson::null(),
        verdict: Verdict::MaxIterExhausted,
        iterations: 1,
        accepted_iteration: None,
        grounded: Some(false),
        artifact,
        attempts: vec![attempt],
        error: None,
        usage,
        duration_ms: 12,
        conversation_id: None,
        metadata: IndexMap::from([
            ("zone".to_owned(), "b".to_owned()),
            ("batch".to_owned(), "a".to_owned()),
        ]),
        trace_id_replaced: false,
        config_digest: format!("sha256:{}", "0".repeat(64)),
        kind_digest: format!("sha256:{}", "1".repeat(64)),
        tables: BTreeMap::from([("airports".to_owned(), format!("sha256:{}", "2".repeat(64)))]),
        unknown: Unknown::default(),
    }
}

/// The line that the row's session left before.
pub(crate) fn started(row: &SessionRow) -> Started {
    let row = row.clone();
    Started {
        session_id: row.session_id,
        trace_id: row.trace_id,
        row_id: row.row_id,
        timestamp: row.timestamp,
        daemon: row.daemon,
        kind: row.kind,
        model: row.model,
        model_alias: row.model_alias,
        provider: row.provider,
        prompt: row.prompt,
        prompt_truncated: row.prompt_truncated,
        messages: row.messages,
        system: row.system,
        system_truncated: row.system_truncated,
        max_iterations: row.max_iterations,
        settings: row.settings,
        inline_schema: row.inline_schema,
        conversation_id: row.conversation_id,
        metadata: row.metadata,
        trace_id_replaced: row.trace_id_replaced,
        config_digest: row.config_digest,
        kind_digest: row.kind_digest,
        unknown: Unknown::default(),
    }
}
