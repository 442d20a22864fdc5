package validator

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"lakehouse/sdk/go/sessionlog"
)

const (
	schemaFindingsMax     = 1_000     // of one answer
	schemaFindingBytesMax = 256 << 10 // what they may take together
	schemaStepsMax        = 1_000_000 // subschemas applied to one answer
	gotBytesMax           = 256       // of one finding
	falseSchema           = `{}`      // what "not" expects where a schema is false
)

// errTooMuch ends a walk that would tell more than anybody reads, or take longer than anybody waits.
var errTooMuch = errors.New("too many findings, or too many steps to find them")

// findings says where a value does not hold, in the contract's order; none if it holds.
func (s *Schema) findings(v *value) ([]sessionlog.Finding, error) {
	w := &walk{schema: s, steps: schemaStepsMax, told: make(map[string]bool)}
	_, err := w.apply(s.root, v, "", w.tell)
	if errors.Is(err, errTooMuch) {
		return []sessionlog.Finding{tooLarge()}, nil
	}
	return ordered(w.found), err
}

// accepts says whether a value holds.
func (s *Schema) accepts(v *value) (bool, error) {
	w := &walk{schema: s, steps: schemaStepsMax}
	holds, _, err := w.holds(s.root, v)
	if errors.Is(err, errTooMuch) {
		return false, nil
	}
	return holds, err
}

func tooLarge() sessionlog.Finding {
	return sessionlog.Finding{
		Code:    sessionlog.FindingTooLarge,
		Message: "The answer has too many values that do not hold for a schema of this size.",
	}
}

// walk applies schemas to values and tells where they do not hold.
type walk struct {
	schema *Schema
	steps  int
	found  []located
	told   map[string]bool
	bytes  int
	unions map[*jsonschema.Schema]*union // by their first branches
	asked  int                           // applications under way whose answer is only yes or no
}

// failure is a keyword that does not hold: where, on what, and what it expects.
type failure struct {
	path     string
	got      string // raw
	keyword  string
	expected string // the keyword's value, raw, or what stands in its place
	name     string // of an extra member
}

// expectation writes what a finding expects.
func (f failure) expectation() string {
	return `{"` + f.keyword + `":` + f.expected + `}`
}

// message says it for people.
func (f failure) message() string {
	switch {
	case f.name != "":
		return fmt.Sprintf("The member %q is not allowed here.", f.name)
	case f.keyword == "required" || f.keyword == "dependentRequired":
		return "The member " + f.expected + " is missing."
	case f.keyword == "not" && f.expected == falseSchema:
		return "Nothing is allowed here."
	case len(f.expected) <= gotBytesMax:
		return f.keyword + " must hold: " + f.expected + "."
	default:
		return f.keyword + " must hold."
	}
}

// teller hears of failures. quiet is one for when only yes or no matters.
type teller func(failure) error

// errFailed ends an application whose answer is known: no.
var errFailed = errors.New("does not hold")

func quiet(failure) error { return errFailed }

// evaluated are the members and items that some schema has looked at.
type evaluated struct {
	members map[string]bool
	items   map[int]bool
}

func (e *evaluated) addMember(name string) {
	if e.members == nil {
		e.members = make(map[string]bool)
	}
	e.members[name] = true
}

func (e *evaluated) addItem(index int) {
	if e.items == nil {
		e.items = make(map[int]bool)
	}
	e.items[index] = true
}

func (e *evaluated) add(other evaluated) {
	for name := range other.members {
		e.addMember(name)
	}
	for index := range other.items {
		e.addItem(index)
	}
}

func (w *walk) tell(f failure) error {
	expected := f.expectation()
	key := f.path + "\x00" + expected + "\x00" + f.name
	if w.told[key] {
		return nil
	}
	w.told[key] = true
	finding := sessionlog.Finding{
		Code:    sessionlog.FindingSchema,
		Path:    f.path,
		Message: f.message(),
	}
	var err error
	if finding.Expected, err = sessionlog.ParseRawJSON(expected); err != nil {
		return err
	}
	if len(f.got) <= gotBytesMax {
		if finding.Got, err = sessionlog.ParseRawJSON(f.got); err != nil {
			return err
		}
	}
	w.found = append(w.found, located{finding, expected, f.name})
	w.bytes += len(f.path) + len(expected) + min(len(f.got), gotBytesMax)
	if len(w.found) > schemaFindingsMax || w.bytes > schemaFindingBytesMax {
		return errTooMuch
	}
	return nil
}

// holds says whether a value holds under a subschema, telling nobody.
func (w *walk) holds(sub *jsonschema.Schema, v *value) (bool, evaluated, error) {
	w.asked++
	seen, err := w.apply(sub, v, "", quiet)
	w.asked--
	if errors.Is(err, errFailed) {
		return false, evaluated{}, nil
	}
	return err == nil, seen, err
}

// apply applies one schema to one value, and gives what it has looked at. The error is the teller's,
// or errTooMuch.
func (w *walk) apply(sub *jsonschema.Schema, v *value, path string, tell teller) (evaluated, error) {
	if w.steps--; w.steps < 0 {
		return evaluated{}, errTooMuch
	}
	node := w.schema.nodes[sub]
	if node.raw == "false" {
		return evaluated{}, tell(failure{path: path, got: v.raw, keyword: "not", expected: falseSchema})
	}
	a := application{walk: w, sub: sub, node: node, value: v, path: path, tell: tell}
	for _, check := range []func() error{
		a.checkAny, a.checkNumber, a.checkString, a.checkArray, a.checkObject, a.checkReferences,
		a.checkBranches, a.checkUnevaluated,
	} {
		if err := check(); err != nil {
			return a.seen, err
		}
	}
	return a.seen, nil
}

// application is one schema on one value.
type application struct {
	*walk
	sub   *jsonschema.Schema
	node  *value // the schema as it is written
	value *value
	path  string
	tell  teller
	seen  evaluated
}

// expect tells of a keyword if it does not hold.
func (a *application) expect(holds bool, keyword string) error {
	if holds {
		return nil
	}
	return a.fail(keyword, a.schema.resolved(keyword, a.node.member(keyword)), a.value.raw)
}

func (a *application) fail(keyword, expected, got string) error {
	return a.tell(failure{path: a.path, got: got, keyword: keyword, expected: expected})
}

// enter applies a subschema to the same value, and counts what it has looked at.
func (a *application) enter(sub *jsonschema.Schema) error {
	seen, err := a.apply(sub, a.value, a.path, a.tell)
	a.seen.add(seen)
	return err
}

// has gives a keyword's value if the schema has it.
func (a *application) has(keyword string) (*value, bool) {
	found := a.node.member(keyword)
	return found, found != nil
}

// --- Keywords of any value ------------------------------------------------------------------------

func (a *application) checkAny() error {
	if types, ok := a.has("type"); ok {
		if err := a.expect(isOfType(a.value, types), "type"); err != nil {
			return err
		}
	}
	if constant, ok := a.has("const"); ok {
		if err := a.expect(a.value.equal(constant), "const"); err != nil {
			return err
		}
	}
	if list, ok := a.has("enum"); ok {
		return a.expect(slices.ContainsFunc(list.items, a.value.equal), "enum")
	}
	return nil
}

func isOfType(v *value, types *value) bool {
	if types.kind == kindArray {
		return slices.ContainsFunc(types.items, func(one *value) bool { return isOfType(v, one) })
	}
	switch types.text {
	case "null":
		return v.kind == kindNull
	case "boolean":
		return v.kind == kindBoolean
	case "number":
		return v.kind == kindNumber
	case "integer":
		return v.kind == kindNumber && v.number.isInteger()
	case "string":
		return v.kind == kindString
	case "array":
		return v.kind == kindArray
	default:
		return v.kind == kindObject
	}
}

// --- Keywords of numbers and strings --------------------------------------------------------------

func (a *application) checkNumber() error {
	if a.value.kind != kindNumber {
		return nil
	}
	number := a.value.number
	for _, bound := range []struct {
		keyword string
		holds   func(limit decimal) bool
	}{
		{"minimum", func(limit decimal) bool { return number.compare(limit) >= 0 }},
		{"maximum", func(limit decimal) bool { return number.compare(limit) <= 0 }},
		{"exclusiveMinimum", func(limit decimal) bool { return number.compare(limit) > 0 }},
		{"exclusiveMaximum", func(limit decimal) bool { return number.compare(limit) < 0 }},
		{"multipleOf", number.isMultipleOf},
	} {
		if limit, ok := a.has(bound.keyword); ok {
			if err := a.expect(bound.holds(limit.number), bound.keyword); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *application) checkString() error {
	if a.value.kind != kindString {
		return nil
	}
	length := utf8.RuneCountInString(a.value.text)
	if err := a.checkSize(length, "minLength", "maxLength"); err != nil {
		return err
	}
	if a.sub.Pattern == nil {
		return nil
	}
	return a.expect(a.sub.Pattern.MatchString(a.value.text), "pattern")
}

// checkSize holds a count against a lower and an upper bound.
func (a *application) checkSize(size int, lower, upper string) error {
	if limit, ok := a.has(lower); ok {
		if err := a.expect(countOf(size).compare(limit.number) >= 0, lower); err != nil {
			return err
		}
	}
	if limit, ok := a.has(upper); ok {
		return a.expect(countOf(size).compare(limit.number) <= 0, upper)
	}
	return nil
}

func countOf(size int) decimal {
	return decimalOf(fmt.Sprint(size))
}
