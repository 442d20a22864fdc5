package validator

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"lakehouse/sdk/go/internal/jsontext"
	"lakehouse/sdk/go/sessionlog"
)

const groundingFindingsMax = 1_000 // of one answer

// A Match is how a value has to be in its column, or in the source.
type Match string

const each = "*" // in a pointer: each element of an array, else the member of this name

// The ways to match.
const (
	MatchExact    Match = "exact"    // texts by code points, numbers by value
	MatchCasefold Match = "casefold" // the same after Unicode simple case folding
	MatchWithin   Match = "within"   // a number at most Tolerance away from the nearest value
	MatchQuote    Match = "quote"    // a non-empty part of the source
)

// A Rule says what a value of the artifact has to be grounded in.
type Rule struct {
	// Path is a JSON Pointer into the artifact; each element where it points at an array, and where
	// an array meets * on the way: /events/*/airport.
	Path string
	// Column is table.column; empty for a quote.
	Column string
	// Match is exact if it is empty.
	Match Match
	// Tolerance is for within: absolute, not negative.
	Tolerance float64
	// With are further values of the same row: pointer to column. A * that stands in what a pointer
	// and Path begin with alike is the same element in both.
	With map[string]string
}

// lookup is a rule that was checked against the tables.
type lookup struct {
	rule   Rule
	path   []string
	column column
	with   []pair // in the byte order of their pointers
	within decimal
}

type pair struct {
	pointer string
	path    []string
	column  column
}

type column struct {
	name  string
	cells []cell
}

// lookupOf checks a rule. The error says what is wrong with it.
func lookupOf(rule Rule, tables map[string]*Table) (lookup, error) {
	l := lookup{rule: rule}
	if l.rule.Match == "" {
		l.rule.Match = MatchExact
	}
	path, ok := pointerParts(rule.Path)
	if !ok {
		return l, fmt.Errorf("path %q is no JSON Pointer", rule.Path)
	}
	l.path = path
	switch l.rule.Match {
	case MatchQuote:
		if rule.Column != "" || len(rule.With) > 0 {
			return l, fmt.Errorf("a quote has neither column nor with")
		}
		return l, nil
	case MatchWithin:
		if rule.Tolerance < 0 || math.IsInf(rule.Tolerance, 0) || math.IsNaN(rule.Tolerance) {
			return l, fmt.Errorf("tolerance is %v; it is a number from 0 on", rule.Tolerance)
		}
		l.within = decimalOf(formatDouble(rule.Tolerance))
	case MatchExact, MatchCasefold:
	default:
		return l, fmt.Errorf("match is %q; it is exact, casefold, within or quote", rule.Match)
	}
	found, err := l.columnOf(rule.Column, tables)
	if err != nil {
		return l, err
	}
	l.column = found
	for pointer, name := range rule.With {
		parts, ok := pointerParts(pointer)
		if !ok {
			return l, fmt.Errorf("with %q is no JSON Pointer", pointer)
		}
		other, err := l.columnOf(name, tables)
		if err != nil {
			return l, err
		}
		if tableOf(name) != tableOf(rule.Column) {
			return l, fmt.Errorf("with %q is in another table than %q", name, rule.Column)
		}
		l.with = append(l.with, pair{pointer, parts, other})
	}
	slices.SortFunc(l.with, func(a, b pair) int { return strings.Compare(a.pointer, b.pointer) })
	return l, nil
}

func (l *lookup) columnOf(name string, tables map[string]*Table) (column, error) {
	_, inTable, ok := strings.Cut(name, ".")
	if !ok {
		return column{}, fmt.Errorf("column %q is not table.column", name)
	}
	table, ok := tables[tableOf(name)]
	if !ok {
		return column{}, fmt.Errorf("there is no table of column %q", name)
	}
	cells, holds, err := table.column(inTable)
	if err != nil {
		return column{}, err
	}
	if l.rule.Match == MatchWithin && holds == kindString {
		return column{}, fmt.Errorf("column %q holds texts; within needs numbers", name)
	}
	return column{name, cells}, nil
}

func tableOf(column string) string {
	table, _, _ := strings.Cut(column, ".")
	return table
}

// ground checks one rule, and says whether it applied. An absent or null value, or an empty array,
// is not checked. It finds at most so many.
func (l *lookup) ground(artifact *value, source string, most int) (found []located, applied bool, err error) {
	for at := range l.elements(artifact) {
		applied = true
		more, err := l.groundOne(at, artifact, source)
		if err != nil {
			return nil, false, err
		}
		found = append(found, more...)
		if len(found) >= most {
			return found[:most], true, nil
		}
	}
	return found, applied, nil
}

// element is one value that a rule looks up.
type element struct {
	value   *value
	path    string
	indexes []int // at which each * went into an array
	index   int   // of the value in the array that the pointer ends at, or -1
}

// elements gives all values that a rule looks up.
func (l *lookup) elements(artifact *value) iter.Seq[element] {
	return func(yield func(element) bool) {
		l.follow(element{value: artifact, index: -1}, l.path, func(at element) bool {
			if at.value.kind != kindArray {
				return at.value.kind == kindNull || yield(at)
			}
			for n, one := range at.value.items {
				inner := element{one, belowIndex(at.path, n), at.indexes, n}
				if one.kind != kindNull && !yield(inner) {
					return false
				}
			}
			return true
		})
	}
}

// follow goes on from a value along the rest of a pointer, until it is told to stop.
func (l *lookup) follow(at element, rest []string, yield func(element) bool) bool {
	for n, part := range rest {
		if part == each && at.value.kind == kindArray {
			for index, one := range at.value.items {
				inner := element{one, belowIndex(at.path, index), append(slices.Clip(at.indexes), index), -1}
				if n == len(rest)-1 {
					inner.index = index
				}
				if !l.follow(inner, rest[n+1:], yield) {
					return false
				}
			}
			return true
		}
		next := at.value.at([]string{part})
		if next == nil {
			return true
		}
		at.value, at.path = next, below(at.path, part)
	}
	return yield(at)
}

func (l *lookup) groundOne(at element, artifact *value, source string) ([]located, error) {
	v := at.value
	if l.rule.Match == MatchQuote {
		if v.kind == kindString && v.text != "" && strings.Contains(source, v.text) {
			return nil, nil
		}
		finding, err := l.finding(v, at.path, column{}, nil)
		return []located{finding}, err
	}
	all := make([]int, len(l.column.cells))
	for row := range all {
		all[row] = row
	}
	rows := l.matching(v, l.column, all)
	if len(rows) == 0 {
		finding, err := l.finding(v, at.path, l.column, all)
		return []located{finding}, err
	}
	var found []located
	for _, pair := range l.with {
		other, path := pair.of(artifact, l.path, at)
		if other == nil || other.kind == kindNull {
			continue
		}
		left := l.matching(other, pair.column, rows)
		if len(left) > 0 {
			rows = left
			continue
		}
		finding, err := l.finding(other, path, pair.column, rows)
		if err != nil {
			return nil, err
		}
		found = append(found, finding)
	}
	return found, nil
}

// of gives the value that goes with an element, and its path: in the same element of what both
// pointers begin with, and of two arrays that they end at the one in the same place.
func (p pair) of(artifact *value, main []string, at element) (*value, string) {
	other, path, indexes := artifact, "", at.indexes
	for n, part := range p.path {
		if part == each && other.kind == kindArray {
			if n >= len(main) || !slices.Equal(p.path[:n+1], main[:n+1]) {
				if n < len(p.path)-1 {
					return other, path // no element of it belongs to this one
				}
				break
			}
			part, indexes = strconv.Itoa(indexes[0]), indexes[1:]
		}
		if other = other.at([]string{part}); other == nil {
			return nil, ""
		}
		path = below(path, part)
	}
	if other.kind != kindArray || at.index < 0 {
		return other, path
	}
	if at.index >= len(other.items) {
		return nil, ""
	}
	return other.items[at.index], belowIndex(path, at.index)
}

// matching gives those of some rows in which a column has the value.
func (l *lookup) matching(v *value, column column, rows []int) []int {
	var found []int
	for _, row := range rows {
		if l.matches(v, column.cells[row]) {
			found = append(found, row)
		}
	}
	return found
}

func (l *lookup) matches(v *value, c cell) bool {
	switch {
	case v.kind != c.kind:
		return false
	case v.kind == kindString && l.rule.Match == MatchExact:
		return v.text == c.text
	case v.kind == kindString && l.rule.Match == MatchCasefold:
		return fold(v.text) == fold(c.text)
	case v.kind == kindNumber && l.rule.Match == MatchWithin:
		return v.number.isWithin(l.within, c.number)
	case v.kind == kindNumber:
		return v.number.compare(c.number) == 0
	default:
		return false
	}
}

func (l *lookup) finding(v *value, path string, column column, rows []int) (located, error) {
	expected, err := l.expectation(column)
	if err != nil {
		return located{}, err
	}
	finding := sessionlog.Finding{
		Code:    sessionlog.FindingUngrounded,
		Path:    path,
		Message: "The value is not in " + column.name + ".",
	}
	if column.name == "" {
		finding.Message = "The text is not in the source."
	}
	if finding.Expected, err = sessionlog.ParseRawJSON(expected); err != nil {
		return located{}, err
	}
	if len(v.raw) <= gotBytesMax {
		if finding.Got, err = sessionlog.ParseRawJSON(v.raw); err != nil {
			return located{}, err
		}
		near, err := nearest(v, column.cells, rows, l.rule.Match == MatchCasefold)
		if err != nil {
			return located{}, err
		}
		if len(near) > 0 {
			finding.Nearest = near
		}
	}
	return located{finding: finding, expected: expected}, nil
}

// expectation writes what would have held.
func (l *lookup) expectation(column column) (string, error) {
	if l.rule.Match == MatchQuote {
		return `{"match":"quote"}`, nil
	}
	name, ok := jsontext.AppendString(nil, column.name)
	if !ok {
		return "", fmt.Errorf("column %q is not UTF-8", column.name)
	}
	expected := fmt.Sprintf(`{"column":%s,"match":"%s"`, name, l.rule.Match)
	if l.rule.Match == MatchWithin {
		expected += `,"tolerance":` + formatDouble(l.rule.Tolerance)
	}
	return expected + "}", nil
}

// fold applies Unicode simple case folding: every character becomes the first of those that differ
// from it in case only.
func fold(text string) string {
	return strings.Map(func(r rune) rune {
		first := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			first = min(first, other)
		}
		return first
	}, text)
}

// formatDouble writes a number as RFC 8785 does: as ECMAScript does.
func formatDouble(number float64) string {
	if number == 0 {
		return "0"
	}
	if size := math.Abs(number); size >= 1e-6 && size < 1e21 {
		return strconv.FormatFloat(number, 'f', -1, 64)
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(number, 'e', -1, 64), "e")
	return mantissa + "e" + exponent[:1] + strings.TrimLeft(exponent[1:], "0")
}
