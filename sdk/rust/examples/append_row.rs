//! Leaves one accepted session in a log: `cargo run --example append_row -- DIR`.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Instant, SystemTime};

use lakehouse_sessionlog::{
    Attempt, CallIds, Constrain, FinishReason, IndexMap, Outcome, RawJson, RawNumber, SessionLog,
    SessionRow, Settings, Started, Unknown, Usage, Verdict, new_id, new_span_id, timestamp,
};

const DAEMON: &str = "rust-example";

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args().nth(1).unwrap_or_else(|| {
        std::env::temp_dir().join("lakehouse-rust-example").display().to_string()
    });
    let log = SessionLog::open(&directory, DAEMON)?;

    // Before a token is bought: can the row be kept, and that the session began.
    log.check_writable()?;
    let clock = Instant::now();
    let started = started(&CallIds::of(&["workflow-42"], &[], None), "0.70".parse()?);
    log.started(&started)?;

    // … the model is called, and its answer judged …
    let artifact: RawJson = r#"{ "airport": "OSL", "delay": 1.10 }"#.parse()?;
    let row = accepted(started, artifact, clock.elapsed().as_millis().try_into()?);

    // Returns when the row survives a power cut; only then is the caller answered.
    log.append(&row)?;
    println!("{} is in {directory}", row.row_id);
    Ok(())
}

fn started(ids: &CallIds, temperature: RawNumber) -> Started {
    Started {
        session_id: ids.session_id.clone(),
        trace_id: ids.trace_id.clone(),
        row_id: new_id(),
        timestamp: timestamp(SystemTime::now()),
        daemon: DAEMON.to_owned(),
        kind: Some("airport_event".to_owned()),
        model: "smollm2-135m-instruct".to_owned(),
        model_alias: "small".to_owned(),
        provider: "llama_cpp".to_owned(),
        prompt: "Flight to Oslo is late.".to_owned(),
        prompt_truncated: None,
        messages: None,
        system: Some("Extract the event as JSON.".to_owned()),
        system_truncated: None,
        max_iterations: 3,
        settings: Settings {
            constrain: Constrain::Auto,
            temperature: Some(temperature),
            max_tokens: Some(256),
            seed: None,
            deadline_ms: 120_000,
            history: None,
            candidates: None,
            top_p: None,
            stop: None,
            assert_formats: None,
            unknown: Unknown::default(),
        },
        inline_schema: RawJson::null(),
        conversation_id: None,
        metadata: IndexMap::new(),
        trace_id_replaced: ids.trace_id_replaced,
        config_digest: format!("sha256:{}", "0".repeat(64)),
        kind_digest: format!("sha256:{}", "1".repeat(64)),
        unknown: Unknown::default(),
    }
}

fn accepted(started: Started, artifact: RawJson, duration_ms: i64) -> SessionRow {
    let usage =
        Usage { prompt_tokens: Some(31), completion_tokens: Some(12), unknown: Unknown::default() };
    let attempt = Attempt {
        iteration: 0,
        outcome: Outcome::Accepted,
        findings: Vec::new(),
        findings_truncated: None,
        told: None,
        told_truncated: None,
        output: artifact.to_string(),
        output_truncated: None,
        thinking: None,
        thinking_truncated: None,
        artifact: artifact.clone(),
        artifact_truncated: None,
        repairs: Vec::new(),
        repairs_truncated: None,
        finish_reason: FinishReason::Stop,
        usage: usage.clone(),
        duration_ms,
        span_id: new_span_id(),
        narrowed: None,
        unknown: Unknown::default(),
    };
    SessionRow {
        session_id: started.session_id,
        trace_id: started.trace_id,
        row_id: started.row_id,
        timestamp: timestamp(SystemTime::now()),
        daemon: started.daemon,
        kind: started.kind,
        model: started.model,
        model_alias: started.model_alias,
        provider: started.provider,
        prompt: started.prompt,
        prompt_truncated: None,
        messages: started.messages,
        system: started.system,
        system_truncated: None,
        max_iterations: started.max_iterations,
        settings: started.settings,
        inline_schema: started.inline_schema,
        verdict: Verdict::Accepted,
        iterations: 1,
        accepted_iteration: Some(0),
        grounded: None,
        artifact,
        attempts: vec![attempt],
        error: None,
        usage,
        duration_ms,
        conversation_id: started.conversation_id,
        metadata: started.metadata,
        trace_id_replaced: started.trace_id_replaced,
        config_digest: started.config_digest,
        kind_digest: started.kind_digest,
        tables: BTreeMap::new(),
        unknown: Unknown::default(),
    }
}
