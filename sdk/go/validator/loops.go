package validator

import (
	"maps"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// loops says whether applying some schema to a value would apply it to the same value again, and so
// never end.
func (s *Schema) loops() bool {
	done := make(map[*jsonschema.Schema]bool) // false while it is being looked at
	var visit func(sub *jsonschema.Schema) bool
	visit = func(sub *jsonschema.Schema) bool {
		if ended, seen := done[sub]; seen {
			return !ended
		}
		done[sub] = false
		loops := slices.ContainsFunc(s.inPlace(sub), visit)
		done[sub] = true
		return loops
	}
	return slices.ContainsFunc(slices.Collect(maps.Keys(s.nodes)), visit)
}

// inPlace lists the schemas that a schema applies to its own value.
func (s *Schema) inPlace(sub *jsonschema.Schema) []*jsonschema.Schema {
	found := slices.Concat(sub.AllOf, sub.AnyOf, sub.OneOf)
	found = append(found, sub.Ref, sub.Not, sub.If, sub.Then, sub.Else)
	found = slices.AppendSeq(found, maps.Values(sub.DependentSchemas))
	if sub.DynamicRef != nil {
		found = append(found, sub.DynamicRef.Ref)
	}
	return slices.DeleteFunc(found, func(sub *jsonschema.Schema) bool { return sub == nil })
}
