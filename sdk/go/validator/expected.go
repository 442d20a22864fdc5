package validator

import (
	"errors"
	"slices"
	"strings"
)

const expectedBytesMax = 8 << 10 // of what a finding expects, with references replaced

var errTooLong = errors.New("longer than anybody reads")

// resolved writes the value of a keyword with references replaced by what they refer to: whoever is told
// cannot see the document. It is left as it stands where it would be too long.
func (s *Schema) resolved(keyword string, expected *value) string {
	if !strings.Contains(expected.raw, `"$ref"`) && !strings.Contains(expected.raw, `"$dynamicRef"`) {
		return expected.raw
	}
	w := &expectedWriter{schema: s}
	if err := w.keyword(keyword, expected, nil); err != nil {
		return expected.raw
	}
	return w.text.String()
}

type expectedWriter struct {
	schema *Schema
	text   strings.Builder
}

func (w *expectedWriter) write(part string) error {
	if w.text.Len()+len(part) > expectedBytesMax {
		return errTooLong
	}
	w.text.WriteString(part)
	return nil
}

func (w *expectedWriter) keyword(keyword string, v *value, opened []*value) error {
	switch {
	case slices.Contains(holdsSchema, keyword) && keyword != "contentSchema":
		return w.subschema(v, opened)
	case slices.Contains(holdsSchemas, keyword) && v.kind == kindArray:
		if len(v.items) == 0 {
			return w.write("[]")
		}
		for i, item := range v.items {
			if err := w.write(separator("[", i)); err != nil {
				return err
			}
			if err := w.subschema(item, opened); err != nil {
				return err
			}
		}
		return w.write("]")
	case slices.Contains(holdsNamed, keyword) && keyword != "$defs" && v.kind == kindObject:
		if len(v.members) == 0 {
			return w.write("{}")
		}
		for i, one := range v.members {
			if err := w.write(separator("{", i) + one.token + ":"); err != nil {
				return err
			}
			if err := w.subschema(one.value, opened); err != nil {
				return err
			}
		}
		return w.write("}")
	default:
		return w.write(v.raw)
	}
}

func separator(opening string, index int) string {
	if index == 0 {
		return opening
	}
	return ","
}

func (w *expectedWriter) subschema(node *value, opened []*value) error {
	if node.kind != kindObject || len(node.members) == 0 {
		return w.write(node.raw)
	}
	keyword, target := w.reference(node, opened)
	within := append(slices.Clone(opened), target)
	if target != nil && len(node.members) == 1 {
		return w.subschema(target, within)
	}
	for i, one := range node.members {
		if err := w.write(separator("{", i)); err != nil {
			return err
		}
		if target != nil && one.name == keyword {
			if err := w.write(`"allOf":[`); err != nil {
				return err
			}
			if err := w.subschema(target, within); err != nil {
				return err
			}
			if err := w.write("]"); err != nil {
				return err
			}
			continue
		}
		if err := w.write(one.token + ":"); err != nil {
			return err
		}
		if err := w.keyword(one.name, one.value, opened); err != nil {
			return err
		}
	}
	return w.write("}")
}

// reference gives the reference of a subschema that can be replaced, and where it leads.
func (w *expectedWriter) reference(node *value, opened []*value) (string, *value) {
	sub := w.schema.subs[node]
	if sub == nil || sub.Ref == nil && sub.DynamicRef == nil || len(node.members) > 1 && node.member("allOf") != nil {
		return "", nil
	}
	keyword, target := "$ref", sub.Ref
	if sub.DynamicRef != nil {
		if target != nil {
			return "", nil
		}
		keyword, target = "$dynamicRef", sub.DynamicRef.Ref
	}
	leads := w.schema.nodes[target]
	if slices.Contains(opened, leads) {
		return "", nil
	}
	return keyword, leads
}
