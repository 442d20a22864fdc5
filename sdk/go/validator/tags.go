package validator

import (
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Keywords that say nothing, and those that a subschema may hold that is nothing but a constant, or
// nothing but a comparison with constants.
var (
	silentKeywords    = []string{"title", "description", "default", "examples", "$comment"}
	onwardKeywords    = []string{"$ref", "$dynamicRef", "allOf"}
	constantKeywords  = slices.Concat([]string{"const", "enum", "type"}, silentKeywords, onwardKeywords)
	conditionKeywords = slices.Concat([]string{"properties", "required", "type"}, silentKeywords, onwardKeywords)
)

// tag is a member that a branch requires and bounds by constants.
type tag struct {
	required string // its name, as it stands in required
	values   []*value
	keys     map[string]bool // of the values
}

func tagOf(required string, values []*value) tag {
	t := tag{required: required, keys: make(map[string]bool)}
	for _, one := range values {
		if key := one.key(); !t.keys[key] {
			t.keys[key] = true
			t.values = append(t.values, one)
		}
	}
	return t
}

// union is the branches of an anyOf or oneOf that an object may hold, each with its tags, and the tags
// that all of them have, in the order of their names.
type union struct {
	branches []*jsonschema.Schema
	tags     []map[string]tag
	names    []string
	common   map[string]tag
}

// decision is what the tags of a value say: the branch to go into, or what is wrong with them.
type decision struct {
	branch  *jsonschema.Schema
	missing []string
	wrong   []string
	union   *union
}

// decide tells which branch is meant by a value that holds none of them.
func (w *walk) decide(subs []*jsonschema.Schema, v *value) decision {
	if v.kind != kindObject {
		return decision{}
	}
	u := w.unionOf(subs)
	found := decision{union: u}
	var there []string
	for _, name := range u.names {
		if v.member(name) != nil {
			there = append(there, name)
		}
	}
	matching := 0
	for i, branch := range u.branches {
		if slices.ContainsFunc(there, func(name string) bool { return !u.tags[i][name].keys[v.member(name).key()] }) {
			continue
		}
		matching++
		found.branch = branch
	}
	if matching == 1 && len(u.names) > 0 {
		return found
	}
	found.branch = nil
	for _, name := range u.names {
		switch member := v.member(name); {
		case matching > 0 && member == nil:
			found.missing = append(found.missing, name)
		case matching == 0 && member != nil && !u.common[name].keys[member.key()]:
			found.wrong = append(found.wrong, name)
		}
	}
	return found
}

// unionOf finds the tags of a union, once for each walk.
func (w *walk) unionOf(subs []*jsonschema.Schema) *union {
	if len(subs) == 0 {
		return &union{}
	}
	if known := w.unions[subs[0]]; known != nil {
		return known
	}
	u := &union{common: make(map[string]tag)}
	for _, sub := range subs {
		if w.takesObjects(sub) {
			u.branches = append(u.branches, sub)
			u.tags = append(u.tags, w.tagsOf(sub))
		}
	}
	if len(u.tags) > 0 {
		for name, first := range u.tags[0] {
			var values []*value
			everywhere := true
			for _, own := range u.tags {
				one, ok := own[name]
				everywhere = everywhere && ok
				values = append(values, one.values...)
			}
			if everywhere {
				u.names = append(u.names, name)
				u.common[name] = tagOf(first.required, values)
			}
		}
		slices.Sort(u.names)
	}
	if w.unions == nil {
		w.unions = make(map[*jsonschema.Schema]*union)
	}
	w.unions[subs[0]] = u
	return u
}

// tagsOf finds the members that a branch requires and bounds by constants.
func (w *walk) tagsOf(branch *jsonschema.Schema) map[string]tag {
	required := make(map[string]string)
	constants := make(map[string][]*value)
	tags := make(map[string]tag)
	for _, part := range w.parts(branch) {
		node := w.schema.nodes[part]
		if list := node.member("required"); list != nil {
			for _, name := range list.items {
				if _, ok := required[name.text]; !ok {
					required[name.text] = name.raw
				}
			}
		}
		for name, sub := range part.Properties {
			if _, ok := constants[name]; !ok {
				if found := w.constants(sub); len(found) > 0 {
					constants[name] = found
				}
			}
		}
		for _, subs := range [][]*jsonschema.Schema{part.AnyOf, part.OneOf} {
			for name, one := range w.unionOf(subs).common {
				if _, ok := tags[name]; !ok {
					tags[name] = one
				}
			}
		}
	}
	for name, values := range constants {
		if token, ok := required[name]; ok {
			tags[name] = tagOf(token, values)
		}
	}
	return tags
}

// constants gives the values that a member may have; none where others may be, too.
func (w *walk) constants(sub *jsonschema.Schema) []*value {
	for _, part := range w.parts(sub) {
		node := w.schema.nodes[part]
		if constant := node.member("const"); constant != nil {
			return []*value{constant}
		}
		if list := node.member("enum"); list != nil {
			return list.items
		}
		for _, subs := range [][]*jsonschema.Schema{part.AnyOf, part.OneOf} {
			var values []*value
			all := len(subs) > 0
			for _, one := range subs {
				found := w.constants(one)
				all = all && len(found) > 0
				values = append(values, found...)
			}
			if all {
				return values
			}
		}
	}
	return nil
}

// parts lists the subschemas that a value holds if it holds one, that one first.
func (w *walk) parts(sub *jsonschema.Schema) []*jsonschema.Schema {
	found := []*jsonschema.Schema{sub}
	if sub.Ref != nil {
		found = append(found, w.parts(sub.Ref)...)
	}
	if sub.DynamicRef != nil {
		found = append(found, w.parts(sub.DynamicRef.Ref)...)
	}
	for _, one := range sub.AllOf {
		found = append(found, w.parts(one)...)
	}
	return found
}

// takesObjects says whether an object may hold a branch, by its types and constants.
func (w *walk) takesObjects(branch *jsonschema.Schema) bool {
	for _, part := range w.parts(branch) {
		node := w.schema.nodes[part]
		if node.raw == "false" {
			return false
		}
		if types := node.member("type"); types != nil && !isOfType(&value{kind: kindObject}, types) {
			return false
		}
		if constant := node.member("const"); constant != nil && constant.kind != kindObject {
			return false
		}
		if list := node.member("enum"); list != nil &&
			!slices.ContainsFunc(list.items, func(one *value) bool { return one.kind == kindObject }) {
			return false
		}
		for _, subs := range [][]*jsonschema.Schema{part.AnyOf, part.OneOf} {
			if len(subs) > 0 && !slices.ContainsFunc(subs, w.takesObjects) {
				return false
			}
		}
	}
	return true
}

// testsConstants says whether a condition does nothing but compare members with constants.
func (w *walk) testsConstants(condition *jsonschema.Schema) bool {
	compared := false
	for _, part := range w.parts(condition) {
		if !w.holdsOnly(part, conditionKeywords) {
			return false
		}
		for _, sub := range part.Properties {
			isConstant := func(one *jsonschema.Schema) bool { return w.holdsOnly(one, constantKeywords) }
			if len(w.constants(sub)) == 0 || slices.ContainsFunc(w.parts(sub), func(one *jsonschema.Schema) bool { return !isConstant(one) }) {
				return false
			}
			compared = true
		}
	}
	return compared
}

func (w *walk) holdsOnly(sub *jsonschema.Schema, keywords []string) bool {
	node := w.schema.nodes[sub]
	return node.kind == kindObject &&
		!slices.ContainsFunc(node.members, func(one member) bool { return !slices.Contains(keywords, one.name) })
}

// noneOf goes into the branch that the tags of the value decide for, or tells what is wrong.
func (a *application) noneOf(keyword string, subs []*jsonschema.Schema) error {
	if a.asked > 0 {
		return errFailed
	}
	found := a.decide(subs, a.value)
	if found.branch != nil {
		return a.enter(found.branch)
	}
	if len(found.missing)+len(found.wrong) == 0 {
		return a.expect(false, keyword)
	}
	for _, name := range found.missing {
		if err := a.fail("required", found.union.common[name].required, a.value.raw); err != nil {
			return err
		}
	}
	for _, name := range found.wrong {
		var values []string
		for _, one := range found.union.common[name].values {
			values = append(values, one.raw)
		}
		err := a.tell(failure{
			path:     below(a.path, name),
			got:      a.value.member(name).raw,
			keyword:  "enum",
			expected: "[" + strings.Join(values, ",") + "]",
		})
		if err != nil {
			return err
		}
	}
	return nil
}
