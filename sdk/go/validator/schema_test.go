package validator

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// findingsOf tells each finding as its path, got and expected.
func findingsOf(t *testing.T, schema, artifact string) string {
	t.Helper()
	compiled, err := Compile(schema)
	if err != nil {
		t.Fatalf("%s: %v", schema, err)
	}
	v, err := parse(artifact)
	if err != nil {
		t.Fatalf("%s: %v", artifact, err)
	}
	findings, err := compiled.findings(v)
	if err != nil {
		t.Fatalf("%s: %s: %v", schema, artifact, err)
	}
	var told []string
	for _, finding := range findings {
		told = append(told, fmt.Sprintf("%s %s %s", finding.Path, finding.Got, finding.Expected))
	}
	return strings.Join(told, " | ")
}

// The answers are the contract's (section 1, and "Findings" of spec/v1), written by hand.
func TestSchemaFindings(t *testing.T) {
	long := strings.Repeat("k", 300)
	for _, c := range [][3]string{
		// One for each keyword, also where the library would stop at the first.
		{`{"type":"integer","minimum":5,"enum":[7]}`, `1.5`, ` 1.5 {"enum":[7]} |  1.5 {"minimum":5} |  1.5 {"type":"integer"}`},
		{`{"type":"integer"}`, `35.0`, ``},
		{`{"type":"integer"}`, `1e400`, ``},
		{`{"type":"integer"}`, `12345678901234567890.5`, ` 12345678901234567890.5 {"type":"integer"}`},
		{`{"const":1.0}`, `1`, ``},
		{`{"enum":[{"a":1,"b":[2.0]}]}`, `{"b":[2],"a":1}`, ``},
		{`{ "enum" : [ 1.10 , "\u00e9" ] }`, `2`, ` 2 {"enum":[1.10,"\u00e9"]}`},
		// Numbers by value, exactly.
		{`{"exclusiveMinimum":0}`, `1e-400`, ``},
		{`{"maximum":0.1}`, `0.10000000000000000001`, ` 0.10000000000000000001 {"maximum":0.1}`},
		{`{"multipleOf":0.1}`, `0.3`, ``},
		{`{"multipleOf":3}`, `1e400`, ` 1e400 {"multipleOf":3}`},
		{`{"minimum":1e1000000000}`, `1e999999999`, ` 1e999999999 {"minimum":1e1000000000}`},
		{`{"minLength":1e400}`, `"a"`, ` "a" {"minLength":1e400}`},
		// Lengths in code points; RE2 patterns; formats are not asserted.
		{`{"maxLength":1}`, `"😀"`, ``}, {`{"maxLength":1}`, `"e\u0301"`, ` "e\u0301" {"maxLength":1}`},
		{`{"pattern":"^\\d$"}`, `"١"`, ` "١" {"pattern":"^\\d$"}`}, {`{"pattern":"a$"}`, `"a\n"`, ` "a\n" {"pattern":"a$"}`},
		{`{"format":"email"}`, `"x"`, ``},
		// One for each name.
		{`{"required":["a","b"]}`, `{}`, ` {} {"required":"a"} |  {} {"required":"b"}`},
		{`{"dependentRequired":{"a":["b","c"],"d":["b"]}}`, `{"a":1,"d":1}`,
			` {"a":1,"d":1} {"dependentRequired":"b"} |  {"a":1,"d":1} {"dependentRequired":"c"}`},
		{`{"additionalProperties":false}`, `{"z":1,"\u00e9":2,"a":3}`,
			` "a" {"additionalProperties":false} |  "z" {"additionalProperties":false} |  "\u00e9" {"additionalProperties":false}`},
		{`{"properties":{"a":{"type":"string"}},"unevaluatedProperties":false}`, `{"a":1,"b":1}`,
			` "b" {"unevaluatedProperties":false} | /a 1 {"type":"string"}`},
		{`{"unevaluatedProperties":{"type":"string"}}`, `{"a":1}`, ` "a" {"unevaluatedProperties":{"type":"string"}}`},
		{`{"additionalProperties":{"type":"string"}}`, `{"a":1}`, `/a 1 {"type":"string"}`},
		// Branches are not entered.
		{`{"anyOf":[{"type":"integer"},{"minimum":5}]}`, `1.5`, ` 1.5 {"anyOf":[{"type":"integer"},{"minimum":5}]}`},
		{`{"oneOf":[true,{}]}`, `1`, ` 1 {"oneOf":[true,{}]}`}, {`{"not":{"type":"integer"}}`, `1`, ` 1 {"not":{"type":"integer"}}`},
		{`{"if":{"type":"integer"},"then":{"minimum":5}}`, `1`, ` 1 {"if":{"type":"integer"}}`},
		{`{"if":{"type":"string"},"else":false}`, `1`, ` 1 {"if":{"type":"string"}}`},
		{`{"propertyNames":{"maxLength":1}}`, `{"ab":1,"cd":2}`, ` {"ab":1,"cd":2} {"propertyNames":{"maxLength":1}}`},
		{`{"contains":{"type":"string"}}`, `[1]`, ` [1] {"contains":{"type":"string"}}`},
		{`{"contains":true,"maxContains":1}`, `[1,2]`, ` [1,2] {"maxContains":1}`},
		// allOf, references and dependent schemas are.
		{`{"allOf":[{"minimum":5},{"minimum":7},{"minimum":5}]}`, `1`, ` 1 {"minimum":5} |  1 {"minimum":7}`},
		{`{"$ref":"#/definitions/a","definitions":{"a":{"properties":{"b":{"type":"string"}}}}}`, `{"b":1}`, `/b 1 {"type":"string"}`},
		{`{"dependentSchemas":{"a":{"required":["b"]}}}`, `{"a":1}`, ` {"a":1} {"required":"b"}`},
		{`{"$dynamicAnchor":"n","properties":{"c":{"items":{"$dynamicRef":"#n"}},"v":{"type":"string"}}}`, `{"c":[{"v":1}]}`, `/c/0/v 1 {"type":"string"}`},
		// Places, and what is left out.
		{`{"properties":{"a/b":{"items":{"properties":{"~":false}}}}}`, `{"a/b":[0,{"~":1}]}`, `/a~1b/1/~0 1 {"not":{}}`},
		{`{"prefixItems":[true],"items":false}`, `[1,2]`, `/1 2 {"not":{}}`}, {`{"unevaluatedItems":false}`, `[1]`, ` [1] {"unevaluatedItems":false}`},
		{`false`, `1`, ` 1 {"not":{}}`},
		{`{"required":["a"]}`, `{"b":"` + long + `"}`, ` null {"required":"a"}`},
		{`{"uniqueItems":true}`, `[1,{"a":1},{"a":1.0}]`, ` [1,{"a":1},{"a":1.0}] {"uniqueItems":true}`},
		{`{"uniqueItems":true}`, `[1,true,"1",[1]]`, ``},
		// By path bytes, then keyword, then name.
		{`{"properties":{"é":false,"a":{"type":"null","const":2},"Z":false}}`, `{"é":1,"a":1,"Z":1}`,
			`/Z 1 {"not":{}} | /a 1 {"const":2} | /a 1 {"type":"null"} | /é 1 {"not":{}}`},
		// Not of 2020-12.
		{`{"dependencies":{"a":["b"]},"additionalItems":false,"$recursiveRef":"#"}`, `{"a":1}`, ``},
	} {
		if got := findingsOf(t, c[0], c[1]); got != c[2] {
			t.Errorf("%s on %s:\ngot  %s\nwant %s", c[0], c[1], got, c[2])
		}
	}
}

func TestSchemasThatAreRefused(t *testing.T) {
	for schema, says := range map[string]string{
		`{"type":"nope"}`: "/type", `{"minLength":-1}`: "/minLength", `{"$defs":{"a":{"type":1}}}`: "/type",
		`[]`: "", `{`: "byte 1", `{"type":"string","type":"string"}`: "duplicate",
		`{"$ref":"http://example.com/x"}`: "out of the document", `{"$ref":"other.json"}`: "out of the document",
		`{"$ref":"file:///etc/hostname"}`:                                        "out of the document",
		`{"$ref":"https://json-schema.org/draft/2020-12/schema"}`:                "out of the document",
		`{"$defs":{"a":{"$ref":"http://example.com/x"}}}`:                        "out of the document",
		`{"$schema":"http://json-schema.org/draft-07/schema#"}`:                  "$schema",
		`{"$schema":"http://example.com/x"}`:                                     "$schema",
		`{"$ref":"#/nope"}`:                                                      "nope",
		`{"$ref":"#"}`:                                                           "back to themselves",
		`{"$ref":"#/$defs/a","$defs":{"a":{"anyOf":[{"$ref":"#/$defs/a"},{}]}}}`: "back to themselves",
		`{"pattern":"(?=a)"}`:                                                    "invalid or unsupported Perl syntax",
		`{"pattern":"(a)\\1"}`:                                                   "invalid escape",
		`{"pattern":"\\p{Letter}"}`:                                              "RE2 has no class",
		`{"patternProperties":{"(":true}}`:                                       "missing closing",
		`{"$defs":{"a":{"pattern":"["}}}`:                                        "missing closing",
		`{"enum":["` + strings.Repeat("x", schemaBytesMax) + `"]}`:               "over 65536 bytes",
		strings.Repeat(`{"not":`, 65) + "true" + strings.Repeat("}", 65):         "deeper",
		`{"$anchor":"a","$defs":{"b":{"$anchor":"a"}}}`:                          "",
	} {
		_, err := Compile(schema)
		var found *SchemaError
		if !errors.As(err, &found) || !strings.Contains(err.Error(), says) {
			t.Errorf("%.80s: %v; it should say %s", schema, err, says)
		}
	}
	for _, schema := range []string{
		`{"const":{"$ref":"http://example.com/x","pattern":"("}}`, `{"properties":{"$ref":{"type":"string"}}}`,
		`{"properties":{"next":{"$ref":"#"}}}`, `{"pattern":"\\Q\\p{Letter}\\E\\p{L}\\pN\\p{Greek}\\\\p{x}"}`,
		`{"$id":"https://example.com/a","$ref":"b","$defs":{"b":{"$id":"b"}}}`,
		`{"$schema":"https://json-schema.org/draft/2020-12/schema"}`,
	} {
		if _, err := Compile(schema); err != nil {
			t.Errorf("%s: %v", schema, err)
		}
	}
}

func TestHostileSchemasCostLittle(t *testing.T) {
	everywhere := `{"items":{"anyOf":[{"$ref":"#"},{"$ref":"#"},{"$ref":"#"}]}}`
	names := make([]string, 6_000)
	members := make([]string, 60_000)
	for i := range members {
		members[i] = fmt.Sprintf(`"m%d":1`, i)
	}
	for i := range names {
		names[i] = fmt.Sprintf(`"n%d"`, i)
	}
	many := `{"required":[` + strings.Join(names, ",") + `]}`
	for _, c := range [][2]string{
		{everywhere, strings.Repeat("[", 60) + strings.Repeat("]", 60)},
		{`{"anyOf":[{"items":{"$ref":"#"}},{"items":{"$ref":"#"}}],"not":{"const":7}}`, strings.Repeat("[", 60) + "7" + strings.Repeat("]", 60)},
		{many, "{" + strings.Join(members, ",") + "}"},
		{`{"items":{"type":"string"}}`, "[" + strings.Repeat("1,", 200_000) + "1]"},
		{`{"uniqueItems":true}`, "[" + strings.Repeat("[1],", 100_000) + "2]"},
		{`{"pattern":"(a*)*b"}`, `"` + strings.Repeat("a", 200_000) + `"`},
	} {
		since := time.Now()
		findingsOf(t, c[0], c[1])
		if took := time.Since(since); took > 10*time.Second {
			t.Errorf("%.60s took %v", c[0], took)
		}
	}
}

// The walk must find something exactly where the library says no.
func TestTheWalkAgreesWithTheLibrary(t *testing.T) {
	made := generator{rand.New(rand.NewPCG(20, 12))}
	holding := 0
	for range 4_000 {
		text := made.root()
		schema, err := Compile(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		for range 3 {
			v, err := parse(made.value(0))
			if err != nil {
				t.Fatal(err)
			}
			holds := schema.root.Validate(plain(v, nil)) == nil
			findings, err := schema.findings(v)
			if err != nil || holds != (len(findings) == 0) {
				t.Errorf("%s on %s: the library says %v, the walk %v, %v", text, v.raw, holds, findings, err)
			}
			if holds {
				holding++
			}
		}
	}
	if holding < 1_000 || holding > 11_000 {
		t.Errorf("%d of 12000 hold: this tells little", holding)
	}
}

// generator makes random schemas, and values that they may hold for.
type generator struct{ *rand.Rand }

var memberNames = []string{"a", "b", "é", "c/d"}

func (g generator) one(texts ...string) string {
	return texts[g.IntN(len(texts))]
}

func (g generator) value(depth int) string {
	switch kind := g.IntN(4); {
	case depth > 2 || kind < 2:
		return g.one("1", "0", "-3", "2.50", "1e2", `"a"`, `"ab"`, `"éé"`, "true", "null", `"😀"`, "7", `"\u0061b"`)
	case kind == 2:
		return "{" + g.members(func() string { return g.value(depth + 1) }) + "}"
	default:
		return g.list(0, func() string { return g.value(depth + 1) })
	}
}

func (g generator) members(value func() string) string {
	var parts []string
	for _, name := range memberNames {
		if g.IntN(2) == 0 {
			parts = append(parts, fmt.Sprintf(`"%s":%s`, name, value()))
		}
	}
	return strings.Join(parts, ",")
}

func (g generator) list(least int, value func() string) string {
	parts := make([]string, least+g.IntN(3))
	for i := range parts {
		parts[i] = value()
	}
	return "[" + strings.Join(parts, ",") + "]"
}

func (g generator) root() string {
	return strings.TrimSuffix(g.object(0), "}") + `,"$defs":{"x":{"properties":{"a":{"type":"integer"}},` +
		`"required":["b"]},"y":{"type":["object","array"],"items":{"minimum":2},"properties":{"b":true}}}}`
}

func (g generator) schema(depth int) string {
	if depth > 3 || g.IntN(12) == 0 {
		return g.one("true", "false", "{}")
	}
	return g.object(depth)
}

func (g generator) object(depth int) string {
	sub := func() string { return g.schema(depth + 1) }
	named := func() string { return "{" + g.members(sub) + "}" }
	subs := func() string { return g.list(1, sub) }
	word := func(texts ...string) func() string { return func() string { return g.one(texts...) } }
	keywords := []struct {
		name  string
		value func() string
	}{
		{"type", word(`"integer"`, `"number"`, `"string"`, `"object"`, `"array"`, `"null"`, `["string","null"]`)},
		{"enum", func() string { return g.list(1, func() string { return g.value(2) }) }},
		{"const", func() string { return g.value(1) }},
		{"minimum", word("1", "2.5")}, {"maximum", word("1", "5.0")}, {"exclusiveMaximum", word("7")},
		{"multipleOf", word("2", "0.5")}, {"minLength", word("2")}, {"maxLength", word("1")},
		{"pattern", word(`"^a"`, `"b$"`, `"é"`)}, {"minItems", word("2")}, {"maxItems", word("1")},
		{"uniqueItems", word("true")}, {"items", sub}, {"prefixItems", subs}, {"contains", sub},
		{"minContains", word("0", "1", "2")}, {"maxContains", word("1")}, {"properties", named},
		{"required", word(`["a"]`, `["b","é"]`)}, {"additionalProperties", sub},
		{"patternProperties", func() string { return `{"^[ab]$":` + sub() + "}" }}, {"propertyNames", sub},
		{"dependentRequired", word(`{"a":["b"],"b":["é"]}`)}, {"dependentSchemas", named},
		{"minProperties", word("2")}, {"maxProperties", word("1")}, {"allOf", subs}, {"anyOf", subs},
		{"oneOf", subs}, {"not", sub}, {"if", sub}, {"then", sub}, {"else", sub},
		{"unevaluatedProperties", sub}, {"unevaluatedItems", sub},
		{"$ref", word(`"#/$defs/x"`, `"#/$defs/y"`)},
	}
	var parts []string
	for _, index := range g.Perm(len(keywords))[:1+g.IntN(3)] {
		parts = append(parts, fmt.Sprintf(`"%s":%s`, keywords[index].name, keywords[index].value()))
	}
	return "{" + strings.Join(parts, ",") + "}"
}
