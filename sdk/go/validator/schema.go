package validator

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	schemaBytesMax = 64 << 10
	schemaURL      = "lakehouse:///schema" // of a schema that came without a place of its own
	dialectURL     = "https://json-schema.org/draft/2020-12/schema"
)

// A SchemaError is a schema that cannot be used: not JSON Schema 2020-12, a reference out of the
// document, a pattern that is not RE2.
type SchemaError struct{ Reason string }

func (e *SchemaError) Error() string {
	return "invalid_schema: " + e.Reason
}

// A Schema is a compiled JSON Schema 2020-12. It is safe for concurrent use.
//
// jsonschema/v6 reads it: holds it against its metaschema, resolves its references, compiles its
// patterns. A walk of our own applies it, because findings are one for each keyword where the library
// stops at the first of type, const and enum, and because the library has no bound: a schema of 70
// bytes and 60 brackets keep it busy for longer than anybody waits.
type Schema struct {
	document *value // with its own bytes, for what findings expect
	root     *jsonschema.Schema
	nodes    map[*jsonschema.Schema]*value
	subs     map[*value]*jsonschema.Schema
	// resources are the places of the nearest $id above each schema; dynamic are the schemas with
	// a $dynamicAnchor, by resource and anchor.
	resources map[*jsonschema.Schema]string
	dynamic   map[string]map[string]*jsonschema.Schema
}

// Compile reads a schema. The error is a [*SchemaError].
func Compile(text string) (*Schema, error) {
	document, err := parse(text)
	if err != nil {
		return nil, &SchemaError{err.Error()}
	}
	return compile(document)
}

func compile(document *value) (*Schema, error) {
	if len(document.raw) > schemaBytesMax {
		return nil, &SchemaError{fmt.Sprintf("over %d bytes", schemaBytesMax)}
	}
	places, err := subschemas(place{value: document})
	if err != nil {
		return nil, err
	}
	for _, place := range places {
		if place.value.member("x-lakehouse") != nil {
			// It would have to be checked: without that, a value that is in no table is accepted.
			return nil, &SchemaError{"x-lakehouse at " + place.pointer + ": send its rule in `grounding`"}
		}
		if place.value.member("x-lakehouse-rules") != nil {
			return nil, &SchemaError{"x-lakehouse-rules at " + place.pointer + ": SQL rules belong to kinds"}
		}
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.UseLoader(noLoader{}) // the default one reads files
	compiler.UseRegexpEngine(compilePattern)
	if err := compiler.AddResource(schemaURL, plain(document, keywordsOfOlderDrafts(places))); err != nil {
		return nil, &SchemaError{err.Error()}
	}
	s := &Schema{
		document:  document,
		nodes:     make(map[*jsonschema.Schema]*value),
		subs:      make(map[*value]*jsonschema.Schema),
		resources: make(map[*jsonschema.Schema]string),
		dynamic:   make(map[string]map[string]*jsonschema.Schema),
	}
	if err := s.compileAll(compiler, places); err != nil {
		return nil, err
	}
	if s.loops() {
		return nil, &SchemaError{"references that lead back to themselves"}
	}
	return s, nil
}

// keywordsOfOlderDrafts finds what the library obeys, and JSON Schema 2020-12 does not know.
func keywordsOfOlderDrafts(places []place) map[*value]bool {
	found := make(map[*value]bool)
	for _, place := range places {
		for _, keyword := range []string{"dependencies", "$recursiveRef", "$recursiveAnchor"} {
			if older := place.value.member(keyword); older != nil {
				found[older] = true
			}
		}
	}
	return found
}

// noLoader refuses to fetch: everything that a schema refers to stands in it.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, errors.New("a reference out of the document: " + url)
}

// compileAll compiles every subschema, also those that nothing refers to: what is wrong with one
// makes the schema invalid wherever it stands.
func (s *Schema) compileAll(compiler *jsonschema.Compiler, places []place) error {
	for i := 0; i < len(places); i++ {
		place := places[i]
		compiled, err := compiler.Compile(schemaURL + "#" + encodeFragment(place.pointer))
		if err != nil {
			return &SchemaError{reasonOf(err)}
		}
		if place.pointer == "" {
			s.root = compiled
		}
		s.nodes[compiled] = place.value
		s.subs[place.value] = compiled
		s.resources[compiled] = place.resource
		if anchor := place.value.member("$dynamicAnchor"); anchor != nil {
			if s.dynamic[place.resource] == nil {
				s.dynamic[place.resource] = make(map[string]*jsonschema.Schema)
			}
			s.dynamic[place.resource][anchor.text] = compiled
		}
	}
	// Only now is it known which targets stand where subschemas usually do not.
	for _, place := range places {
		compiled := compiler.MustCompile(schemaURL + "#" + encodeFragment(place.pointer))
		if err := s.checkTargets(compiler, compiled); err != nil {
			return err
		}
	}
	return nil
}

func reasonOf(err error) string {
	if invalid := new(jsonschema.SchemaValidationError); errors.As(err, &invalid) {
		err = invalid.Err
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}

// checkTargets refuses references to what the library knows by itself, such as metaschemas, and
// takes in targets that stand in no place where subschemas usually do, such as definitions.
func (s *Schema) checkTargets(compiler *jsonschema.Compiler, compiled *jsonschema.Schema) error {
	targets := []*jsonschema.Schema{compiled.Ref}
	if reference := compiled.DynamicRef; reference != nil {
		targets = append(targets, reference.Ref)
		if reference.Anchor != "" && reference.Ref.DynamicAnchor == reference.Anchor && s.anchored(reference.Anchor) > 1 {
			return &SchemaError{"a $dynamicRef to an anchor that stands more than once: " + reference.Anchor}
		}
	}
	for _, target := range targets {
		if target == nil || s.nodes[target] != nil {
			continue
		}
		pointer, inside := strings.CutPrefix(target.Location, schemaURL+"#")
		if !inside {
			return &SchemaError{"a reference out of the document: " + target.Location}
		}
		if decoded, err := url.PathUnescape(pointer); err == nil {
			pointer = decoded
		}
		parts, _ := pointerParts(pointer)
		node := s.document.at(parts)
		if node == nil {
			return &SchemaError{"a reference to nothing: " + target.Location}
		}
		places, err := subschemas(place{pointer, s.resources[compiled], node})
		if err != nil {
			return err
		}
		if err := s.compileAll(compiler, places); err != nil {
			return err
		}
	}
	return nil
}

// anchored counts the resources with a $dynamicAnchor.
func (s *Schema) anchored(anchor string) int {
	count := 0
	for _, anchors := range s.dynamic {
		if _, ok := anchors[anchor]; ok {
			count++
		}
	}
	return count
}

// place is a subschema, its place in the document, and the nearest $id above it.
type place struct {
	pointer  string
	resource string
	value    *value
}

// Keywords by what they hold: one schema, a list, or a map of them.
var (
	holdsSchema = []string{
		"not", "if", "then", "else", "items", "contains", "additionalProperties", "propertyNames",
		"unevaluatedItems", "unevaluatedProperties", "contentSchema",
	}
	holdsSchemas = []string{"allOf", "anyOf", "oneOf", "prefixItems"}
	holdsNamed   = []string{"$defs", "properties", "patternProperties", "dependentSchemas"}
)

// subschemas lists every subschema of a schema, the schema first.
func subschemas(schema place) ([]place, error) {
	found := []place{schema}
	for i := 0; i < len(found); i++ {
		at := found[i]
		if dialect := at.value.member("$schema"); dialect != nil && !isDialect(dialect.text) {
			return nil, &SchemaError{"$schema is " + dialect.raw + ", not " + dialectURL}
		}
		if id := at.value.member("$id"); id != nil {
			at.resource = at.pointer
		}
		add := func(pointer string, inner *value) {
			found = append(found, place{pointer, at.resource, inner})
		}
		for _, keyword := range holdsSchema {
			if inner := at.value.member(keyword); inner != nil {
				add(below(at.pointer, keyword), inner)
			}
		}
		for _, keyword := range holdsSchemas {
			if list := at.value.member(keyword); list != nil {
				for index, inner := range list.items {
					add(belowIndex(below(at.pointer, keyword), index), inner)
				}
			}
		}
		for _, keyword := range holdsNamed {
			if named := at.value.member(keyword); named != nil {
				for _, member := range named.members {
					add(below(below(at.pointer, keyword), member.name), member.value)
				}
			}
		}
		found[i].resource = at.resource
	}
	return found, nil
}

func isDialect(text string) bool {
	return strings.TrimSuffix(text, "#") == dialectURL
}

func encodeFragment(pointer string) string {
	parts := strings.Split(pointer, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/")
}

// plain gives a value as encoding/json would, its numbers as they are written. One that the library
// would write out in full is replaced by one of its kind that it can bear: the walk knows the value.
func plain(v *value, without map[*value]bool) any {
	switch v.kind {
	case kindObject:
		object := make(map[string]any, len(v.members))
		for _, member := range v.members {
			if !without[member.value] {
				object[member.name] = plain(member.value, without)
			}
		}
		return object
	case kindArray:
		array := make([]any, len(v.items))
		for i, item := range v.items {
			array[i] = plain(item, without)
		}
		return array
	case kindString:
		return v.text
	case kindNumber:
		return json.Number(bearable(v))
	case kindBoolean:
		return v.raw == "true"
	default:
		return nil
	}
}

func bearable(v *value) string {
	if !v.number.isHuge() {
		return v.raw
	}
	sign := ""
	if v.number.negative {
		sign = "-"
	}
	if v.number.exponent > 0 {
		return fmt.Sprintf("%s1e%d", sign, hugeExponent)
	}
	return fmt.Sprintf("%s1e-%d", sign, hugeExponent)
}
