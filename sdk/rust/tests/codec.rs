//! Rows as bytes: exactly the contract's, strictly read, never poorer for being rewritten.

use lakehouse_sessionlog::{
    CandidatesMode, FindingCode, History, LINE_BYTES_MAX, RawJson, SegmentHeader, SessionRow,
    Started, TopP, True, Unknown, Verdict, crc_holds,
};

/// Written out by hand from contract section 4.
const BODY: &str = concat!(
    r#"{"schema":"session.iterate.v1","session_id":"s","trace_id":"t","row_id":"r","#,
    r#""timestamp":"2026-01-02T03:04:05.678901Z","daemon":"rust","kind":null,"model":"m","#,
    r#""model_alias":"a","provider":"p","prompt":"\"\\\b\f\n\r\t\u0000\u001f/<>&é😀","#,
    r#""messages":[{"role":"user","content":"hi","content_truncated":{"truncated":true,"#,
    r#""bytes":70000,"sha256":"ab"}}],"system":null,"max_iterations":3,"#,
    r#""settings":{"constrain":"off","temperature":0.70,"max_tokens":null,"seed":-1,"#,
    r#""deadline_ms":120000},"inline_schema":{"type":"object"},"verdict":"infra_error","#,
    r#""iterations":1,"accepted_iteration":null,"grounded":false,"artifact":{"delay":1.10},"#,
    r#""attempts":[{"iteration":0,"outcome":"rejected","findings":[{"code":"ungrounded","#,
    r#""path":"/a","message":"no","got":"LX\u0053","expected":null,"nearest":["LIS",1.50]}],"#,
    r#""told":null,"output":"{}","thinking":null,"artifact":null,"repairs":[{"code":"c","#,
    r#""offset":7,"message":"m"}],"finish_reason":"stop","usage":{"prompt_tokens":10,"#,
    r#""completion_tokens":null},"duration_ms":12,"span_id":"00f067aa0ba902b7"}],"#,
    r#""error":{"code":"connect","message":"refused"},"usage":{"prompt_tokens":10,"#,
    r#""completion_tokens":null},"duration_ms":12,"conversation_id":null,"#,
    r#""metadata":{"z":"1","a":"2"},"trace_id_replaced":false,"config_digest":"c","#,
    r#""kind_digest":"k","tables":{"A":"1","é":"2","～":"3","😀":"4"}"#,
);

fn seal(body: &str) -> Vec<u8> {
    format!("{body},\"crc\":\"{:08x}\"}}", crc32fast::hash(body.as_bytes())).into_bytes()
}

fn replaced(old: &str, new: &str) -> Vec<u8> {
    assert!(BODY.contains(old), "{old}");
    seal(&BODY.replacen(old, new, 1))
}

fn rewritten(line: &[u8]) -> Vec<u8> {
    SessionRow::decode(line).unwrap().encode().unwrap()
}

#[track_caller]
fn refused(line: &[u8], reason: &str) {
    let error = SessionRow::decode(line).expect_err(reason).to_string();
    assert!(error.contains(reason), "{error}");
}

#[test]
fn a_line_is_these_bytes() {
    let line = seal(BODY);
    let row = SessionRow::decode(&line).unwrap();
    assert_eq!(String::from_utf8(row.encode().unwrap()).unwrap(), str::from_utf8(&line).unwrap());
    assert_eq!(row.prompt, "\"\\\u{8}\u{c}\n\r\t\0\u{1f}/<>&é😀");
    assert_eq!(row.verdict, Verdict::InfraError);
    assert_eq!(row.artifact.as_str(), r#"{"delay":1.10}"#);
    let finding = &row.attempts[0].findings[0];
    assert_eq!(finding.code, FindingCode::Ungrounded);
    assert_eq!(finding.expected, Some(RawJson::null()), "null evidence is evidence");
    assert!(row.unknown.is_empty());
}

#[test]
fn white_space_goes_and_order_comes() {
    let backwards =
        BODY[1..].replace("\"artifact\":{\"delay\":1.10}", "\"artifact\": {\"delay\" :\t1.10 }");
    let moved = backwards.replacen("\"daemon\":\"rust\",", "", 1);
    let moved = moved.replacen(
        "\"seed\":-1,\"deadline_ms\":120000",
        "\"deadline_ms\":120000,\"seed\":-1",
        1,
    );
    assert_eq!(rewritten(&seal(&format!("  {{\"daemon\" : \"rust\" , {moved}"))), seal(BODY));
}

#[test]
fn strings_of_ours_are_written_in_our_form_and_raw_values_in_theirs() {
    let line = replaced(r#""model":"m""#, r#""model":"\u00e9\/\u003c\u000A\ud83d\ude00""#);
    assert!(String::from_utf8(rewritten(&line)).unwrap().contains(r#""model":"é/<\n😀""#));
    let raw =
        r#""artifact":{"z":1.10,"a":18446744073709551616,"\u0062":"\u00e9\/","c":1e400,"d":-0.0}"#;
    let line = replaced(r#""artifact":{"delay":1.10}"#, raw);
    assert_eq!(rewritten(&line), line);
    let line = replaced(r#"["LIS",1.50]"#, r#"[ "S\u00e3o\/" , 1.50, 1E2 ]"#);
    assert_eq!(rewritten(&line), replaced(r#"["LIS",1.50]"#, r#"["São/",1.50,1E2]"#));
}

#[test]
fn unknown_members_follow_the_known_ones_at_every_level() {
    let unknown = r#""x_\u00e9":{ "crc":"00000000" , "b":[ 1.0,"\/" ] },"crd":null"#;
    let tight = r#""x_\u00e9":{"crc":"00000000","b":[1.0,"\/"]},"crd":null"#;
    let places = [
        (r#""settings":{"#, r#""deadline_ms":120000"#),
        (r#""refused"},"usage":{"#, r#""completion_tokens":null"#),
        (r#""stop","usage":{"#, r#""completion_tokens":null"#),
        (r#""error":{"#, r#""message":"refused""#),
        (r#""attempts":[{"#, r#""span_id":"00f067aa0ba902b7""#),
        (r#""findings":[{"#, r#""nearest":["LIS",1.50]"#),
        (r#""repairs":[{"#, r#""message":"m""#),
        (r#""messages":[{"#, r#""sha256":"ab"}"#),
        (r#""content_truncated":{"#, r#""sha256":"ab""#),
        ("{", r#""～":"3","😀":"4"}"#),
    ];
    for (begins, ends) in places {
        let start = BODY.find(begins).unwrap() + begins.len();
        let end = start + BODY[start..].find(ends).unwrap() + ends.len();
        let came = format!("{}{unknown},{}", &BODY[..start], &BODY[start..]);
        let expected = format!("{},{tight}{}", &BODY[..end], &BODY[end..]);
        let expected = seal(&expected);
        assert_eq!(rewritten(&seal(&came)), expected, "{begins}");
        assert_eq!(rewritten(&expected), expected, "{begins}");
    }
}

#[test]
fn unknown_members_can_be_seen_and_never_become_duplicates() {
    let came = BODY.replacen("{\"schema\"", "{\"daemon2\":1.0,\"model_v\":[ ],\"schema\"", 1);
    let mut row = SessionRow::decode(&seal(&came)).unwrap();
    let seen: Vec<_> = row.unknown.iter().map(|(name, value)| (name, value.as_str())).collect();
    assert_eq!(seen, [("daemon2", "1.0"), ("model_v", "[]")]);
    // Of another object, whose unknown names are known here.
    let inner = replaced(r#""settings":{"#, r#""settings":{"crc":1,"schema":2,"kind":3,"new":4,"#);
    row.unknown = SessionRow::decode(&inner).unwrap().settings.unknown;
    let line = row.encode().unwrap();
    let seen = SessionRow::decode(&line).unwrap().unknown;
    assert_eq!(seen.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["new"]);
    row.unknown = Unknown::default();
    assert_eq!(row.encode().unwrap(), seal(BODY));
}

#[test]
fn integers_of_ours_are_64_bits_wide() {
    for (number, written) in [
        ("-0", "0"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("9223372036854775807", "9223372036854775807"),
    ] {
        let line = replaced("\"seed\":-1", &format!("\"seed\":{number}"));
        assert_eq!(rewritten(&line), replaced("\"seed\":-1", &format!("\"seed\":{written}")));
    }
    for number in ["9223372036854775808", "1.0", "1e0", "\"1\"", "true", "[]"] {
        let line = replaced("\"seed\":-1", &format!("\"seed\":{number}"));
        refused(&line, "settings.seed: not an integer of 64 bits");
    }
}

#[test]
fn what_may_not_be_a_row_says_why_and_where() {
    let good = seal(BODY);
    refused(b"", "byte 0: the text ends");
    refused(b"null", "not an object");
    refused(&good[..good.len() - 1], "byte");
    refused(&[&good[..], b" "].concat(), "`crc` is not the last member");
    refused(&[&good[..], b"{}"].concat(), "something after the value");
    refused(&[&good[..], b"\n"].concat(), "a line break");
    refused(&seal(&BODY.replacen(',', ",\r", 1)), "a line break");
    refused(&[&good[..good.len() - 10], b"00000000\"}"].concat(), "the crc does not match");
    refused(&seal(&String::from_utf8(good.clone()).unwrap()[..good.len() - 1]), "duplicate");
    refused(format!("{BODY},\"\\u0063rc\":\"00000000\"}}").as_bytes(), "`crc` is not the last");
    refused(&replaced("iterate.v1", "iterate.v2"), "`schema` is not \"session.iterate.v1\"");
    refused(&replaced("\"kind\"", "\"k\\u0069nd\":1,\"kind\""), "duplicate member \"kind\"");
    refused(&replaced("1.10", "1,\"delay\":2"), "duplicate member \"delay\"");
    refused(&replaced("LX\\u0053", "\\ud800"), "a lone surrogate");
    refused(&replaced("1.10", "NaN"), "not a JSON value");
    refused(&replaced("1.10", &("[".repeat(79) + &"]".repeat(79))), "nested deeper than 80");
    refused(&replaced("\"rejected\"", "\"maybe\""), "attempts[0].outcome: \"maybe\" is none of");
    refused(&replaced("\"iteration\":0,", ""), "attempts[0].iteration: missing");
    refused(&replaced("\"prompt_tokens\":10,", ""), "attempts[0].usage.prompt_tokens: missing");
    refused(&replaced("[\"LIS\",1.50]", "[null]"), "findings[0].nearest[0]: neither a string");
    refused(&replaced("[\"LIS\",1.50]", "null"), "nearest: not a list");
    refused(&replaced("0.70", "\"0.70\""), "settings.temperature: not a number");
    refused(&replaced("\"z\":\"1\"", "\"z\":1"), "metadata.z: not a string");
    let marker = "{\"truncated\":true,\"bytes\":70000,\"sha256\":\"ab\"}";
    refused(&replaced(marker, "null"), "content_truncated: not an object");
    let mut bytes = good.clone();
    bytes[30] = 0xff;
    refused(&bytes, "the crc does not match");
    bytes.truncate(bytes.len() - 18);
    bytes.push(b'}');
    refused(&bytes, "byte 30: invalid UTF-8");
}

#[test]
fn a_word_of_tomorrow_is_carried() {
    let narrowed = r#""span_id":"00f067aa0ba902b7","narrowed":[{"path":"/a","column":"t.c","mode":"one_of_tomorrow","candidates":2,"digest":"d"}]"#;
    for (old, new) in [
        (r#""code":"ungrounded""#, r#""code":"one_of_tomorrow""#),
        (r#""code":"connect""#, r#""code":"one_of_tomorrow""#),
        (r#""finish_reason":"stop""#, r#""finish_reason":"one_of_tomorrow""#),
        (r#""deadline_ms":120000"#, r#""deadline_ms":120000,"history":"one_of_tomorrow""#),
        (r#""deadline_ms":120000"#, r#""deadline_ms":120000,"candidates":"one_of_tomorrow""#),
        (r#""span_id":"00f067aa0ba902b7""#, narrowed),
    ] {
        let line = replaced(old, new);
        assert_eq!(rewritten(&line), line);
        for bad in ["", "One", "one2", "one-two", &"a".repeat(41), r"one\n", "größe"] {
            let line = replaced(old, &new.replacen("one_of_tomorrow", bad, 1));
            refused(&line, "is no word of 1 to 40");
        }
    }
    let row = SessionRow::decode(&replaced("ungrounded", "one_of_tomorrow")).unwrap();
    let FindingCode::Later(word) = &row.attempts[0].findings[0].code else { panic!("{row:?}") };
    assert_eq!(word.as_str(), "one_of_tomorrow");
}

#[test]
fn candidates_of_the_settings_are_written_behind_history_where_the_request_set_them() {
    let mut row = SessionRow::decode(&seal(BODY)).unwrap();
    assert_eq!(row.settings.candidates, None);
    for (history, candidates, expected) in [
        (None, None, ""),
        (Some(History::Full), None, r#","history":"full""#),
        (None, Some(CandidatesMode::Auto), r#","candidates":"auto""#),
        (None, Some(CandidatesMode::Decode), r#","candidates":"decode""#),
        (None, Some(CandidatesMode::Hint), r#","candidates":"hint""#),
        (Some(History::Full), Some(CandidatesMode::Off), r#","history":"full","candidates":"off""#),
    ] {
        row.settings.history = history;
        row.settings.candidates = candidates;
        let line =
            replaced(r#""deadline_ms":120000}"#, &format!(r#""deadline_ms":120000{expected}}}"#));
        assert_eq!(row.encode().unwrap(), line);
        assert_eq!(SessionRow::decode(&line).unwrap(), row);
    }
    for value in ["null", "true", r#"["auto"]"#, "1"] {
        let line = replaced(
            r#""deadline_ms":120000"#,
            &format!(r#""deadline_ms":120000,"candidates":{value}"#),
        );
        refused(&line, "settings.candidates: not a string");
    }
}

#[test]
fn top_p_and_stop_of_the_settings_are_written_last_where_the_request_set_them() {
    let mut row = SessionRow::decode(&seal(BODY)).unwrap();
    assert_eq!((&row.settings.top_p, &row.settings.stop), (&None, &None));
    for (candidates, top_p, stop, expected) in [
        (None, Some("0.90"), None, r#","top_p":0.90"#),
        (None, None, Some(vec![]), r#","stop":[]"#),
        (None, Some("1"), Some(vec!["END", "\n\n"]), r#","top_p":1,"stop":["END","\n\n"]"#),
        (
            Some(CandidatesMode::Off),
            Some("1e-7"),
            Some(vec!["ß\"/"]),
            r#","candidates":"off","top_p":1e-7,"stop":["ß\"/"]"#,
        ),
    ] {
        row.settings.candidates = candidates;
        row.settings.top_p = top_p.map(|number| TopP(number.parse().unwrap()));
        row.settings.stop = stop.map(|texts| texts.into_iter().map(str::to_owned).collect());
        let line =
            replaced(r#""deadline_ms":120000}"#, &format!(r#""deadline_ms":120000{expected}}}"#));
        assert_eq!(row.encode().unwrap(), line);
        assert_eq!(SessionRow::decode(&line).unwrap(), row);
    }
    for (member, value, reason) in [
        ("top_p", "null", "settings.top_p: not a number"),
        ("top_p", r#""0.9""#, "settings.top_p: not a number"),
        ("stop", "null", "settings.stop: not a list"),
        ("stop", r#""END""#, "settings.stop: not a list"),
        ("stop", r#"["END",1]"#, "settings.stop[1]: not a string"),
    ] {
        let settings = format!(r#""deadline_ms":120000,"{member}":{value}"#);
        refused(&replaced(r#""deadline_ms":120000"#, &settings), reason);
    }
}

#[test]
fn assert_formats_of_the_settings_stand_last_where_the_request_set_them() {
    let mut row = SessionRow::decode(&seal(BODY)).unwrap();
    assert_eq!(row.settings.assert_formats, None);
    row.settings.stop = Some(vec!["a".to_owned()]);
    row.settings.assert_formats = Some(True);
    let line = replaced(
        r#""deadline_ms":120000}"#,
        r#""deadline_ms":120000,"stop":["a"],"assert_formats":true}"#,
    );
    assert_eq!(row.encode().unwrap(), line);
    assert_eq!(SessionRow::decode(&line).unwrap(), row);
    for value in ["false", "null", r#""true""#, "1", "[]"] {
        let settings = format!(r#""deadline_ms":120000,"assert_formats":{value}"#);
        refused(
            &replaced(r#""deadline_ms":120000"#, &settings),
            "settings.assert_formats: not true",
        );
    }
}

#[test]
fn the_detail_of_an_error_is_written_unless_the_row_is_of_before() {
    let mut row = SessionRow::decode(&seal(BODY)).unwrap();
    let line = |row: &SessionRow| String::from_utf8(row.encode().unwrap()).unwrap();
    for (detail, expected) in [
        (None, r#""error":{"code":"connect","message":"refused"},"#),
        (Some(None), r#""error":{"code":"connect","message":"refused","detail":null},"#),
        (
            Some(Some("why".to_owned())),
            r#""error":{"code":"connect","message":"refused","detail":"why"},"#,
        ),
    ] {
        row.error.as_mut().unwrap().detail = detail;
        assert!(line(&row).contains(expected), "{expected}");
        assert_eq!(SessionRow::decode(line(&row).as_bytes()).unwrap(), row);
    }
}

#[test]
fn evidence_of_64_levels_fits_a_row() {
    let deep = "[".repeat(64) + &"]".repeat(64);
    assert!(deep.parse::<RawJson>().is_ok());
    let line = replaced("\"LX\\u0053\"", &deep);
    assert_eq!(rewritten(&line), line);
    assert!(format!("[{deep}]").parse::<RawJson>().is_err());
}

#[test]
fn a_row_without_crc_is_let_through_and_gets_one() {
    assert_eq!(rewritten(format!("{BODY}}}").as_bytes()), seal(BODY));
    assert_eq!(rewritten(format!(" {BODY}}} \t").as_bytes()), seal(BODY));
}

#[test]
fn a_line_has_at_most_8_mib() {
    let filler = |extra: usize| {
        let rest = BODY.len() + 18 + 1;
        let text = "x".repeat(LINE_BYTES_MAX - rest - 1 + extra);
        replaced("\"model\":\"m\"", &format!("\"model\":\"m{text}xx\""))
    };
    let (fits, over) = (filler(0), filler(1));
    assert_eq!((fits.len(), over.len()), (LINE_BYTES_MAX, LINE_BYTES_MAX + 1));
    assert_eq!(rewritten(&fits), fits);
    refused(&over, "8388609 bytes; a line has at most 8388608");
    // One that only fits without its crc can be read, and not written.
    let bare = [&over[..over.len() - 18], b"}"].concat();
    let error = SessionRow::decode(&bare).unwrap().encode().unwrap_err();
    assert_eq!(error.bytes, LINE_BYTES_MAX + 1);
}

#[test]
fn every_kind_of_line_ends_in_its_crc() {
    let header = br#"{"schema":"session_log.segment.v1","writer_id":"w","segment":0,"daemon":"d","runtime":"rust","version":"1","started_at":"t","new":1}"#;
    let line = SegmentHeader::decode(header).unwrap().encode().unwrap();
    assert_eq!(line, seal(str::from_utf8(&header[..header.len() - 1]).unwrap()));
    assert_eq!(crc_holds(&line), Some(true));
    let mut damaged = line.clone();
    damaged[20] ^= 1;
    assert_eq!(crc_holds(&damaged), Some(false));
    assert_eq!(crc_holds(header), None);
    assert_eq!(crc_holds(b""), None);
    assert!(Started::decode(&line).is_err());
    assert!(SessionRow::decode(&line).is_err());
}

#[test]
fn the_started_line_has_the_rows_members_known_at_the_start() {
    let start = BODY.find("\"verdict\"").unwrap();
    let rest = BODY.find("\"conversation_id\"").unwrap();
    let end = BODY.find(",\"tables\"").unwrap();
    let body = format!("{}{}", &BODY[..start], &BODY[rest..end]);
    let body = body.replacen("session.iterate.v1", "session.started.v1", 1);
    for more in [
        "",
        r#","history":"full","candidates":"hint""#,
        r#","candidates":"one_of_tomorrow","stop":["a"],"assert_formats":true"#,
    ] {
        let settings = format!(r#""deadline_ms":120000{more}"#);
        let line = seal(&body.replacen(r#""deadline_ms":120000"#, &settings, 1));
        let started = Started::decode(&line).unwrap();
        assert_eq!(started.encode().unwrap(), line);
        assert_eq!(started.settings.candidates.is_none(), more.is_empty());
    }
    assert_eq!(Started::SCHEMA, "session.started.v1");
}
