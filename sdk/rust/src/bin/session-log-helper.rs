//! Speaks the parity protocol, and appends rows for tests of many writers on one log.
//!
//! ```text
//! session-log-helper                            JSON lines in, JSON lines out
//! session-log-helper append --log DIR --rows N  append N rows, print each row_id once it is durable
//! ```

use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::time::SystemTime;

use lakehouse_sessionlog::{
    Constrain, RawJson, SessionLog, SessionRow, Settings, Unknown, Usage, Verdict, new_id,
    timestamp,
};
use serde_json::{Value, json};

const USAGE: &str = "usage: session-log-helper [append --log DIR --rows N]";
const LINK: &str = "sdk/rust/README.md#what-is-not-here";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        [] => answer_all(),
        ["append", "--log", log, "--rows", rows] | ["append", "--rows", rows, "--log", log] => {
            match rows.parse() {
                Ok(rows) => append(log, rows),
                Err(_) => Err(format!("--rows {rows}: not a number of rows").into()),
            }
        }
        ["-h" | "--help"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("session-log-helper: {error}");
            ExitCode::FAILURE
        }
    }
}

type Failure = Box<dyn std::error::Error>;

// --- The protocol: contract section 7 -----------------------------------------------------------

fn answer_all() -> Result<(), Failure> {
    let mut input = io::stdin().lock();
    let mut output = io::stdout().lock();
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        if !line.trim_ascii().is_empty() {
            let request = serde_json::from_slice(&line)
                .map_err(|error| format!("a request that is not JSON: {error}"))?;
            serde_json::to_writer(&mut output, &answer(&request))?;
            output.write_all(b"\n")?;
            output.flush()?;
        }
        line.clear();
    }
    Ok(())
}

fn answer(request: &Value) -> Value {
    let seq = &request["seq"];
    if request["suite"] != "session_log" {
        let reason = format!("the Rust library has no suite {}", request["suite"]);
        return json!({"seq": seq, "outcome": "skipped", "reason": reason, "link": LINK});
    }
    match input(request).and_then(|bytes| rewrite(&bytes)) {
        Ok(output) => json!({"seq": seq, "outcome": "result", "output": output}),
        Err((message, context)) => {
            json!({"seq": seq, "outcome": "errored", "message": message, "context": context})
        }
    }
}

/// What went wrong, and where.
type Refusal = (String, String);

fn input(request: &Value) -> Result<Vec<u8>, Refusal> {
    if let Some(text) = request["input"].as_str() {
        return Ok(text.as_bytes().to_vec());
    }
    let text = request["input_base64"].as_str();
    let bytes = text.and_then(|text| base64_decode(text.as_bytes()));
    bytes.ok_or_else(|| ("neither `input` nor a valid `input_base64`".to_owned(), String::new()))
}

fn rewrite(line: &[u8]) -> Result<String, Refusal> {
    let row =
        SessionRow::decode(line).map_err(|error| (error.reason().to_owned(), error.place()))?;
    let line = row.encode().map_err(|error| (error.to_string(), String::new()))?;
    Ok(String::from_utf8(line).expect("a line is UTF-8"))
}

/// RFC 4648 section 4, padded. Here because the library has no use for it.
fn base64_decode(text: &[u8]) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let padding = text.iter().rev().take(2).take_while(|byte| **byte == b'=').count();
    let mut bits = 0_u32;
    let mut count = 0;
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for byte in &text[..text.len() - padding] {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    Some(bytes)
}

// --- Appending ----------------------------------------------------------------------------------

fn append(path: &str, rows: u64) -> Result<(), Failure> {
    let log = SessionLog::open(path, "rust-helper")?;
    let mut output = io::stdout().lock();
    for number in 0..rows {
        let row = row(number);
        log.append(&row)?;
        writeln!(output, "{}", row.row_id)?;
        output.flush()?;
    }
    Ok(())
}

fn row(number: u64) -> SessionRow {
    let row_id = new_id();
    SessionRow {
        session_id: row_id.clone(),
        trace_id: row_id.clone(),
        row_id,
        timestamp: timestamp(SystemTime::now()),
        daemon: "rust-helper".to_owned(),
        kind: None,
        model: "none".to_owned(),
        model_alias: "none".to_owned(),
        provider: "none".to_owned(),
        prompt: format!("row {number} of session-log-helper"),
        prompt_truncated: None,
        messages: None,
        system: None,
        system_truncated: None,
        max_iterations: 1,
        settings: Settings {
            constrain: Constrain::Off,
            temperature: None,
            max_tokens: None,
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
        verdict: Verdict::MaxIterExhausted,
        iterations: 0,
        accepted_iteration: None,
        grounded: None,
        artifact: RawJson::null(),
        attempts: Vec::new(),
        error: None,
        usage: Usage { prompt_tokens: None, completion_tokens: None, unknown: Unknown::default() },
        duration_ms: 0,
        conversation_id: None,
        metadata: [("number".to_owned(), number.to_string())].into_iter().collect(),
        trace_id_replaced: false,
        config_digest: digest(),
        kind_digest: digest(),
        tables: std::collections::BTreeMap::new(),
        unknown: Unknown::default(),
    }
}

fn digest() -> String {
    format!("sha256:{}", "0".repeat(64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_decoded_strictly() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("Zg==", b"f"),
            ("Zm8=", b"fo"),
            ("Zm9v", b"foo"),
            ("Zm9vYg==", b"foob"),
            ("/+8=", b"\xff\xef"),
        ] {
            assert_eq!(base64_decode(text.as_bytes()).as_deref(), Some(bytes), "{text}");
        }
        for text in ["Zg", "Zg=", "Zg===", "Z===", "Z-==", "Zm9v\n", "=Zm9"] {
            assert_eq!(base64_decode(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn requests_are_answered_under_their_seq() {
        let line = String::from_utf8(row(1).encode().unwrap()).unwrap();
        let answered = answer(&json!({"seq": 7, "suite": "session_log", "input": line}));
        assert_eq!(answered, json!({"seq": 7, "outcome": "result", "output": line}));
        let refused = answer(&json!({"seq": 8, "suite": "session_log", "input": "{}"}));
        assert_eq!((&refused["seq"], &refused["outcome"]), (&json!(8), &json!("errored")));
        let broken = json!({"seq": 9, "suite": "session_log", "input_base64": "/w=="});
        let broken = answer(&broken);
        assert_eq!(broken["message"], "invalid UTF-8");
        assert_eq!(broken["context"], "byte 0");
        let other = answer(&json!({"seq": 10, "suite": "validator", "input": "{}"}));
        assert_eq!((&other["seq"], &other["outcome"]), (&json!(10), &json!("skipped")));
    }
}
