package sessionlog

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"lakehouse/sdk/go/internal/jsontext"
)

// --- Texts, numbers, words ----------------------------------------------------------------------

type textMember struct{ place *string }

func (m textMember) read(value string) (err error) {
	*m.place, err = readText(value)
	return err
}

func (m textMember) write(out []byte) ([]byte, error) {
	return writeText(out, *m.place)
}

func readText(value string) (string, error) {
	if value[0] != '"' {
		return "", &DecodeError{Reason: "not a string"}
	}
	return jsontext.Unquote(value), nil
}

func writeText(out []byte, text string) ([]byte, error) {
	out, ok := jsontext.AppendString(out, text)
	if !ok {
		return nil, &EncodeError{Reason: "not UTF-8"}
	}
	return out, nil
}

type intMember struct{ place *int64 }

func (m intMember) read(value string) error {
	number, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return &DecodeError{Reason: "not an integer of 64 bits"}
	}
	*m.place = number
	return nil
}

func (m intMember) write(out []byte) ([]byte, error) {
	return strconv.AppendInt(out, *m.place, 10), nil
}

type boolMember struct{ place *bool }

func (m boolMember) read(value string) error {
	if value != "true" && value != "false" {
		return &DecodeError{Reason: "neither true nor false"}
	}
	*m.place = value == "true"
	return nil
}

func (m boolMember) write(out []byte) ([]byte, error) {
	return strconv.AppendBool(out, *m.place), nil
}

// trueMember is true, or left out; false is no value of it.
type trueMember struct{ boolMember }

func (m trueMember) read(value string) error {
	if value != "true" {
		return &DecodeError{Reason: "not true"}
	}
	return m.boolMember.read(value)
}

func (m trueMember) isLeftOut() bool {
	return !*m.place
}

// wordMember is one of a closed list, on the way in and on the way out.
type wordMember[T ~string] struct {
	place *T
	list  []T
}

func (m wordMember[T]) read(value string) error {
	text, err := readText(value)
	if err != nil {
		return err
	}
	if reason := m.offList(T(text)); reason != "" {
		return &DecodeError{Reason: reason}
	}
	*m.place = T(text)
	return nil
}

func (m wordMember[T]) write(out []byte) ([]byte, error) {
	if reason := m.offList(*m.place); reason != "" {
		return nil, &EncodeError{Reason: reason}
	}
	return writeText(out, string(*m.place))
}

func (m wordMember[T]) offList(word T) string {
	if slices.Contains(m.list, word) {
		return ""
	}
	names := make([]string, len(m.list))
	for i, known := range m.list {
		names[i] = string(known)
	}
	return fmt.Sprintf("%q is none of %s", word, strings.Join(names, ", "))
}

// grownMember is a word of a list that grows: a reader takes any, as it stands. A writer has those of
// the list, and may carry one that it read.
type grownMember[T ~string] struct {
	wordMember[T]
	came *T
}

func (m grownMember[T]) read(value string) error {
	text, err := readText(value)
	if err != nil {
		return err
	}
	if !isWord(text) {
		return &DecodeError{Reason: fmt.Sprintf("%q is no word of 1 to 40 of a to z and _", text)}
	}
	*m.place, *m.came = T(text), T(text)
	return nil
}

func (m grownMember[T]) write(out []byte) ([]byte, error) {
	if *m.place != "" && *m.place == *m.came {
		return writeText(out, string(*m.place))
	}
	return m.wordMember.write(out)
}

// optionalWordMember is one that the line may lack.
type optionalWordMember[T ~string] struct{ grownMember[T] }

func optionalWord[T ~string](place, came *T, list []T) member {
	return optionalWordMember[T]{grownMember[T]{wordMember[T]{place, list}, came}}
}

func (m optionalWordMember[T]) isLeftOut() bool {
	return *m.place == ""
}

func isWord(text string) bool {
	for _, letter := range text {
		if letter != '_' && (letter < 'a' || letter > 'z') {
			return false
		}
	}
	return 1 <= len(text) && len(text) <= 40
}

// --- Raw values ---------------------------------------------------------------------------------

type rawMember struct{ place *RawJSON }

func (m rawMember) read(value string) error {
	*m.place = RawJSON{value}
	return nil
}

func (m rawMember) write(out []byte) ([]byte, error) {
	return append(out, m.place.String()...), nil
}

// evidenceMember is a raw value that the line may lack.
type evidenceMember struct{ rawMember }

func (m evidenceMember) isLeftOut() bool {
	return m.place.text == ""
}

// numberMember is a raw number, or null.
type numberMember struct{ place *RawNumber }

func (m numberMember) read(value string) error {
	switch {
	case value == "null":
		*m.place = RawNumber{}
	case isNumber(value):
		*m.place = RawNumber{value}
	default:
		return &DecodeError{Reason: "neither a number nor null"}
	}
	return nil
}

func (m numberMember) write(out []byte) ([]byte, error) {
	return append(out, m.place.String()...), nil
}

// optionalNumberMember is a raw number that the line may lack; null is no value of it.
type optionalNumberMember struct{ numberMember }

func (m optionalNumberMember) read(value string) error {
	if !isNumber(value) {
		return &DecodeError{Reason: "not a number"}
	}
	return m.numberMember.read(value)
}

func (m optionalNumberMember) isLeftOut() bool {
	return m.place.IsNull()
}

type nearMember struct{ place *NearValue }

func (m nearMember) read(value string) error {
	switch {
	case value[0] == '"':
		*m.place = NearValue{Text: jsontext.Unquote(value)}
	case isNumber(value):
		*m.place = NearValue{Number: RawNumber{value}}
	default:
		return &DecodeError{Reason: "neither a string nor a number"}
	}
	return nil
}

func (m nearMember) write(out []byte) ([]byte, error) {
	if !m.place.Number.IsNull() {
		return append(out, m.place.Number.text...), nil
	}
	return writeText(out, m.place.Text)
}

// --- Objects, lists, maps, and nothing ----------------------------------------------------------

type objectMember struct{ place object }

func (m objectMember) read(value string) error {
	return readObject(m.place, value)
}

func (m objectMember) write(out []byte) ([]byte, error) {
	return writeObject(out, m.place)
}

// nullableMember is null where the pointer is nil.
type nullableMember[T any] struct {
	place **T
	of    func(*T) member
}

func (m nullableMember[T]) read(value string) error {
	*m.place = nil
	if value == "null" {
		return nil
	}
	return m.readValue(value)
}

func (m nullableMember[T]) readValue(value string) error {
	read := new(T)
	if err := m.of(read).read(value); err != nil {
		return err
	}
	*m.place = read
	return nil
}

func (m nullableMember[T]) write(out []byte) ([]byte, error) {
	if *m.place == nil {
		return append(out, "null"...), nil
	}
	return m.of(*m.place).write(out)
}

// markerMember is an object that the line may lack; null is no value of it.
type markerMember struct{ nullableMember[Truncated] }

func (m markerMember) read(value string) error {
	return m.readValue(value)
}

func (m markerMember) isLeftOut() bool {
	return *m.place == nil
}

// laterMember is a member that rows of before do not have, and that none of them gains by being
// written again.
type laterMember struct {
	nullableMember[string]
	lacks *bool
}

func (m laterMember) isLeftOut() bool {
	return *m.lacks && *m.place == nil
}

func (m laterMember) notThere() {
	*m.lacks = true
}

type listMember[T any] struct {
	place *[]T
	of    func(*T) member
}

func (m listMember[T]) read(value string) error {
	items, ok := jsontext.Elements(value)
	if !ok {
		return &DecodeError{Reason: "not a list"}
	}
	list := make([]T, len(items))
	for i, item := range items {
		if err := m.of(&list[i]).read(item); err != nil {
			return within(fmt.Sprintf("[%d]", i), err)
		}
	}
	*m.place = list
	return nil
}

func (m listMember[T]) write(out []byte) ([]byte, error) {
	out = append(out, '[')
	list := *m.place
	var err error
	for i := range list {
		if i > 0 {
			out = append(out, ',')
		}
		if out, err = m.of(&list[i]).write(out); err != nil {
			return nil, within(fmt.Sprintf("[%d]", i), err)
		}
	}
	return append(out, ']'), nil
}

// nullableListMember is null where the slice is nil.
type nullableListMember[T any] struct{ listMember[T] }

func (m nullableListMember[T]) read(value string) error {
	*m.place = nil
	if value == "null" {
		return nil
	}
	return m.listMember.read(value)
}

func (m nullableListMember[T]) write(out []byte) ([]byte, error) {
	if *m.place == nil {
		return append(out, "null"...), nil
	}
	return m.listMember.write(out)
}

// optionalListMember is a list that the line may lack.
type optionalListMember[T any] struct{ listMember[T] }

func (m optionalListMember[T]) isLeftOut() bool {
	return *m.place == nil
}

// metadataMember is a map that keeps its order.
type metadataMember struct{ place *[]Entry }

func (m metadataMember) read(value string) error {
	pairs, ok := jsontext.Members(value)
	if !ok {
		return &DecodeError{Reason: "not an object"}
	}
	entries := make([]Entry, len(pairs))
	for i, pair := range pairs {
		text, err := readText(pair.Value)
		if err != nil {
			return within(pair.Name, err)
		}
		entries[i] = Entry{pair.Name, text}
	}
	*m.place = entries
	return nil
}

func (m metadataMember) write(out []byte) ([]byte, error) {
	return writeEntries(out, *m.place)
}

func writeEntries(out []byte, entries []Entry) ([]byte, error) {
	names := make(map[string]bool, len(entries))
	out = append(out, '{')
	var err error
	for _, entry := range entries {
		if names[entry.Name] {
			return nil, &EncodeError{Reason: "twice", Place: entry.Name}
		}
		names[entry.Name] = true
		if out, err = writeText(comma(out), entry.Name); err != nil {
			return nil, err
		}
		if out, err = writeText(append(out, ':'), entry.Value); err != nil {
			return nil, within(entry.Name, err)
		}
	}
	return append(out, '}'), nil
}

// tablesMember is a map that is written in the order of its names' bytes.
type tablesMember struct{ place *map[string]string }

func (m tablesMember) read(value string) error {
	var entries []Entry
	if err := (metadataMember{&entries}).read(value); err != nil {
		return err
	}
	tables := make(map[string]string, len(entries))
	for _, entry := range entries {
		tables[entry.Name] = entry.Value
	}
	*m.place = tables
	return nil
}

func (m tablesMember) write(out []byte) ([]byte, error) {
	var entries []Entry
	for _, name := range slices.Sorted(maps.Keys(*m.place)) {
		entries = append(entries, Entry{name, (*m.place)[name]})
	}
	return writeEntries(out, entries)
}

// --- How a struct names its members -------------------------------------------------------------

func text(place *string) member        { return textMember{place} }
func integer(place *int64) member      { return intMember{place} }
func boolean(place *bool) member       { return boolMember{place} }
func raw(place *RawJSON) member        { return rawMember{place} }
func evidence(place *RawJSON) member   { return evidenceMember{rawMember{place}} }
func number(place *RawNumber) member   { return numberMember{place} }
func near(place *NearValue) member     { return nearMember{place} }
func metadata(place *[]Entry) member   { return metadataMember{place} }
func textOrNull(place **string) member { return nullableMember[string]{place, text} }
func intOrNull(place **int64) member   { return nullableMember[int64]{place, integer} }
func boolOrNull(place **bool) member   { return nullableMember[bool]{place, boolean} }

func word[T ~string](place *T, list []T) member {
	return wordMember[T]{place, list}
}

func grown[T ~string](place, came *T, list []T) member {
	return grownMember[T]{wordMember[T]{place, list}, came}
}

func one[T any, P interface {
	*T
	object
}](place *T) member {
	return objectMember{P(place)}
}

func marker(place **Truncated) member {
	return markerMember{nullableMember[Truncated]{place, one[Truncated]}}
}
