package sessionlog_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lakehouse/sdk/go/sessionlog"
)

// The contract's own vectors and fixtures.
const spec = "../../../spec/v1"

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func TestTraceIDsOfTheVectors(t *testing.T) {
	var vectors struct {
		Cases []struct {
			SessionID string `json:"session_id"`
			TraceID   string `json:"trace_id"`
			Why       string
		}
	}
	readJSON(t, spec+"/vectors/trace_id.json", &vectors)
	if len(vectors.Cases) < 20 {
		t.Fatalf("only %d cases", len(vectors.Cases))
	}
	for _, c := range vectors.Cases {
		if got := sessionlog.TraceIDOf(c.SessionID); got != c.TraceID {
			t.Errorf("%s: %s", c.Why, got)
		}
	}
}

func TestTraceParentsOfTheVectors(t *testing.T) {
	var vectors struct {
		Cases []struct {
			Fields []string
			Parent *struct {
				TraceID string `json:"trace_id"`
				SpanID  string `json:"span_id"`
				Flags   uint8
			}
			Why string
		}
	}
	readJSON(t, spec+"/vectors/traceparent.json", &vectors)
	if len(vectors.Cases) < 30 {
		t.Fatalf("only %d cases", len(vectors.Cases))
	}
	for _, c := range vectors.Cases {
		parent, ok := sessionlog.ParseTraceParent(c.Fields)
		if ok != (c.Parent != nil) {
			t.Errorf("%s: %v, %v", c.Why, parent, ok)
			continue
		}
		if !ok {
			continue
		}
		if parent != (sessionlog.TraceParent{TraceID: c.Parent.TraceID, SpanID: c.Parent.SpanID, Flags: c.Parent.Flags}) {
			t.Errorf("%s: %v", c.Why, parent)
		}
		if again, ok := sessionlog.ParseTraceParent([]string{parent.Header()}); !ok || again != parent {
			t.Errorf("%s: its header is %s", c.Why, parent.Header())
		}
	}
}

func TestSessionIDsOfTheVectors(t *testing.T) {
	var vectors struct {
		Cases []struct {
			TraceIDFields     []string `json:"trace_id_fields"`
			TraceparentFields []string `json:"traceparent_fields"`
			MintedByTracing   string   `json:"minted_by_tracing"`
			Expected          struct {
				SessionID       *string `json:"session_id"`
				TraceID         *string `json:"trace_id"`
				TraceIDReplaced bool    `json:"trace_id_replaced"`
				ParentSpanID    string  `json:"parent_span_id"`
				Link            *string
			}
			Why string
		}
	}
	readJSON(t, spec+"/vectors/session_id.json", &vectors)
	if len(vectors.Cases) < 15 {
		t.Fatalf("only %d cases", len(vectors.Cases))
	}
	for _, c := range vectors.Cases {
		ids := sessionlog.CallIDsOf(c.TraceIDFields, c.TraceparentFields, c.MintedByTracing)
		expected := c.Expected
		switch {
		case expected.SessionID == nil:
			if len(ids.SessionID) != 32 || ids.TraceID != ids.SessionID {
				t.Errorf("%s: minted %+v", c.Why, ids)
			}
		case ids.SessionID != *expected.SessionID || ids.TraceID != *expected.TraceID:
			t.Errorf("%s: %+v", c.Why, ids)
		}
		if ids.TraceIDReplaced != expected.TraceIDReplaced || ids.ParentSpanID != expected.ParentSpanID {
			t.Errorf("%s: %+v", c.Why, ids)
		}
		if (ids.Link == nil) != (expected.Link == nil) || ids.Link != nil && ids.Link.TraceID != *expected.Link {
			t.Errorf("%s: link %v", c.Why, ids.Link)
		}
	}
}

type fixture struct {
	path     string
	Input    *string
	Expected *string
	Outcome  string
}

func fixtures(t *testing.T) (found []fixture) {
	t.Helper()
	paths, err := filepath.Glob(spec + "/parity/session_log/*/*.json")
	if err != nil || len(paths) < 4 {
		t.Fatalf("%d fixtures, %v", len(paths), err)
	}
	for _, path := range paths {
		one := fixture{path: path}
		readJSON(t, path, &one)
		found = append(found, one)
	}
	return found
}

func TestParityFixtures(t *testing.T) {
	rows := 0
	for _, one := range fixtures(t) {
		if one.Input == nil {
			continue // its bytes are not UTF-8 and come as base64; the gate runs those
		}
		row, err := sessionlog.DecodeSessionRow([]byte(*one.Input))
		if one.Outcome == "errored" {
			if err == nil {
				t.Errorf("%s was taken", one.path)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", one.path, err)
			continue
		}
		if line, err := row.Encode(); err != nil || string(line) != *one.Expected {
			t.Errorf("%s:\ngot  %s\nwant %s\n%v", one.path, line, *one.Expected, err)
		}
		rows++
	}
	if rows < 4 {
		t.Errorf("only %d rows were compared", rows)
	}
}

func TestMembersThatTheSchemaRequiresAreRequired(t *testing.T) {
	var schema struct{ Required []string }
	readJSON(t, spec+"/row.schema.json", &schema)
	if len(schema.Required) < 32 {
		t.Fatalf("only %d members", len(schema.Required))
	}
	for _, one := range fixtures(t) {
		if one.Expected == nil {
			continue
		}
		whole := (*one.Expected)[:strings.LastIndex(*one.Expected, `,"crc":"`)]
		for _, name := range schema.Required {
			if name == "crc" {
				continue
			}
			line := strings.Replace(whole, `"`+name+`":`, `"x_gone":`, 1) + "}"
			said := name + ": missing"
			if name == "schema" {
				said = "`schema` is not"
			}
			if _, err := sessionlog.DecodeSessionRow([]byte(line)); err == nil || !strings.Contains(err.Error(), said) {
				t.Errorf("%s of %s: %v", name, one.path, err)
			}
		}
	}
}
