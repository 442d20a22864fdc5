package validator

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// The answers are the contract's (section 1, Extraction), written by hand: what stands in the place
// of the artifact, or the code.
func TestExtraction(t *testing.T) {
	for _, c := range []struct{ output, found string }{
		// The whole text, scalars too.
		{"42", "42"}, {` "x" `, `"x"`}, {"null", "null"}, {"{}", "{}"}, {" [1.10]\n", "[1.10]"},
		{`"<think>"`, `"<think>"`},
		// Nothing at all.
		{"", "empty"}, {" \n\t", "empty"}, {"<think>hm</think>\n", "empty"},
		// Fenced blocks come before prose, whatever their info string.
		{"```json\n{\"a\":1}\n```", `{"a":1}`},
		{"~~~ js title=x\n[1]\n~~~", "[1]"},
		{"````\n{\"a\":1}\n````", `{"a":1}`},
		{"```\n42\n```", "42"},
		{"  ```\n  {\"a\":1}\n  ```", `{"a":1}`},
		{"```json\r\n{\"a\":1}\r\n```\r\n", `{"a":1}`},
		{"{\"a\":1}\n```\n{\"b\":2}\n```", `{"b":2} {"a":1}`},
		{"```\n{\"a\":1}\n```\n```\n{\"b\":2}\n```", `{"a":1} {"b":2}`},
		{"```json\n{\"a\":1}", `{"a":1}`},
		{"```{\"a\":1}```", `{"a":1}`},
		// The content of a block is one candidate, as a whole.
		{"```\n{\"a\":1}\n{\"b\":2}\n```", "invalid_json"},
		{"```\nx = {1}\n```\n", "no_json"},
		// Where that is no JSON, the blocks within it count.
		{"```\n~~~\n{\"a\":1}\n~~~\n```", `{"a":1}`},
		{"````\n```\n{\"a\":1}\n```\n````", `{"a":1}`},
		{"```\nprose\n```json\n{\"a\":1}\n```\n```", `{"a":1}`},
		// Fences that CommonMark does not know.
		{"```json\n{\"a\":1}```", `{"a":1}`}, {"~~~{\"a\":1}~~~ x", `{"a":1}`},
		{"```json {\"a\":1}\n```", `{"a":1}`}, {"x\n```\n42\n```<|return|>", "42"},
		{"```{r}\n[1]\n```", "[1]"}, {"```\n\"a``` b\"```", "\"a``` b\""},
		{"```\nx = {1}\n```", "no_json"},
		// Balanced regions in prose, strings aside.
		{`Sure: {"a":"}"} and [1,2].`, `{"a":"}"} [1,2]`},
		{`{"a":"\"}"} x`, `{"a":"\"}"}`},
		{"\ufeff{\"a\":1}", `{"a":1}`},
		// A region that does not parse is skipped, never looked into.
		{`{x {"a":1}}`, "invalid_json"}, {"{placeholder}", "invalid_json"},
		{`{a} {"a":1}`, `{"a":1}`}, {`[1, see [2]]`, "invalid_json"},
		// A [ that does not begin a JSON array is prose.
		{"see [above] and [[below]]", "no_json"}, {"[truex]", "no_json"}, {"[true1]", "no_json"}, {"[nullé]", "no_json"}, {"[-]", "no_json"},
		{`[see {"a":1}]`, `{"a":1}`}, {"[see [1]]", "[1]"}, {"f[] [ ]", "[] []"},
		{"[ true, x]", "invalid_json"}, {`["a" b]`, "invalid_json"},
		// What does not parse.
		{`{"a":1,"a":2}`, "invalid_json"}, {`{"a":NaN}`, "invalid_json"}, {`{"a":-Infinity}`, "invalid_json"},
		{`{"a":"\ud800"}`, "invalid_json"}, {`{"a":1,}`, "invalid_json"}, {`{"a":1]`, "invalid_json"},
		{"NaN", "no_json"}, {"Oslo.", "no_json"},
		{strings.Repeat("[", 65) + strings.Repeat("]", 65), "invalid_json"},
		{`{"a":` + strings.Repeat("9", 4300) + "}", `{"a":` + strings.Repeat("9", 4300) + "}"},
		{`{"a":` + strings.Repeat("9", 4301) + "}", "invalid_json"},
		{`{"a":1e400}`, `{"a":1e400}`}, {`{"a":1e10000000000000000000}`, "invalid_json"},
		// The text ended in the middle, and holds no whole candidate.
		{`{"a":1`, "truncated"}, {`{"a":"}`, "truncated"}, {`[1,`, "truncated"}, {"x [", "invalid_json"},
		{`{"a"`, "truncated"}, {`{"a":tru`, "truncated"}, {`{"a":`, "truncated"}, {`["a","b`, "truncated"},
		{`{"a":"b"`, "invalid_json"}, {`["a","b"`, "invalid_json"}, {`{"a":true`, "invalid_json"},
		{"{\n\n{\n\"city\":\"Oslo\",\"n\":3\n}", "invalid_json"}, {`{"a":1 `, "invalid_json"},
		{"```json\n{\"a\":1", "truncated"}, {`{"a":[1}`, "invalid_json"}, {"<think>hm", "truncated"},
		{`{"a":1} {"b":`, `{"a":1}`}, {"{\"a\":1} <think>hm", `{"a":1}`},
		{"```\n{\"a\":1\n```\nDone.", "invalid_json"}, {"{ hm\n```\nhm\n```\nDone.", "invalid_json"},
		// Thinking is set aside.
		{"<think>{\"a\":1}</think>{\"a\":2}", `{"a":2}`},
		{"<thinking>{</thinking>42", "42"}, {"<reasoning>[</reasoning> [1]", "[1]"},
		{"{\"a\":1}</think>{\"a\":2}", `{"a":2}`}, {"hm</think>42", "42"},
		{"<think>a<think>b</think>c</think>{\"a\":1}", `{"a":1}`},
		{"<think>a</thinking>{\"a\":1}", "truncated"}, {"<Think>{}</tHINK> {\"a\":1}", `{"a":1}`},
		{`{"a":1 <think>x</think>`, "invalid_json"}, {`{"a": <think>x</think>`, "truncated"},
		{"<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>{\"a\":1}", `{"a":1}`},
		{"[THINK]{}[/THINK][1]", "[1]"}, {"◁think▷{}◁/think▷42", "42"}, {"{}assistantfinal[1]", "[1]"},
		{"Here is my thought process: {} Here is my response: [1]", "[1]"}, {"Here is my response: [1]", "[1]"},
		{"<|start|>user<|message|>{}", "truncated"}, {"<|channel|>commentary<|message|>{}<|call|>", "empty"},
		{"{ open <think>hm</think> {\"a\":1}", `{"a":1}`},
		{"hm { the </think> {\"a\":1} }", `{"a":1}`},
		{"<think>a</think>{\"a\":1} b</think>", `{"a":1}`}, {"see [\n```\nhm\n```\n", "no_json"},
		// Not inside of JSON.
		{`x {"a":"<think>"} y`, `{"a":"<think>"}`}, {`x {"a":"</think>"} y`, `{"a":"</think>"}`},
		{`{"a":"<think>x</think>",}`, "invalid_json"}, {`{"a":<think>x</think>1}`, "invalid_json"},
	} {
		if got := told(extract(c.output)); got != c.found {
			t.Errorf("%.80q: %.80s, not %.80s", c.output, got, c.found)
		}
	}
}

func told(found extraction) string {
	if len(found.classes) == 0 {
		return string(found.code)
	}
	var all []string
	for _, candidate := range slices.Concat(found.classes...) {
		all = append(all, candidate.raw)
	}
	return strings.Join(all, " ")
}

func TestAnAnswerHasAtMost1MiB(t *testing.T) {
	fits := `"` + strings.Repeat("x", outputBytesMax-2) + `"`
	if got := extract(fits); len(got.classes) != 1 {
		t.Error(got.code)
	}
	if got := extract(fits + " "); got.code != "too_large" {
		t.Error(got.code)
	}
}

func TestHostileTextsCostLittle(t *testing.T) {
	for _, part := range []string{"{", "[", "[[[1", "{</think>", "<think>", "```\n", "{\"", "[\"a", "{}", "\\", "<", "[ \n", "<|start|>", "<|end|>", "{<|channel|>final<|message|>", "```\n<think>\n```\n", "~~~{\n"} {
		for _, text := range []string{
			strings.Repeat(part, outputBytesMax/len(part)), strings.Repeat(part, outputBytesMax/len(part)-1) + "x",
		} {
			since := time.Now()
			extract(text)
			if took := time.Since(since); took > 10*time.Second {
				t.Errorf("%q took %v", part, took)
			}
		}
	}
}
