package validator

import (
	"fmt"
	"slices"
	"strconv"
)

const tablesBytesMax = 64 << 10 // all inline tables of one body

// A RequestError is a body of POST /v1/validate that is refused before anything is judged.
type RequestError struct {
	// Code is invalid_request or unknown_kind; a schema that cannot be used is a [*SchemaError].
	Code string
	// Reason names the member and what is wrong with it.
	Reason string
}

func (e *RequestError) Error() string {
	return e.Code + ": " + e.Reason
}

func invalid(format string, arguments ...any) error {
	return &RequestError{"invalid_request", fmt.Sprintf(format, arguments...)}
}

// A Request is a body of POST /v1/validate: an answer, and what it is judged by.
type Request struct {
	Validator *Validator
	Output    string
	Source    string
}

// DecodeRequest reads a self-contained body, strictly: schema, grounding and tables inline. The
// error is a [*RequestError] or a [*SchemaError].
func DecodeRequest(body []byte) (*Request, error) {
	document, err := parse(string(body))
	if err != nil {
		return nil, invalid("%v", err)
	}
	members, err := membersOf(document, "the body", "output", "kind", "schema", "source", "grounding", "tables")
	if err != nil {
		return nil, err
	}
	output := members["output"]
	if output == nil || output.kind != kindString {
		return nil, invalid("`output` must be a string")
	}
	source := ""
	if given := members["source"]; given != nil {
		if given.kind != kindString {
			return nil, invalid("`source` must be a string")
		}
		source = given.text
	}
	schema, err := requestedSchema(members["kind"], members["schema"])
	if err != nil {
		return nil, err
	}
	tables, err := requestedTables(members["tables"])
	if err != nil {
		return nil, err
	}
	rules, err := requestedRules(members["grounding"])
	if err != nil {
		return nil, err
	}
	judge, err := New(schema, rules, tables)
	if err != nil {
		return nil, err
	}
	return &Request{judge, output.text, source}, nil
}

// Reply judges the answer.
func (r *Request) Reply() (*Reply, error) {
	return r.Validator.Judge(r.Output, r.Source)
}

// membersOf takes an object apart; null is the same as absent.
func membersOf(v *value, name string, allowed ...string) (map[string]*value, error) {
	if v.kind != kindObject {
		return nil, invalid("%s must be an object", name)
	}
	found := make(map[string]*value)
	for _, member := range v.members {
		if !slices.Contains(allowed, member.name) {
			return nil, invalid("%s has the unknown member %q; allowed are %q", name, member.name, allowed)
		}
		if member.value.kind != kindNull {
			found[member.name] = member.value
		}
	}
	return found, nil
}

func requestedSchema(kind, schema *value) (*Schema, error) {
	if (kind == nil) == (schema == nil) {
		return nil, invalid("exactly one of `kind` and `schema` is needed")
	}
	if kind != nil {
		if kind.kind != kindString {
			return nil, invalid("`kind` must be a string")
		}
		reason := fmt.Sprintf("%q: kinds are configured, and there is no configuration here", kind.text)
		return nil, &RequestError{"unknown_kind", reason}
	}
	if schema.kind != kindObject && schema.kind != kindBoolean {
		return nil, invalid("`schema` must be an object or a boolean")
	}
	return compile(schema)
}

func requestedTables(given *value) (map[string]*Table, error) {
	if given == nil {
		return nil, nil
	}
	if given.kind != kindObject {
		return nil, invalid("`tables` must be an object")
	}
	if len(given.raw) > tablesBytesMax {
		return nil, invalid("`tables` has %d bytes; at most %d are allowed", len(given.raw), tablesBytesMax)
	}
	tables := make(map[string]*Table)
	for _, member := range given.members {
		table, ok := inlineTable(member.value)
		if !ok {
			return nil, invalid("table %q must be a list of objects", member.name)
		}
		tables[member.name] = table
	}
	return tables, nil
}

func requestedRules(given *value) ([]Rule, error) {
	if given == nil {
		return nil, nil
	}
	if given.kind != kindArray {
		return nil, invalid("`grounding` must be a list")
	}
	rules := make([]Rule, len(given.items))
	for i, item := range given.items {
		rule, err := requestedRule(item, fmt.Sprintf("grounding[%d]", i))
		if err != nil {
			return nil, err
		}
		rules[i] = rule
	}
	return rules, nil
}

func requestedRule(item *value, name string) (Rule, error) {
	rule := Rule{}
	members, err := membersOf(item, name, "path", "column", "match", "tolerance", "with")
	if err != nil {
		return rule, err
	}
	match := ""
	for member, place := range map[string]*string{
		"path": &rule.Path, "column": &rule.Column, "match": &match,
	} {
		given := members[member]
		if given == nil {
			continue
		}
		if given.kind != kindString {
			return rule, invalid("`%s` of %s must be a string", member, name)
		}
		*place = given.text
	}
	rule.Match = Match(match)
	if members["path"] == nil {
		return rule, invalid("%s lacks `path`", name)
	}
	if given := members["tolerance"]; given != nil {
		if given.kind != kindNumber {
			return rule, invalid("`tolerance` of %s must be a number", name)
		}
		// Out of a double's range it is infinite, which the rule refuses.
		rule.Tolerance, _ = strconv.ParseFloat(given.raw, 64)
	}
	if (members["tolerance"] != nil) != (rule.Match == MatchWithin) {
		return rule, invalid("%s: `tolerance` belongs to a match of within", name)
	}
	if given := members["with"]; given != nil {
		rule.With, err = requestedWith(given, name)
	}
	return rule, err
}

func requestedWith(given *value, name string) (map[string]string, error) {
	if given.kind != kindObject {
		return nil, invalid("`with` of %s must be an object", name)
	}
	with := make(map[string]string)
	for _, member := range given.members {
		if member.value.kind != kindString {
			return nil, invalid("`with` of %s: %q must be a string", name, member.name)
		}
		with[member.name] = member.value.text
	}
	return with, nil
}
