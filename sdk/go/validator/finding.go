package validator

import (
	"cmp"
	"slices"

	"lakehouse/sdk/go/sessionlog"
)

// located is a finding with what it is ordered by.
type located struct {
	finding  sessionlog.Finding
	expected string // raw; it begins with the keyword
	name     string // of an extra member
}

// ordered sorts findings by the bytes of path, then code, then the bytes of expected, then the name
// of an extra member: the same list in every runtime.
func ordered(found []located) []sessionlog.Finding {
	slices.SortStableFunc(found, func(a, b located) int {
		return cmp.Or(
			cmp.Compare(a.finding.Path, b.finding.Path),
			cmp.Compare(a.finding.Code, b.finding.Code),
			cmp.Compare(a.expected, b.expected),
			cmp.Compare(a.name, b.name),
		)
	})
	findings := make([]sessionlog.Finding, len(found))
	for i, one := range found {
		findings[i] = one.finding
	}
	return findings
}
