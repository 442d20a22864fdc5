// Package jsontext reads strict JSON as text: checked once, white space dropped, every other byte
// kept.
//
// encoding/json is not asked about structure: it keeps the last of two duplicate members, turns a
// lone surrogate into U+FFFD, and does not give the bytes of names and numbers, all of which the
// contract needs.
package jsontext

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// DepthMax is the nesting allowed in a value of its own. [[]] is 2.
	DepthMax = 64
	// LineDepthMax is the nesting allowed in a line: a value of DepthMax levels stands five levels
	// deep in its row.
	LineDepthMax = 80
)

// Error is text that is not JSON as the contract accepts it.
type Error struct {
	// Reason says what is wrong, without the place.
	Reason string
	// Offset is where it was noticed, in bytes from the start of the text.
	Offset int
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s at byte %d", e.Reason, e.Offset)
}

// Compact checks bytes as strict JSON and gives them back without the white space between tokens.
//
// Refused: invalid UTF-8, a byte order mark, duplicate members (names compared as they decode),
// lone surrogates, NaN and infinities, nesting over depthMax, anything after the value. Numbers
// keep their bytes, whatever their size. The error is an *Error.
func Compact(text string, depthMax int) (string, error) {
	if offset := invalidUTF8(text); offset >= 0 {
		return "", &Error{Reason: "invalid UTF-8", Offset: offset}
	}
	s := scanner{text: text, depthMax: depthMax, depthLeft: depthMax}
	s.out.Grow(len(text))
	if err := s.value(); err != nil {
		return "", err
	}
	s.skipSpace()
	if s.position < len(text) {
		return "", s.fail("something after the value")
	}
	return s.out.String(), nil
}

func invalidUTF8(text string) int {
	if utf8.ValidString(text) {
		return -1
	}
	for offset := 0; ; {
		r, size := utf8.DecodeRuneInString(text[offset:])
		if r == utf8.RuneError && size <= 1 {
			return offset
		}
		offset += size
	}
}

type scanner struct {
	text      string
	position  int
	depthLeft int
	depthMax  int
	out       strings.Builder
}

func (s *scanner) value() error {
	s.skipSpace()
	switch c := s.peek(); {
	case c == '{':
		return s.nested(s.object)
	case c == '[':
		return s.nested(s.array)
	case c == '"':
		_, err := s.str()
		return err
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	case s.position == len(s.text):
		return s.fail("the text ends where a value should be")
	default:
		return s.fail("not a JSON value")
	}
}

func (s *scanner) nested(inside func() error) error {
	if s.depthLeft == 0 {
		return s.fail(fmt.Sprintf("nested deeper than %d", s.depthMax))
	}
	s.depthLeft--
	err := inside()
	s.depthLeft++
	return err
}

func (s *scanner) object() error {
	start := s.position
	var names []string
	s.keep(1)
	s.skipSpace()
	for s.peek() != '}' {
		if len(names) > 0 {
			if err := s.take(','); err != nil {
				return err
			}
			s.skipSpace()
		}
		name, err := s.str()
		if err != nil {
			return err
		}
		names = append(names, Unquote(name))
		s.skipSpace()
		if err := s.take(':'); err != nil {
			return err
		}
		if err := s.value(); err != nil {
			return err
		}
		s.skipSpace()
	}
	s.keep(1)
	if name, found := duplicate(names); found {
		reason := fmt.Sprintf("duplicate member %q in the object", name)
		return &Error{Reason: reason, Offset: start}
	}
	return nil
}

func duplicate(names []string) (string, bool) {
	slices.Sort(names)
	for i := 1; i < len(names); i++ {
		if names[i] == names[i-1] {
			return names[i], true
		}
	}
	return "", false
}

func (s *scanner) array() error {
	s.keep(1)
	s.skipSpace()
	for first := true; s.peek() != ']'; first = false {
		if !first {
			if err := s.take(','); err != nil {
				return err
			}
		}
		if err := s.value(); err != nil {
			return err
		}
		s.skipSpace()
	}
	s.keep(1)
	return nil
}

// str takes a string token and gives it, quotes included.
func (s *scanner) str() (string, error) {
	start := s.position
	if s.peek() != '"' {
		return "", s.fail("not a string")
	}
	for s.position++; ; {
		switch c := s.peek(); {
		case s.position >= len(s.text):
			return "", s.fail("a string without an end")
		case c == '"':
			s.position++
			token := s.text[start:s.position]
			s.out.WriteString(token)
			return token, nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return "", err
			}
		case c < 0x20:
			return "", s.fail("a control character in a string")
		default:
			s.position++
		}
	}
}

func (s *scanner) escape() error {
	switch s.at(s.position + 1) {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.position += 2
		return nil
	case 'u':
	default:
		return s.fail("no such escape")
	}
	unit, ok := s.unit(s.position)
	switch {
	case !ok:
		return s.fail("an escape of less than four hex digits")
	case unit < 0xd800 || unit > 0xdfff:
		s.position += 6
		return nil
	case unit <= 0xdbff:
		if low, ok := s.unit(s.position + 6); ok && 0xdc00 <= low && low <= 0xdfff {
			s.position += 12
			return nil
		}
	}
	return s.fail("a lone surrogate")
}

// unit reads the UTF-16 unit of an escape such as \u00e9.
func (s *scanner) unit(position int) (unit uint32, ok bool) {
	if s.at(position) != '\\' || s.at(position+1) != 'u' {
		return 0, false
	}
	for i := position + 2; i < position+6; i++ {
		switch c := s.at(i); {
		case '0' <= c && c <= '9':
			unit = unit<<4 | uint32(c-'0')
		case 'a' <= c && c <= 'f':
			unit = unit<<4 | uint32(c-'a'+10)
		case 'A' <= c && c <= 'F':
			unit = unit<<4 | uint32(c-'A'+10)
		default:
			return 0, false
		}
	}
	return unit, true
}

func (s *scanner) number() error {
	start := s.position
	if s.peek() == '-' {
		s.position++
	}
	if s.peek() == '0' {
		s.position++
	} else if err := s.digits(); err != nil {
		return err
	}
	if s.peek() == '.' {
		s.position++
		if err := s.digits(); err != nil {
			return err
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.position++
		if c := s.peek(); c == '+' || c == '-' {
			s.position++
		}
		if err := s.digits(); err != nil {
			return err
		}
	}
	s.out.WriteString(s.text[start:s.position])
	return nil
}

func (s *scanner) digits() error {
	start := s.position
	for c := s.peek(); '0' <= c && c <= '9'; c = s.peek() {
		s.position++
	}
	if s.position == start {
		return s.fail("a digit is missing")
	}
	return nil
}

func (s *scanner) word(word string) error {
	if !strings.HasPrefix(s.text[s.position:], word) {
		return s.fail("not a JSON value")
	}
	s.keep(len(word))
	return nil
}

func (s *scanner) take(c byte) error {
	if s.peek() != c {
		return s.fail(fmt.Sprintf("`%c` is missing", c))
	}
	s.keep(1)
	return nil
}

func (s *scanner) keep(length int) {
	s.out.WriteString(s.text[s.position : s.position+length])
	s.position += length
}

func (s *scanner) skipSpace() {
	for s.position < len(s.text) {
		switch s.text[s.position] {
		case ' ', '\t', '\n', '\r':
			s.position++
		default:
			return
		}
	}
}

// peek gives the next byte, and 0 at the end; a NUL in the text is an error wherever it stands.
func (s *scanner) peek() byte {
	return s.at(s.position)
}

func (s *scanner) at(position int) byte {
	if position >= len(s.text) {
		return 0
	}
	return s.text[position]
}

func (s *scanner) fail(reason string) error {
	return &Error{Reason: reason, Offset: s.position}
}
