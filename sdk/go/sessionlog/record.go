package sessionlog

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"lakehouse/sdk/go/internal/jsontext"
)

// A DecodeError is bytes that may not be a line of the log, or text that is no JSON; it says why and
// where.
type DecodeError struct {
	// Reason says what is wrong, without the place.
	Reason string
	// Place is a member such as attempts[0].usage, or byte 120; empty for the whole.
	Place string
}

func (e *DecodeError) Error() string {
	return at(e.Place, e.Reason)
}

// An EncodeError is a record that has no line: a text that is not UTF-8, or a word that is on none
// of the contract's lists.
type EncodeError struct {
	// Reason says what is wrong, without the place.
	Reason string
	// Place is a member such as attempts[0].outcome.
	Place string
}

func (e *EncodeError) Error() string {
	return at(e.Place, e.Reason)
}

func at(place, reason string) string {
	if place == "" {
		return reason
	}
	return place + ": " + reason
}

func ofJSONError(err error) error {
	var found *jsontext.Error
	if errors.As(err, &found) {
		return &DecodeError{Reason: found.Reason, Place: fmt.Sprintf("byte %d", found.Offset)}
	}
	return err
}

// within says the same of a member one level further out.
func within(name string, err error) error {
	switch e := err.(type) {
	case *DecodeError:
		e.Place = join(name, e.Place)
	case *EncodeError:
		e.Place = join(name, e.Place)
	}
	return err
}

func join(name, place string) string {
	if place == "" || strings.HasPrefix(place, "[") {
		return name + place
	}
	return name + "." + place
}

// Unknown are members that this version of the contract does not name, in the order in which they
// came.
//
// They are carried from row to row with the bytes of their names and values, after the known
// members. They come from reading only; a writer of this version has none to add.
type Unknown struct{ members []jsontext.Pair }

// Len is how many there are.
func (u Unknown) Len() int {
	return len(u.members)
}

// All iterates over names, as they decode, and values.
func (u Unknown) All() iter.Seq2[string, RawJSON] {
	return func(yield func(string, RawJSON) bool) {
		for _, member := range u.members {
			if !yield(member.Name, RawJSON{member.Value}) {
				return
			}
		}
	}
}

// object is a struct of the contract. Its fields name its members once, in order, for both ways.
type object interface {
	fields() []field
	unknown() *Unknown
}

type field struct {
	name  string
	value member
}

// member is a value that the contract gives a form. read gets compact text that was checked as JSON.
type member interface {
	read(value string) error
	write(out []byte) ([]byte, error)
}

// leftOut is a member that the line may lack.
type leftOut interface {
	member
	isLeftOut() bool
}

func readObject(o object, value string) error {
	pairs, ok := jsontext.Members(value)
	if !ok {
		return &DecodeError{Reason: "not an object"}
	}
	return readPairs(o, pairs)
}

func readPairs(o object, pairs []jsontext.Pair) error {
	taken := make([]bool, len(pairs))
	next := 0
	for _, field := range o.fields() {
		found := position(pairs, field.name, next)
		if found < 0 {
			if _, optional := field.value.(leftOut); !optional {
				return &DecodeError{Reason: "missing", Place: field.name}
			}
			if later, ok := field.value.(laterMember); ok {
				later.notThere()
			}
			continue
		}
		if err := field.value.read(pairs[found].Value); err != nil {
			return within(field.name, err)
		}
		taken[found] = true
		next = found + 1
	}
	unknown := o.unknown()
	unknown.members = nil
	for i, pair := range pairs {
		if !taken[i] {
			unknown.members = append(unknown.members, pair)
		}
	}
	return nil
}

// position finds a member by its name; at once where the members are in the contract's order.
func position(pairs []jsontext.Pair, name string, guess int) int {
	if guess < len(pairs) && pairs[guess].Name == name {
		return guess
	}
	for i := range pairs {
		if pairs[i].Name == name {
			return i
		}
	}
	return -1
}

func writeObject(out []byte, o object) ([]byte, error) {
	out, err := writeMembers(append(out, '{'), o)
	if err != nil {
		return nil, err
	}
	return append(out, '}'), nil
}

// writeMembers writes the members that an object has, after those that stand there already. Names
// that the line itself uses are reserved.
func writeMembers(out []byte, o object, reserved ...string) ([]byte, error) {
	fields := o.fields()
	var err error
	for _, field := range fields {
		if optional, ok := field.value.(leftOut); ok && optional.isLeftOut() {
			continue
		}
		out = append(comma(out), '"')
		out = append(out, field.name...)
		out = append(out, '"', ':')
		if out, err = field.value.write(out); err != nil {
			return nil, within(field.name, err)
		}
	}
	for _, member := range o.unknown().members {
		// A record put together of the parts of others must not become a line with duplicates.
		if isKnown(fields, member.Name) || slices.Contains(reserved, member.Name) {
			continue
		}
		out = append(comma(out), member.NameToken...)
		out = append(out, ':')
		out = append(out, member.Value...)
	}
	return out, nil
}

func comma(out []byte) []byte {
	if out[len(out)-1] != '{' {
		return append(out, ',')
	}
	return out
}

func isKnown(fields []field, name string) bool {
	return slices.ContainsFunc(fields, func(f field) bool { return f.name == name })
}
