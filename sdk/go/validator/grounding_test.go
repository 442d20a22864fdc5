package validator_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lakehouse/sdk/go/sessionlog"
	"lakehouse/sdk/go/validator"
)

const tables = `{"t":[{"s":"LIS","n":10,"c":"x"},{"s":"lis","n":10.0,"c":null},{"s":"Ünï","n":-5,"c":"y"},` +
	`{"s":"","n":1e400},{"s":"OPO","n":12,"c":"x"}],"none":[]}`

// groundingOf judges an artifact by rules alone.
func groundingOf(t *testing.T, rules, artifact string) string {
	t.Helper()
	output, _ := json.Marshal(artifact)
	body := fmt.Sprintf(`{"schema":true,"output":%s,"source":"the quick brown é fox","grounding":%s,"tables":%s}`, output, rules, tables)
	request, err := validator.DecodeRequest([]byte(body))
	if err != nil {
		t.Fatalf("%s: %v", rules, err)
	}
	reply, err := request.Reply()
	if err != nil {
		t.Fatal(err)
	}
	if reply.Grounded == nil {
		return "null"
	}
	told := []string{fmt.Sprint(*reply.Grounded)}
	for _, finding := range reply.Findings {
		near := ""
		for _, value := range finding.Nearest {
			if value.Number.IsNull() {
				near += fmt.Sprintf(" %q", value.Text)
			} else {
				near += " " + value.Number.String()
			}
		}
		told = append(told, fmt.Sprintf("%s %s%s", finding.Path, finding.Got, near))
	}
	return strings.Join(told, " | ")
}

// The answers are the contract's (section 8, and "Findings" of spec/v1), written by hand.
func TestGrounding(t *testing.T) {
	text := `[{"path":"/a","column":"t.s"}]`
	number := `[{"path":"/a","column":"t.n"}]`
	folded := `[{"path":"/a","column":"t.s","match":"casefold"}]`
	within := `[{"path":"/a","column":"t.n","match":"within","tolerance":1}]`
	quote := `[{"path":"/a","match":"quote"}]`
	with := `[{"path":"/a","column":"t.c","with":{"/b":"t.n","/d":"t.s"}}]`
	for _, c := range [][3]string{
		// By code points, without normalization; the nearest by edit distance, then by bytes.
		{text, `{"a":"LIS"}`, "true"}, {text, `{"a":"L\u0049S"}`, "true"}, {text, `{"a":"Lis"}`, `false | /a "Lis" "lis" "LIS" ""`},
		{text, `{"a":"U\u0308n\u00ef"}`, `false | /a "U\u0308n\u00ef" "Ünï" "" "LIS"`},
		// Never across types: then nothing is near.
		{text, `{"a":10}`, "false | /a 10"}, {text, `{"a":true}`, "false | /a true"}, {number, `{"a":"10"}`, `false | /a "10"`},
		// Absent, null and empty are not checked; elements are, one by one.
		{text, `{}`, "null"}, {text, `{"a":null}`, "null"}, {text, `{"a":[]}`, "null"}, {text, `{"a":[null]}`, "null"},
		{text, `{"a":["LIS",null,"x",["LIS"]]}`, `false | /a/2 "x" "" "LIS" "OPO" | /a/3 ["LIS"]`},
		// By value, exactly.
		{number, `{"a":1.00e1}`, "true"}, {number, `{"a":10e399}`, "true"}, {number, `{"a":3}`, "false | /a 3 10 -5 12"},
		{number, `{"a":10.000000000000000000001}`, "false | /a 10.000000000000000000001 10 12 -5"},
		{number, `{"a":11}`, "false | /a 11 10 12 -5"}, {number, `{"a":1e401}`, "false | /a 1e401 1e400 12 10"},
		// Simple case folding.
		{folded, `{"a":"Lis"}`, "true"}, {folded, `{"a":"ÜNÏ"}`, "true"}, {folded, `{"a":"LISX"}`, `false | /a "LISX" "LIS" "lis" ""`},
		// A distance, absolute.
		{within, `{"a":11}`, "true"}, {within, `{"a":9.00}`, "true"}, {within, `{"a":8.999}`, "false | /a 8.999 10 12 -5"},
		{within, `{"a":"10"}`, `false | /a "10"`}, {within, `{"a":11.0000000000000000001}`, "true"}, {within, `{"a":13.0000000000000000001}`, "false | /a 13.0000000000000000001 12 10 -5"},
		// A part of the source that is not empty.
		{quote, `{"a":"quick"}`, "true"}, {quote, `{"a":"brown \u00e9"}`, "true"}, {quote, `{"a":""}`, `false | /a ""`},
		{quote, `{"a":"Quick"}`, `false | /a "Quick"`}, {quote, `{"a":1}`, "false | /a 1"},
		// The same row: rows that the values before left.
		{with, `{"a":"x","b":12,"d":"OPO"}`, "true"}, {with, `{"a":"x","b":10,"d":"OPO"}`, `false | /d "OPO" "LIS"`},
		{with, `{"a":"x","b":99,"d":"OPX"}`, `false | /b 99 12 10 | /d "OPX" "OPO" "LIS"`}, {with, `{"a":"x"}`, "true"},
		{with, `{"a":"z","b":99}`, `false | /a "z" "x" "y"`}, {with, `{"a":["x","y"],"b":[12,-5]}`, "true"},
		{with, `{"a":["x","y"],"b":[12,12]}`, "false | /b/1 12 -5"},
		// Nothing to be near to.
		{`[{"path":"/a","column":"none.s"}]`, `{"a":"x"}`, `false | /a "x"`},
		{text, `{"a":"` + strings.Repeat("z", 255) + `"}`, "false | /a null"},
	} {
		if got := groundingOf(t, c[0], c[1]); got != c[2] {
			t.Errorf("%s on %s:\ngot  %s\nwant %s", c[0], c[1], got, c[2])
		}
	}
}

func TestBodiesThatAreRefused(t *testing.T) {
	for _, c := range [][2]string{
		{`[]`, "the body must be an object"}, {`{`, "byte 1"}, {`{"schema":true}`, "`output`"},
		{`{"schema":true,"output":null}`, "`output`"}, {`{"output":"1"}`, "exactly one of `kind` and `schema`"},
		{`{"schema":true,"kind":"k","output":"1"}`, "exactly one"}, {`{"kind":"k","output":"1"}`, "unknown_kind"},
		{`{"schema":1,"output":"1"}`, "`schema` must be"}, {`{"schema":true,"output":"1","extra":1}`, `unknown member "extra"`},
		{`{"schema":true,"schema":true,"output":"1"}`, "duplicate"}, {`{"schema":true,"output":"\ud800"}`, "lone surrogate"},
		{`{"schema":true,"output":"1","source":1}`, "`source`"}, {`{"schema":true,"output":"1","tables":[]}`, "`tables`"},
		{`{"schema":true,"output":"1","tables":{"t":[1]}}`, `table "t"`}, {`{"schema":true,"output":"1","grounding":{}}`, "`grounding`"},
		{`{"schema":{"type":1},"output":"1"}`, "invalid_schema"},
		{`{"schema":{"properties":{"a":{"x-lakehouse":{"column":"t.s"}}},"const":{"x-lakehouse":1}},"output":"{}"}`, "x-lakehouse at /properties/a:"},
		{`{"schema":{"properties":{"a":{"x-lakehouse-rules":[]}},"const":{"x-lakehouse-rules":1}},"output":"{}"}`, "x-lakehouse-rules at /properties/a:"},
		{`{"schema":true,"output":"1","tables":{"t":[{"s":"` + strings.Repeat("x", 65_530) + `"}]}}`, "at most 65536"},
	} {
		refuse(t, c[0], c[1])
	}
	for _, c := range [][2]string{
		{`{"column":"t.s"}`, "lacks `path`"}, {`{"path":"a","column":"t.s"}`, "no JSON Pointer"},
		{`{"path":"/a~2","column":"t.s"}`, "no JSON Pointer"}, {`{"path":"/a"}`, "not table.column"},
		{`{"path":"/a","column":"x.s"}`, "no table"}, {`{"path":"/a","column":"t.x"}`, "no column"},
		{`{"path":"/a","column":"t.s","match":"x"}`, `match is "x"`}, {`{"path":"/a","column":"t.s","extra":1}`, `"extra"`},
		{`{"path":"/a","column":"t.n","match":"within"}`, "tolerance"}, {`{"path":"/a","column":"t.n","tolerance":1}`, "tolerance"},
		{`{"path":"/a","column":"t.n","match":"within","tolerance":-1}`, "from 0 on"},
		{`{"path":"/a","column":"t.n","match":"within","tolerance":1e400}`, "from 0 on"},
		{`{"path":"/a","column":"t.s","match":"within","tolerance":1}`, "needs numbers"},
		{`{"path":"/a","match":"quote","column":"t.s"}`, "neither column nor with"},
		{`{"path":"/a","column":"t.s","with":{"/b":"u.n"}}`, "no table"}, {`{"path":"/a","column":"t.s","with":{"/b":1}}`, "`with`"},
		{`{"path":"/a","column":"t.m"}`, "neither only texts nor only numbers"},
	} {
		refuse(t, `{"schema":true,"output":"1","tables":{"t":[{"s":"x","n":1,"m":1},{"m":"x"}]},"grounding":[`+c[0]+`]}`, c[1])
	}
}

func refuse(t *testing.T, body, says string) {
	t.Helper()
	_, err := validator.DecodeRequest([]byte(body))
	var request *validator.RequestError
	var schema *validator.SchemaError
	if !errors.As(err, &request) && !errors.As(err, &schema) || !strings.Contains(err.Error(), says) {
		t.Errorf("%.200s: %v; it should say %s", body, err, says)
	}
}

func TestATableOfCSVHoldsTexts(t *testing.T) {
	table, err := validator.ReadCSV(strings.NewReader("iata,elevation\r\nLIS,114\r\n\"OPO\",\"69\"\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	schema, err := validator.Compile("true")
	if err != nil {
		t.Fatal(err)
	}
	rules := []validator.Rule{{Path: "/e", Column: "airports.elevation"}}
	judge, err := validator.New(schema, rules, map[string]*validator.Table{"airports": table})
	if err != nil {
		t.Fatal(err)
	}
	for output, accepted := range map[string]bool{`{"e":"114"}`: true, `{"e":114}`: false, `{"e":"115"}`: false} {
		if reply, err := judge.Judge(output, ""); err != nil || reply.Accepted != accepted {
			t.Errorf("%s: %+v, %v", output, reply, err)
		}
	}
	for _, text := range []string{"", "a,a\n1,2\n", "a,b\n1\n", "a\n\"x"} {
		if _, err := validator.ReadCSV(strings.NewReader(text)); err == nil {
			t.Errorf("%q was read", text)
		}
	}
	rules[0].Column = "airports.nope"
	if _, err := validator.New(schema, rules, map[string]*validator.Table{"airports": table}); err == nil {
		t.Error("a missing column was not noticed")
	}
}

func TestTheCandidateThatPassesIsJudgedElseTheLastIsReported(t *testing.T) {
	for output, expected := range map[string]string{
		`{"b":1} {"a":1} {"a":1.0}`: `{"verdict":"accepted","artifact":{"a":1},"grounded":null,"findings":[]}`,
		`{"b":1} {"a":1} {"a":2}`: `{"verdict":"rejected","artifact":null,"grounded":null,"findings":[{"code":"ambiguous","path":"",` +
			`"message":"The answer holds different values that pass the schema: give one answer."}]}`,
		`{"b":1} {"c":2}`: `{"verdict":"rejected","artifact":{"c":2},"grounded":null,"findings":[{"code":"schema",` +
			`"path":"","message":"The member \"a\" is missing.","got":{"c":2},"expected":{"required":"a"}}]}`,
		`none`: `{"verdict":"rejected","artifact":null,"grounded":null,"findings":[{"code":"no_json","path":"",` +
			`"message":"The answer holds no JSON."}]}`,
	} {
		schema, err := validator.Compile(`{"required":["a"]}`)
		if err != nil {
			t.Fatal(err)
		}
		judge, err := validator.New(schema, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		reply, err := judge.Judge(output, "")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := reply.Encode(); err != nil || string(got) != expected {
			t.Errorf("%s:\ngot  %s\nwant %s\n%v", output, got, expected, err)
		}
	}
}

func TestOneValidatorServesManyGoroutines(t *testing.T) {
	request, err := validator.DecodeRequest([]byte(`{"schema":{"properties":{"a":{"type":"string"}}},` +
		`"output":"{\"a\":\"y\"}","grounding":[{"path":"/a","column":"t.s"}],"tables":{"t":[{"s":"x"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	replies := make(chan string)
	for range 8 {
		go func() {
			reply, err := request.Reply()
			if err != nil {
				replies <- err.Error()
				return
			}
			encoded, _ := reply.Encode()
			replies <- string(encoded)
		}()
	}
	first := <-replies
	for range 7 {
		if other := <-replies; other != first || !strings.Contains(first, `"ungrounded"`) {
			t.Errorf("%s and %s", first, other)
		}
	}
}

// The written answers of the parity suite; their messages are empty.
func TestParityFixtures(t *testing.T) {
	paths, err := filepath.Glob("../../../spec/v1/parity/validator/*/*.json")
	if err != nil || len(paths) < 6 {
		t.Fatalf("%d fixtures, %v", len(paths), err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var fixture struct{ Input, Expected, Outcome string }
		if err := json.Unmarshal(data, &fixture); err != nil {
			t.Fatal(err)
		}
		request, err := validator.DecodeRequest([]byte(fixture.Input))
		if fixture.Outcome == "errored" {
			if err == nil {
				t.Errorf("%s was taken", path)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		reply, err := request.Reply()
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		for i := range reply.Findings {
			reply.Findings[i].Message = ""
		}
		if got, err := reply.Encode(); err != nil || string(got) != fixture.Expected {
			t.Errorf("%s:\ngot  %s\nwant %s\n%v", path, got, fixture.Expected, err)
		}
	}
}

func TestEvidenceKeepsItsBytes(t *testing.T) {
	body := `{"schema":true,"output":"{\"a\": \"\\u0041\\/\"}","grounding":[{"path":"/a","column":"t.s"}],"tables":{"t":[{"s":"\u0041b"}]}}`
	request, err := validator.DecodeRequest([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	reply, err := request.Reply()
	if err != nil {
		t.Fatal(err)
	}
	finding := reply.Findings[0]
	if finding.Got != sessionlog.MustParseRawJSON(`"\u0041\/"`) || finding.Nearest[0].Text != "Ab" {
		t.Errorf("%+v", finding)
	}
}
