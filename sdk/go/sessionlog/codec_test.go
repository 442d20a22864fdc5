package sessionlog_test

import (
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"lakehouse/sdk/go/sessionlog"
)

// body is written out by hand from contract section 4.
const body = `{"schema":"session.iterate.v1","session_id":"s","trace_id":"t","row_id":"r",` +
	`"timestamp":"2026-01-02T03:04:05.678901Z","daemon":"go","kind":null,"model":"m",` +
	`"model_alias":"a","provider":"p","prompt":"\"\\\b\f\n\r\t\u0000\u001f/<>&é😀` + "\u2028\u007f" + `",` +
	`"messages":[{"role":"user","content":"hi","content_truncated":{"truncated":true,` +
	`"bytes":70000,"sha256":"ab"}}],"system":null,"max_iterations":3,` +
	`"settings":{"constrain":"off","temperature":0.70,"max_tokens":null,"seed":-1,` +
	`"deadline_ms":120000},"inline_schema":{"type":"object"},"verdict":"infra_error",` +
	`"iterations":1,"accepted_iteration":null,"grounded":false,"artifact":{"delay":1.10},` +
	`"attempts":[{"iteration":0,"outcome":"rejected","findings":[{"code":"ungrounded",` +
	`"path":"/a","message":"no","got":"LX\u0053","expected":null,"nearest":["LIS",1.50]}],` +
	`"told":null,"output":"{}","thinking":null,"artifact":null,"repairs":[{"code":"c",` +
	`"offset":7,"message":"m"}],"finish_reason":"stop","usage":{"prompt_tokens":10,` +
	`"completion_tokens":null},"duration_ms":12,"span_id":"00f067aa0ba902b7"}],` +
	`"error":{"code":"connect","message":"refused"},"usage":{"prompt_tokens":10,` +
	`"completion_tokens":null},"duration_ms":12,"conversation_id":null,` +
	`"metadata":{"z":"1","a":"2"},"trace_id_replaced":false,"config_digest":"c",` +
	`"kind_digest":"k","tables":{"A":"1","é":"2","～":"3","😀":"4"}`

func seal(body string) string {
	return fmt.Sprintf(`%s,"crc":"%08x"}`, body, crc32.ChecksumIEEE([]byte(body)))
}

func replaced(t *testing.T, old, with string) string {
	t.Helper()
	if !strings.Contains(body, old) {
		t.Fatalf("the body lacks %s", old)
	}
	return seal(strings.Replace(body, old, with, 1))
}

func rewritten(t *testing.T, line string) string {
	t.Helper()
	row, err := sessionlog.DecodeSessionRow([]byte(line))
	if err != nil {
		t.Fatalf("%v in %.2000s", err, line)
	}
	encoded, err := row.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}

func refuse(t *testing.T, line, reason string) {
	t.Helper()
	row, err := sessionlog.DecodeSessionRow([]byte(line))
	var found *sessionlog.DecodeError
	if row != nil || !errors.As(err, &found) || !strings.Contains(err.Error(), reason) {
		t.Errorf("%v; it should say %s", err, reason)
	}
}

func TestALineIsTheseBytes(t *testing.T) {
	line := seal(body)
	if got := rewritten(t, line); got != line {
		t.Errorf("got  %s\nwant %s", got, line)
	}
	row, _ := sessionlog.DecodeSessionRow([]byte(line))
	if row.Prompt != "\"\\\b\f\n\r\t\x00\x1f/<>&é😀\u2028\u007f" {
		t.Errorf("prompt %q", row.Prompt)
	}
	if row.Verdict != sessionlog.VerdictInfraError || row.Artifact.String() != `{"delay":1.10}` {
		t.Errorf("%s, %s", row.Verdict, row.Artifact)
	}
	finding := row.Attempts[0].Findings[0]
	if finding.Code != sessionlog.FindingUngrounded || finding.Expected != sessionlog.Null {
		t.Errorf("null evidence is evidence: %v", finding)
	}
	if row.Kind != nil || *row.Grounded || *row.Settings.Seed != -1 || row.Unknown.Len() != 0 {
		t.Errorf("%+v", row)
	}
}

func TestWhiteSpaceGoesAndOrderComes(t *testing.T) {
	moved := strings.Replace(body[1:], `"artifact":{"delay":1.10}`, "\"artifact\": {\"delay\" :\t1.10 }", 1)
	moved = strings.Replace(moved, `"daemon":"go",`, "", 1)
	moved = strings.Replace(moved, `"seed":-1,"deadline_ms":120000`, `"deadline_ms":120000,"seed":-1`, 1)
	moved = strings.Replace(moved, `{"A":"1","é":"2","～":"3","😀":"4"}`, `{"😀":"4","～":"3","é":"2","A":"1"}`, 1)
	if got := rewritten(t, seal(`  {"daemon" : "go" , `+moved)); got != seal(body) {
		t.Error(got)
	}
}

func TestStringsOfOursAreWrittenInOurFormAndRawValuesInTheirs(t *testing.T) {
	line := replaced(t, `"model":"m"`, `"model":"\u00e9\/\u003c\u000A\ud83d\ude00\u2028"`)
	if got := rewritten(t, line); !strings.Contains(got, "\"model\":\"é/<\\n😀\u2028\"") {
		t.Error(got)
	}
	raw := `"artifact":{"z":1.10,"a":18446744073709551616,"\u0062":"\u00e9\/<","c":1e400,"d":-0.0}`
	line = replaced(t, `"artifact":{"delay":1.10}`, raw)
	if got := rewritten(t, line); got != line {
		t.Error(got)
	}
	line = replaced(t, `["LIS",1.50]`, `[ "S\u00e3o\/" , 1.50, 1E2 ]`)
	if got := rewritten(t, line); got != replaced(t, `["LIS",1.50]`, `["São/",1.50,1E2]`) {
		t.Error(got)
	}
}

func TestUnknownMembersFollowTheKnownOnesAtEveryLevel(t *testing.T) {
	unknown := `"x_\u00e9":{ "crc":"00000000" , "b":[ 1.0,"\/" ] },"crd":null`
	tight := `"x_\u00e9":{"crc":"00000000","b":[1.0,"\/"]},"crd":null`
	for _, place := range [][2]string{
		{`"settings":{`, `"deadline_ms":120000`},
		{`"refused"},"usage":{`, `"completion_tokens":null`},
		{`"stop","usage":{`, `"completion_tokens":null`},
		{`"error":{`, `"message":"refused"`},
		{`"attempts":[{`, `"span_id":"00f067aa0ba902b7"`},
		{`"findings":[{`, `"nearest":["LIS",1.50]`},
		{`"repairs":[{`, `"message":"m"`},
		{`"messages":[{`, `"sha256":"ab"}`},
		{`"content_truncated":{`, `"sha256":"ab"`},
		{"{", `"～":"3","😀":"4"}`},
	} {
		start := strings.Index(body, place[0]) + len(place[0])
		end := start + strings.Index(body[start:], place[1]) + len(place[1])
		came := seal(body[:start] + unknown + "," + body[start:])
		expected := seal(body[:end] + "," + tight + body[end:])
		for _, line := range []string{came, expected} {
			if got := rewritten(t, line); got != expected {
				t.Errorf("%s:\ngot  %s\nwant %s", place[0], got, expected)
			}
		}
	}
}

func TestUnknownMembersCanBeSeenAndNeverBecomeDuplicates(t *testing.T) {
	came := seal(strings.Replace(body, `{"schema"`, `{"daemon2":1.0,"model_v":[ ],"schema"`, 1))
	row, err := sessionlog.DecodeSessionRow([]byte(came))
	if err != nil {
		t.Fatal(err)
	}
	if got := seen(row.Unknown); !slices.Equal(got, []string{"daemon2=1.0", "model_v=[]"}) {
		t.Error(got)
	}
	// Of another object, whose unknown names are known here.
	inner := replaced(t, `"settings":{`, `"settings":{"crc":1,"schema":2,"kind":3,"new":4,`)
	other, err := sessionlog.DecodeSessionRow([]byte(inner))
	if err != nil {
		t.Fatal(err)
	}
	row.Unknown = other.Settings.Unknown
	line, _ := row.Encode()
	again, err := sessionlog.DecodeSessionRow(line)
	if err != nil || !slices.Equal(seen(again.Unknown), []string{"new=4"}) {
		t.Errorf("%v, %v", again, err)
	}
	row.Unknown = sessionlog.Unknown{}
	if line, _ := row.Encode(); string(line) != seal(body) {
		t.Errorf("%s", line)
	}
}

func seen(unknown sessionlog.Unknown) (found []string) {
	for name, value := range unknown.All() {
		found = append(found, name+"="+value.String())
	}
	return found
}

func TestIntegersOfOursAre64BitsWide(t *testing.T) {
	for _, c := range [][2]string{
		{"-0", "0"},
		{"-9223372036854775808", "-9223372036854775808"},
		{"9223372036854775807", "9223372036854775807"},
	} {
		line := replaced(t, `"seed":-1`, `"seed":`+c[0])
		if got := rewritten(t, line); got != replaced(t, `"seed":-1`, `"seed":`+c[1]) {
			t.Error(got)
		}
	}
	for _, number := range []string{"9223372036854775808", "1.0", "1e0", `"1"`, "true", "[]"} {
		line := replaced(t, `"seed":-1`, `"seed":`+number)
		refuse(t, line, "settings.seed: not an integer of 64 bits")
	}
}

func TestWhatMayNotBeARowSaysWhyAndWhere(t *testing.T) {
	good := seal(body)
	marker := `{"truncated":true,"bytes":70000,"sha256":"ab"}`
	deep := strings.Repeat("[", 79) + strings.Repeat("]", 79)
	for _, c := range [][2]string{
		{"", "byte 0: the text ends"},
		{"null", "not an object"},
		{good[:len(good)-1], "byte"},
		{good + " ", "`crc` is not the last member"},
		{good + "{}", "something after the value"},
		{good + "\n", "a line break"},
		{seal(strings.Replace(body, ",", ",\r", 1)), "a line break"},
		{good[:len(good)-10] + `00000000"}`, "the crc does not match"},
		{seal(good[:len(good)-1]), "duplicate"},
		{body + `,"\u0063rc":"00000000"}`, "`crc` is not the last"},
		{replaced(t, "iterate.v1", "iterate.v2"), "`schema` is not \"session.iterate.v1\""},
		{replaced(t, `"kind"`, `"k\u0069nd":1,"kind"`), `duplicate member "kind"`},
		{replaced(t, "1.10", `1,"delay":2`), `duplicate member "delay"`},
		{replaced(t, `LX\u0053`, `\ud800`), "a lone surrogate"},
		{replaced(t, "1.10", "NaN"), "not a JSON value"},
		{replaced(t, "1.10", deep), "nested deeper than 80"},
		{replaced(t, `"rejected"`, `"maybe"`), `attempts[0].outcome: "maybe" is none of accepted, rejected`},
		{replaced(t, `"iteration":0,`, ""), "attempts[0].iteration: missing"},
		{replaced(t, `"prompt_tokens":10,`, ""), "attempts[0].usage.prompt_tokens: missing"},
		{replaced(t, `["LIS",1.50]`, "[null]"), "findings[0].nearest[0]: neither a string"},
		{replaced(t, `["LIS",1.50]`, "null"), "nearest: not a list"},
		{replaced(t, "0.70", `"0.70"`), "settings.temperature: neither a number nor null"},
		{replaced(t, `"z":"1"`, `"z":1`), "metadata.z: not a string"},
		{replaced(t, `"A":"1"`, `"A":1`), "tables.A: not a string"},
		{replaced(t, marker, "null"), "content_truncated: not an object"},
		{replaced(t, `"grounded":false`, `"grounded":0`), "grounded: neither true nor false"},
		{replaced(t, "p\",\"prompt", "\xff\",\"prompt"), ": invalid UTF-8"},
	} {
		refuse(t, c[0], c[1])
	}
}

func TestEvidenceOf64LevelsFitsARow(t *testing.T) {
	deep := strings.Repeat("[", 64) + strings.Repeat("]", 64)
	if _, err := sessionlog.ParseRawJSON(deep); err != nil {
		t.Error(err)
	}
	line := replaced(t, `"LX\u0053"`, deep)
	if got := rewritten(t, line); got != line {
		t.Error(got)
	}
	if _, err := sessionlog.ParseRawJSON("[" + deep + "]"); err == nil {
		t.Error("65 levels were taken")
	}
}

func TestARowWithoutCRCIsLetThroughAndGetsOne(t *testing.T) {
	for _, line := range []string{body + "}", " " + body + "} \t"} {
		if got := rewritten(t, line); got != seal(body) {
			t.Error(got)
		}
	}
}

func TestALineHasAtMost8MiB(t *testing.T) {
	filler := func(extra int) string {
		text := strings.Repeat("x", sessionlog.LineBytesMax-len(body)-18+extra)
		return replaced(t, `"model":"m"`, `"model":"m`+text+`"`)
	}
	fits, over := filler(0), filler(1)
	if len(fits) != sessionlog.LineBytesMax || rewritten(t, fits) != fits {
		t.Errorf("%d bytes", len(fits))
	}
	refuse(t, over, "8388609 bytes; a line has at most 8388608")
	// One that only fits without its crc can be read, and not written.
	row, err := sessionlog.DecodeSessionRow([]byte(over[:len(over)-18] + "}"))
	if err != nil {
		t.Fatal(err)
	}
	var tooLong *sessionlog.TooLongError
	if _, err := row.Encode(); !errors.As(err, &tooLong) || tooLong.Bytes != sessionlog.LineBytesMax+1 {
		t.Error(err)
	}
}

func TestWhatHasNoLineIsNotWritten(t *testing.T) {
	for _, c := range []struct {
		spoil func(*sessionlog.SessionRow)
		says  string
	}{
		{func(row *sessionlog.SessionRow) { row.Prompt = "\xed\xa0\x80" }, "prompt: not UTF-8"},
		{func(row *sessionlog.SessionRow) { row.Verdict = "" }, `verdict: "" is none of accepted`},
		{func(row *sessionlog.SessionRow) {
			row.Attempts[0].Usage.Unknown = row.Unknown
			row.Attempts[0].FinishReason = "done"
		}, "attempts[0].finish_reason: "},
		{func(row *sessionlog.SessionRow) {
			row.Metadata = []sessionlog.Entry{{Name: "a", Value: "1"}, {Name: "a", Value: "2"}}
		}, "metadata.a: twice"},
	} {
		row, _ := sessionlog.DecodeSessionRow([]byte(seal(body)))
		c.spoil(row)
		var found *sessionlog.EncodeError
		if line, err := row.Encode(); line != nil || !errors.As(err, &found) || !strings.HasPrefix(err.Error(), c.says) {
			t.Errorf("%v; it should say %s", err, c.says)
		}
	}
}

func TestAWordOfTomorrowIsCarriedAndNeverMadeUp(t *testing.T) {
	for _, c := range [][2]string{
		{`"code":"ungrounded"`, `"code":"one_of_tomorrow"`},
		{`"code":"connect"`, `"code":"one_of_tomorrow"`},
		{`"finish_reason":"stop"`, `"finish_reason":"one_of_tomorrow"`},
		{`"deadline_ms":120000`, `"deadline_ms":120000,"history":"one_of_tomorrow"`},
		{`"deadline_ms":120000`, `"deadline_ms":120000,"candidates":"one_of_tomorrow"`},
		{`"span_id":"00f067aa0ba902b7"`, `"span_id":"00f067aa0ba902b7","narrowed":[{"path":"/a","column":"t.c",` +
			`"mode":"one_of_tomorrow","candidates":2,"digest":"d"}]`},
	} {
		line := replaced(t, c[0], c[1])
		if got := rewritten(t, line); got != line {
			t.Error(got)
		}
		for _, bad := range []string{"", "One", "one2", "one-two", strings.Repeat("a", 41), `one\n`, "größe"} {
			refuse(t, replaced(t, c[0], strings.Replace(c[1], "one_of_tomorrow", bad, 1)), "is no word of 1 to 40")
		}
	}
	row, err := sessionlog.DecodeSessionRow([]byte(replaced(t, `"code":"connect"`, `"code":"one_of_tomorrow"`)))
	if err != nil || row.Error.Code != "one_of_tomorrow" {
		t.Fatalf("%+v, %v", row, err)
	}
	row.Error.Code = "another"
	if line, err := row.Encode(); err == nil || !strings.HasPrefix(err.Error(), `error.code: "another" is none of connect`) {
		t.Errorf("%s, %v", line, err)
	}
	row.Error.Code = sessionlog.InfraRuleBroken
	if _, err := row.Encode(); err != nil {
		t.Error(err)
	}
}

func TestCandidatesOfTheSettingsAreWrittenBehindHistoryWhereTheRequestSetThem(t *testing.T) {
	row, err := sessionlog.DecodeSessionRow([]byte(seal(body)))
	if err != nil || row.Settings.Candidates != sessionlog.CandidatesUnset {
		t.Fatalf("%+v, %v", row, err)
	}
	for _, c := range []struct {
		history    sessionlog.History
		candidates sessionlog.CandidatesMode
		expected   string
	}{
		{"", sessionlog.CandidatesUnset, `"deadline_ms":120000}`},
		{sessionlog.HistoryFull, sessionlog.CandidatesUnset, `"deadline_ms":120000,"history":"full"}`},
		{"", sessionlog.CandidatesAuto, `"deadline_ms":120000,"candidates":"auto"}`},
		{"", sessionlog.CandidatesDecode, `"deadline_ms":120000,"candidates":"decode"}`},
		{"", sessionlog.CandidatesHint, `"deadline_ms":120000,"candidates":"hint"}`},
		{sessionlog.HistoryFull, sessionlog.CandidatesOff, `"deadline_ms":120000,"history":"full","candidates":"off"}`},
	} {
		row.Settings.History, row.Settings.Candidates = c.history, c.candidates
		line, err := row.Encode()
		if err != nil || string(line) != replaced(t, `"deadline_ms":120000}`, c.expected) {
			t.Errorf("%s, %v", line, err)
		}
		again, err := sessionlog.DecodeSessionRow(line)
		if err != nil || again.Settings.Candidates != c.candidates || again.Settings.Unknown.Len() != 0 {
			t.Errorf("%+v, %v", again, err)
		}
	}
	for _, value := range []string{"null", "true", `["auto"]`, "1"} {
		line := replaced(t, `"deadline_ms":120000`, `"deadline_ms":120000,"candidates":`+value)
		refuse(t, line, "settings.candidates: not a string")
	}
}

func TestTopPAndStopOfTheSettingsAreWrittenLastWhereTheRequestSetThem(t *testing.T) {
	row, err := sessionlog.DecodeSessionRow([]byte(seal(body)))
	if err != nil || !row.Settings.TopP.IsNull() || row.Settings.Stop != nil {
		t.Fatalf("%+v, %v", row, err)
	}
	for _, c := range []struct {
		candidates sessionlog.CandidatesMode
		topP       string
		stop       []string
		expected   string
	}{
		{"", "0.90", nil, `,"top_p":0.90`},
		{"", "", []string{}, `,"stop":[]`},
		{"", "1", []string{"END", "\n\n"}, `,"top_p":1,"stop":["END","\n\n"]`},
		{"off", "1e-7", []string{"ß\"/"}, `,"candidates":"off","top_p":1e-7,"stop":["ß\"/"]`},
	} {
		row.Settings.Candidates, row.Settings.TopP, row.Settings.Stop = c.candidates, sessionlog.RawNumber{}, c.stop
		if c.topP != "" {
			if row.Settings.TopP, err = sessionlog.ParseRawNumber(c.topP); err != nil {
				t.Fatal(err)
			}
		}
		line, err := row.Encode()
		if err != nil || string(line) != replaced(t, `"deadline_ms":120000}`, `"deadline_ms":120000`+c.expected+`}`) {
			t.Errorf("%s, %v", line, err)
		}
		again, err := sessionlog.DecodeSessionRow(line)
		if err != nil || again.Settings.TopP != row.Settings.TopP || !slices.Equal(again.Settings.Stop, c.stop) ||
			again.Settings.Unknown.Len() != 0 {
			t.Errorf("%+v, %v", again, err)
		}
	}
	for value, says := range map[string]string{
		`"top_p":null`:     "settings.top_p: not a number",
		`"top_p":"0.9"`:    "settings.top_p: not a number",
		`"stop":null`:      "settings.stop: not a list",
		`"stop":"END"`:     "settings.stop: not a list",
		`"stop":["END",1]`: "settings.stop[1]: not a string",
	} {
		refuse(t, replaced(t, `"deadline_ms":120000`, `"deadline_ms":120000,`+value), says)
	}
}

func TestAssertFormatsOfTheSettingsStandLastWhereTheRequestSetThem(t *testing.T) {
	row, err := sessionlog.DecodeSessionRow([]byte(seal(body)))
	if err != nil || row.Settings.AssertFormats {
		t.Fatalf("%+v, %v", row, err)
	}
	row.Settings.Stop, row.Settings.AssertFormats = []string{"a"}, true
	line, err := row.Encode()
	expected := `"deadline_ms":120000,"stop":["a"],"assert_formats":true}`
	if err != nil || string(line) != replaced(t, `"deadline_ms":120000}`, expected) {
		t.Errorf("%s, %v", line, err)
	}
	again, err := sessionlog.DecodeSessionRow(line)
	if err != nil || !again.Settings.AssertFormats || again.Settings.Unknown.Len() != 0 {
		t.Errorf("%+v, %v", again, err)
	}
	for _, value := range []string{"false", "null", `"true"`, "1", "[]"} {
		settings := `"deadline_ms":120000,"assert_formats":` + value
		refuse(t, replaced(t, `"deadline_ms":120000`, settings), "settings.assert_formats: not true")
	}
}

func TestAWordThatWasReadInOneMemberIsNotWrittenInAnother(t *testing.T) {
	line := replaced(t, `"deadline_ms":120000`, `"deadline_ms":120000,"history":"one_of_tomorrow"`)
	row, err := sessionlog.DecodeSessionRow([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	row.Settings.Candidates = sessionlog.CandidatesMode(row.Settings.History)
	says := `settings.candidates: "one_of_tomorrow" is none of auto, decode, hint, off`
	if line, err := row.Encode(); err == nil || err.Error() != says {
		t.Errorf("%s, %v", line, err)
	}
}

func TestTheDetailOfAnErrorIsWrittenUnlessTheRowIsOfBefore(t *testing.T) {
	row, err := sessionlog.DecodeSessionRow([]byte(seal(body)))
	if err != nil || row.Error.Detail != nil {
		t.Fatalf("%+v, %v", row, err)
	}
	said := "why"
	for _, c := range []struct {
		error    *sessionlog.SessionError
		expected string
	}{
		{row.Error, `{"code":"connect","message":"refused"}`},
		{&sessionlog.SessionError{Code: "connect"}, `{"code":"connect","message":"","detail":null}`},
		{&sessionlog.SessionError{Code: "connect", Detail: &said}, `{"code":"connect","message":"","detail":"why"}`},
	} {
		row.Error = c.error
		if line, err := row.Encode(); err != nil || !strings.Contains(string(line), `"error":`+c.expected+",") {
			t.Errorf("%s, %v", line, err)
		}
	}
}

func TestNothingIsNullOrEmptyOrLeftOut(t *testing.T) {
	row := &sessionlog.SessionRow{
		Settings: sessionlog.Settings{Constrain: sessionlog.ConstrainAuto},
		Verdict:  sessionlog.VerdictMaxIterExhausted,
		Attempts: []sessionlog.Attempt{{
			Outcome:      sessionlog.OutcomeRejected,
			FinishReason: sessionlog.FinishOther,
			Findings: []sessionlog.Finding{
				{Code: sessionlog.FindingNoJSON},
				{Code: sessionlog.FindingUngrounded, Nearest: []sessionlog.NearValue{}},
			},
		}},
	}
	line, err := row.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		`"kind":null,`, `"messages":null,"system":null,`, `"temperature":null,`, `"inline_schema":null,`,
		`"findings":[{"code":"no_json","path":"","message":""},`,
		`{"code":"ungrounded","path":"","message":"","nearest":[]}],"told":null`, `"repairs":[]`,
		`"artifact":null,"attempts"`, `"error":null`, `"metadata":{}`, `"tables":{}`,
	} {
		if !strings.Contains(string(line), part) {
			t.Errorf("%s is not in %s", part, line)
		}
	}
	if got := rewritten(t, string(line)); got != string(line) {
		t.Error(got)
	}
}

func TestEveryKindOfLineEndsInItsCRC(t *testing.T) {
	text := `{"schema":"session_log.segment.v1","writer_id":"w","segment":0,"daemon":"d",` +
		`"runtime":"go","version":"1","started_at":"t","new":1`
	header, err := sessionlog.DecodeSegmentHeader([]byte(text + "}"))
	if err != nil {
		t.Fatal(err)
	}
	line, err := header.Encode()
	if err != nil || string(line) != seal(text) {
		t.Errorf("%s, %v", line, err)
	}
	damaged := slices.Clone(line)
	damaged[20] ^= 1
	for _, c := range []struct {
		line           string
		holds, present bool
	}{
		{string(line), true, true}, {string(damaged), false, true}, {text + "}", false, false}, {"", false, false},
	} {
		if holds, present := sessionlog.CRCHolds([]byte(c.line)); holds != c.holds || present != c.present {
			t.Errorf("%s: %v, %v", c.line, holds, present)
		}
	}
	_, startedErr := sessionlog.DecodeStarted(line)
	_, rowErr := sessionlog.DecodeSessionRow(line)
	if startedErr == nil || rowErr == nil {
		t.Error("a header was taken for something else")
	}
}

func TestTheStartedLineHasTheRowsMembersKnownAtTheStart(t *testing.T) {
	start := strings.Index(body, `"verdict"`)
	rest := strings.Index(body, `"conversation_id"`)
	end := strings.Index(body, `,"tables"`)
	known := strings.Replace(body[:start]+body[rest:end], "session.iterate.v1", "session.started.v1", 1)
	for _, more := range []string{"", `,"history":"full","candidates":"hint"`, `,"candidates":"one_of_tomorrow","stop":["a"],"assert_formats":true`} {
		line := seal(strings.Replace(known, `"deadline_ms":120000`, `"deadline_ms":120000`+more, 1))
		started, err := sessionlog.DecodeStarted([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		if encoded, err := started.Encode(); err != nil || string(encoded) != line {
			t.Errorf("%s, %v", encoded, err)
		}
		if (started.Settings.Candidates == sessionlog.CandidatesUnset) != (more == "") {
			t.Errorf("%+v", started.Settings)
		}
	}
}

func FuzzDecodeSessionRow(f *testing.F) {
	f.Add([]byte(seal(body)))
	f.Add([]byte(body + "}"))
	f.Fuzz(func(t *testing.T, line []byte) {
		row, err := sessionlog.DecodeSessionRow(line)
		if err != nil {
			return
		}
		encoded, err := row.Encode()
		if err != nil {
			var tooLong *sessionlog.TooLongError
			if !errors.As(err, &tooLong) {
				t.Fatalf("%v of %s", err, line)
			}
			return
		}
		again, err := sessionlog.DecodeSessionRow(encoded)
		if err != nil {
			t.Fatalf("%v of %s", err, encoded)
		}
		if twice, _ := again.Encode(); string(twice) != string(encoded) {
			t.Fatalf("%s became %s", encoded, twice)
		}
	})
}
