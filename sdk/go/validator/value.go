package validator

import (
	"slices"
	"strconv"
	"strings"

	"lakehouse/sdk/go/internal/jsontext"
)

const (
	digitsMax         = 4_300 // of one number that is computed with
	exponentDigitsMax = 17    // leading zeros aside
)

type kind uint8

const (
	kindNull kind = iota
	kindBoolean
	kindNumber
	kindString
	kindArray
	kindObject
)

// value is one JSON value with its own bytes, taken apart.
type value struct {
	kind    kind
	raw     string         // compact
	text    string         // of a string, decoded
	number  decimal        // of a number
	items   []*value       // of an array
	members []member       // of an object, in the order in which they came
	places  map[string]int // of many members, by name
}

type member struct {
	name  string
	token string // the name with its own bytes
	value *value
}

// parse reads JSON that is computed with: strict, at most 64 levels, numbers of a bearable size.
func parse(text string) (*value, error) {
	compact, err := jsontext.Compact(text, jsontext.DepthMax)
	if err != nil {
		return nil, err
	}
	return valueOf(compact)
}

// valueOf takes compact text apart.
func valueOf(raw string) (*value, error) {
	v := &value{raw: raw}
	switch raw[0] {
	case '{':
		v.kind = kindObject
		pairs, _ := jsontext.Members(raw)
		v.members = make([]member, len(pairs))
		for i, pair := range pairs {
			inner, err := valueOf(pair.Value)
			if err != nil {
				return nil, err
			}
			v.members[i] = member{pair.Name, pair.NameToken, inner}
		}
		v.indexMembers()
	case '[':
		v.kind = kindArray
		items, _ := jsontext.Elements(raw)
		v.items = make([]*value, len(items))
		for i, item := range items {
			inner, err := valueOf(item)
			if err != nil {
				return nil, err
			}
			v.items[i] = inner
		}
	case '"':
		v.kind = kindString
		v.text = jsontext.Unquote(raw)
	case 't', 'f':
		v.kind = kindBoolean
	case 'n':
		v.kind = kindNull
	default:
		v.kind = kindNumber
		if err := checkNumber(raw); err != nil {
			return nil, err
		}
		v.number = decimalOf(raw)
	}
	return v, nil
}

func checkNumber(raw string) error {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(raw), "e")
	if len(mantissa)-strings.Count(mantissa, "-")-strings.Count(mantissa, ".") > digitsMax {
		return &jsontext.Error{Reason: "a number has more than 4300 digits"}
	}
	if len(strings.TrimLeft(exponent, "+-0")) > exponentDigitsMax {
		return &jsontext.Error{Reason: "a number's exponent has more than 17 digits"}
	}
	return nil
}

// indexMembers spares an object of many members from being searched for each.
func (v *value) indexMembers() {
	if len(v.members) <= 16 {
		return
	}
	v.places = make(map[string]int, len(v.members))
	for i, member := range v.members {
		v.places[member.name] = i
	}
}

// member gives a member's value, or nil.
func (v *value) member(name string) *value {
	if v.places != nil {
		if place, ok := v.places[name]; ok {
			return v.members[place].value
		}
		return nil
	}
	for i := range v.members {
		if v.members[i].name == name {
			return v.members[i].value
		}
	}
	return nil
}

// at follows a JSON Pointer; nil where nothing is.
func (v *value) at(parts []string) *value {
	for _, part := range parts {
		switch v.kind {
		case kindObject:
			v = v.member(part)
		case kindArray:
			v = v.item(part)
		default:
			return nil
		}
		if v == nil {
			return nil
		}
	}
	return v
}

func (v *value) item(part string) *value {
	index, err := strconv.Atoi(part)
	if err != nil || index < 0 || index >= len(v.items) || strconv.Itoa(index) != part {
		return nil
	}
	return v.items[index]
}

// equal is equality as JSON Schema has it: numbers by value, members in any order.
func (v *value) equal(other *value) bool {
	if v.kind != other.kind {
		return false
	}
	switch v.kind {
	case kindString:
		return v.text == other.text
	case kindNumber:
		return v.number.compare(other.number) == 0
	case kindArray:
		if len(v.items) != len(other.items) {
			return false
		}
		for i := range v.items {
			if !v.items[i].equal(other.items[i]) {
				return false
			}
		}
		return true
	case kindObject:
		if len(v.members) != len(other.members) {
			return false
		}
		for _, member := range v.members {
			if theirs := other.member(member.name); theirs == nil || !member.value.equal(theirs) {
				return false
			}
		}
		return true
	default:
		return v.raw == other.raw
	}
}

// --- JSON Pointers (RFC 6901) ---------------------------------------------------------------------

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// below gives the pointer to a part of what a pointer points at.
func below(pointer, part string) string {
	return pointer + "/" + pointerEscapes.Replace(part)
}

func belowIndex(pointer string, index int) string {
	return pointer + "/" + strconv.Itoa(index)
}

// pointerParts takes a pointer apart; false if it is none.
func pointerParts(pointer string) ([]string, bool) {
	if pointer == "" {
		return nil, true
	}
	if pointer[0] != '/' {
		return nil, false
	}
	parts := strings.Split(pointer[1:], "/")
	for i, part := range parts {
		if unescaped := strings.NewReplacer("~0", "", "~1", "").Replace(part); strings.Contains(unescaped, "~") {
			return nil, false
		}
		parts[i] = strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
	}
	return parts, true
}

// key is the same text for values that are equal.
func (v *value) key() string {
	switch v.kind {
	case kindString:
		return strconv.Quote(v.text)
	case kindNumber:
		return v.number.key()
	case kindArray:
		parts := make([]string, len(v.items))
		for i, item := range v.items {
			parts[i] = item.key()
		}
		return "[" + strings.Join(parts, ",") + "]"
	case kindObject:
		parts := make([]string, len(v.members))
		for i, member := range v.members {
			parts[i] = strconv.Quote(member.name) + ":" + member.value.key()
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, ",") + "}"
	default:
		return v.raw
	}
}
