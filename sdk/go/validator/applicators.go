package validator

import (
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// --- Keywords of arrays ---------------------------------------------------------------------------

func (a *application) checkArray() error {
	if a.value.kind != kindArray {
		return nil
	}
	if err := a.checkSize(len(a.value.items), "minItems", "maxItems"); err != nil {
		return err
	}
	if unique, ok := a.has("uniqueItems"); ok && unique.raw == "true" {
		if err := a.expect(areUnique(a.value.items), "uniqueItems"); err != nil {
			return err
		}
	}
	for index, item := range a.value.items {
		sub := a.sub.Items2020
		if index < len(a.sub.PrefixItems) {
			sub = a.sub.PrefixItems[index]
		}
		if sub == nil {
			break
		}
		a.seen.addItem(index)
		if _, err := a.apply(sub, item, belowIndex(a.path, index), a.tell); err != nil {
			return err
		}
	}
	return a.checkContains()
}

func areUnique(items []*value) bool {
	// By a text that is the same for equal values, so that a long list costs no square.
	seen := make(map[string]bool, len(items))
	for _, item := range items {
		key := item.key()
		if seen[key] {
			return false
		}
		seen[key] = true
	}
	return true
}

func (a *application) checkContains() error {
	if a.sub.Contains == nil {
		return nil
	}
	count := 0
	for index, item := range a.value.items {
		holds, _, err := a.holds(a.sub.Contains, item)
		if err != nil {
			return err
		}
		if holds {
			count++
			a.seen.addItem(index)
		}
	}
	if _, ok := a.has("minContains"); !ok && count == 0 {
		if err := a.expect(false, "contains"); err != nil {
			return err
		}
	}
	return a.checkSize(count, "minContains", "maxContains")
}

// --- Keywords of objects --------------------------------------------------------------------------

func (a *application) checkObject() error {
	if a.value.kind != kindObject {
		return nil
	}
	if err := a.checkSize(len(a.value.members), "minProperties", "maxProperties"); err != nil {
		return err
	}
	if err := a.checkRequired(); err != nil {
		return err
	}
	for _, member := range a.value.members {
		if err := a.checkMember(member); err != nil {
			return err
		}
	}
	return a.checkNames()
}

func (a *application) checkRequired() error {
	if required, ok := a.has("required"); ok {
		if err := a.requireAll("required", required); err != nil {
			return err
		}
	}
	if dependent, ok := a.has("dependentRequired"); ok {
		for _, member := range dependent.members {
			if a.value.member(member.name) == nil {
				continue
			}
			if err := a.requireAll("dependentRequired", member.value); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *application) requireAll(keyword string, names *value) error {
	for _, name := range names.items {
		if a.value.member(name.text) != nil {
			continue
		}
		if err := a.fail(keyword, name.raw, a.value.raw); err != nil {
			return err
		}
	}
	return nil
}

func (a *application) checkMember(member member) error {
	path := below(a.path, member.name)
	subs := a.subschemasOf(member.name)
	if len(subs) > 0 {
		a.seen.addMember(member.name)
	}
	for _, sub := range subs {
		if _, err := a.apply(sub, member.value, path, a.tell); err != nil {
			return err
		}
	}
	if len(subs) > 0 || a.sub.AdditionalProperties == nil {
		return nil
	}
	a.seen.addMember(member.name)
	switch additional := a.sub.AdditionalProperties.(type) {
	case bool:
		if !additional {
			return a.extra("additionalProperties", member)
		}
	case *jsonschema.Schema:
		_, err := a.apply(additional, member.value, path, a.tell)
		return err
	}
	return nil
}

// subschemasOf gives what properties and patternProperties say of a member.
func (a *application) subschemasOf(name string) []*jsonschema.Schema {
	var subs []*jsonschema.Schema
	if sub, ok := a.sub.Properties[name]; ok {
		subs = append(subs, sub)
	}
	for pattern, sub := range a.sub.PatternProperties {
		if pattern.MatchString(name) {
			subs = append(subs, sub)
		}
	}
	return subs
}

// extra tells of a member that should not be there.
func (a *application) extra(keyword string, member member) error {
	return a.tell(failure{
		path:     a.path,
		got:      member.token,
		keyword:  keyword,
		expected: a.schema.resolved(keyword, a.node.member(keyword)),
		name:     member.name,
	})
}

func (a *application) checkNames() error {
	if a.sub.PropertyNames != nil {
		for _, member := range a.value.members {
			name := &value{kind: kindString, raw: member.token, text: member.name}
			holds, _, err := a.holds(a.sub.PropertyNames, name)
			if err != nil {
				return err
			}
			if !holds {
				if err := a.expect(false, "propertyNames"); err != nil {
					return err
				}
				break
			}
		}
	}
	for name, sub := range a.sub.DependentSchemas {
		if a.value.member(name) == nil {
			continue
		}
		if err := a.enter(sub); err != nil {
			return err
		}
	}
	return nil
}

// --- References and branches ----------------------------------------------------------------------

func (a *application) checkReferences() error {
	if a.sub.Ref != nil {
		if err := a.enter(a.sub.Ref); err != nil {
			return err
		}
	}
	if a.sub.DynamicRef != nil {
		return a.enter(a.sub.DynamicRef.Ref)
	}
	return nil
}

func (a *application) checkBranches() error {
	for _, sub := range a.sub.AllOf {
		if err := a.enter(sub); err != nil {
			return err
		}
	}
	for _, choice := range []struct {
		keyword string
		subs    []*jsonschema.Schema
		isRight func(count int) bool
	}{
		{"anyOf", a.sub.AnyOf, func(count int) bool { return count > 0 }},
		{"oneOf", a.sub.OneOf, func(count int) bool { return count == 1 }},
	} {
		if len(choice.subs) == 0 {
			continue
		}
		count, err := a.countHolding(choice.subs)
		if err != nil {
			return err
		}
		if count == 0 {
			err = a.noneOf(choice.keyword, choice.subs)
		} else {
			err = a.expect(choice.isRight(count), choice.keyword)
		}
		if err != nil {
			return err
		}
	}
	if a.sub.Not != nil {
		holds, _, err := a.holds(a.sub.Not, a.value)
		if err != nil {
			return err
		}
		if err := a.expect(!holds, "not"); err != nil {
			return err
		}
	}
	return a.checkCondition()
}

func (a *application) countHolding(subs []*jsonschema.Schema) (int, error) {
	count := 0
	for _, sub := range subs {
		holds, seen, err := a.holds(sub, a.value)
		if err != nil {
			return 0, err
		}
		if holds {
			count++
			a.seen.add(seen)
		}
	}
	return count, nil
}

func (a *application) checkCondition() error {
	if a.sub.If == nil {
		return nil
	}
	holds, seen, err := a.holds(a.sub.If, a.value)
	if err != nil {
		return err
	}
	branch := a.sub.Else
	if holds {
		a.seen.add(seen)
		branch = a.sub.Then
	}
	if branch == nil {
		return nil
	}
	holds, seen, err = a.holds(branch, a.value)
	if err != nil {
		return err
	}
	if !holds && a.asked == 0 && a.value.kind == kindObject && a.testsConstants(a.sub.If) {
		return a.enter(branch)
	}
	a.seen.add(seen)
	return a.expect(holds, "if")
}

// --- What nothing else has looked at --------------------------------------------------------------

func (a *application) checkUnevaluated() error {
	if sub := a.sub.UnevaluatedProperties; sub != nil && a.value.kind == kindObject {
		for _, member := range a.value.members {
			if a.seen.members[member.name] {
				continue
			}
			a.seen.addMember(member.name)
			holds, _, err := a.holds(sub, member.value)
			if err != nil {
				return err
			}
			if !holds {
				if err := a.extra("unevaluatedProperties", member); err != nil {
					return err
				}
			}
		}
	}
	if sub := a.sub.UnevaluatedItems; sub != nil && a.value.kind == kindArray {
		all := true
		for index, item := range a.value.items {
			if a.seen.items[index] {
				continue
			}
			a.seen.addItem(index)
			holds, _, err := a.holds(sub, item)
			if err != nil {
				return err
			}
			all = all && holds
		}
		return a.expect(all, "unevaluatedItems")
	}
	return nil
}
