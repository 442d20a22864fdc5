//! The contract's own vectors and fixtures, `spec/v1` of the repository.

use std::fs;
use std::path::{Path, PathBuf};

use lakehouse_sessionlog::{CallIds, SessionRow, TraceParent, crc_holds, trace_id_of};
use serde_json::Value;

fn spec() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/v1")
}

fn read(path: &Path) -> Value {
    let text = fs::read_to_string(path).expect("the file is there");
    serde_json::from_str(&text).expect("the file is JSON")
}

fn cases(name: &str) -> Vec<Value> {
    let file = read(&spec().join("vectors").join(name));
    file["cases"].as_array().expect("a vector file has cases").clone()
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

#[test]
fn trace_ids() {
    let cases = cases("trace_id.json");
    assert!(cases.len() >= 20);
    for case in cases {
        let trace_id = trace_id_of(case["session_id"].as_str().unwrap());
        assert_eq!(trace_id, case["trace_id"], "{}", case["why"]);
    }
}

#[test]
fn traceparents() {
    let cases = cases("traceparent.json");
    assert!(cases.len() >= 30);
    for case in cases {
        let parent = TraceParent::parse(&texts(&case["fields"]));
        assert_eq!(parent.is_some(), case["parent"].is_object(), "{}", case["why"]);
        if let Some(parent) = parent {
            assert_eq!(parent.trace_id, case["parent"]["trace_id"], "{}", case["why"]);
            assert_eq!(parent.span_id, case["parent"]["span_id"], "{}", case["why"]);
            assert_eq!(parent.flags, case["parent"]["flags"], "{}", case["why"]);
            assert_eq!(TraceParent::parse(&[&parent.header()]), Some(parent));
        }
    }
}

#[test]
fn session_ids() {
    let cases = cases("session_id.json");
    assert!(cases.len() >= 15);
    for case in cases {
        let (why, expected) = (&case["why"], &case["expected"]);
        let ids = CallIds::of(
            &texts(&case["trace_id_fields"]),
            &texts(&case["traceparent_fields"]),
            case["minted_by_tracing"].as_str(),
        );
        if expected["session_id"].is_null() {
            assert_eq!(ids.session_id.len(), 32, "{why}: minted");
            assert_eq!(ids.trace_id, ids.session_id, "{why}");
        } else {
            assert_eq!(ids.session_id, expected["session_id"], "{why}");
            assert_eq!(ids.trace_id, expected["trace_id"], "{why}");
        }
        assert_eq!(ids.trace_id_replaced, expected["trace_id_replaced"], "{why}");
        assert_eq!(ids.parent_span_id.as_deref(), expected["parent_span_id"].as_str(), "{why}");
        let link = ids.link.map(|link| link.trace_id);
        assert_eq!(link.as_deref(), expected["link"].as_str(), "{why}");
    }
}

fn fixtures(levels: &[&str]) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for level in levels {
        if let Ok(entries) = fs::read_dir(spec().join("parity/session_log").join(level)) {
            paths.extend(entries.map(|entry| entry.unwrap().path()));
        }
    }
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    paths
}

#[test]
fn parity_fixtures() {
    let mut rows = 0;
    for path in fixtures(&["required", "extended"]) {
        let fixture = read(&path);
        // Fixtures whose bytes are not UTF-8 come as base64; the gate runs those.
        let Some(input) = fixture["input"].as_str() else { continue };
        let row = SessionRow::decode(input.as_bytes());
        if fixture["outcome"] == "errored" {
            assert!(row.is_err(), "{}", path.display());
            continue;
        }
        let line = row.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let line = line.encode().unwrap();
        let text = String::from_utf8(line.clone()).unwrap();
        assert_eq!(text, fixture["expected"], "{}", path.display());
        assert_eq!(crc_holds(&line), Some(true));
        rows += 1;
    }
    assert!(rows >= 60);
}

#[test]
fn members_that_the_schema_requires_are_required() {
    let schema = read(&spec().join("row.schema.json"));
    let required = texts(&schema["required"]);
    assert!(required.len() >= 32);
    // In the required ones no member of another object is named like one of the row before it.
    for path in fixtures(&["required"]) {
        let fixture = read(&path);
        let Some(expected) = fixture["expected"].as_str() else { continue };
        let body = &expected[..expected.rfind(",\"crc\":\"").unwrap()];
        for name in required.iter().filter(|name| **name != "crc") {
            let line = body.replacen(&format!("\"{name}\":"), "\"x_gone\":", 1) + "}";
            let reason = SessionRow::decode(line.as_bytes()).expect_err(name).to_string();
            let said = if *name == "schema" { "`schema` is not" } else { "missing" };
            assert!(reason.contains(said), "{name} of {}: {reason}", path.display());
        }
    }
}
