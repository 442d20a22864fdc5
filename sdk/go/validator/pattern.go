package validator

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	patternCharsMax = 256   // of one pattern
	repeatMax       = 1_000 // of RE2
)

// pattern is a regular expression as RE2 reads it.
type pattern struct{ *regexp.Regexp }

// compilePattern compiles a pattern. Go's syntax is RE2's, with names of Unicode classes that RE2
// does not know.
func compilePattern(text string) (jsonschema.Regexp, error) {
	compiled, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	if size := utf8.RuneCountInString(text); size > patternCharsMax {
		return nil, fmt.Errorf("a pattern of %d characters; at most %d", size, patternCharsMax)
	}
	if tree, err := syntax.Parse(text, syntax.Perl); err != nil || repeatsTooOften(tree) {
		return nil, fmt.Errorf("what it repeats comes to more than %d times", repeatMax)
	}
	if name := unknownClass(text); name != "" {
		return nil, fmt.Errorf("RE2 has no class \\p{%s}", name)
	}
	return pattern{compiled}, nil
}

// repeatsTooOften says whether counts within counts multiply to more than RE2 allows. Go allows what
// stands within a count of 0.
func repeatsTooOften(tree *syntax.Regexp) bool {
	counts := tree.Op == syntax.OpRepeat && (tree.Min > 1 || tree.Max > 1)
	return counts && repeats(tree) > repeatMax || slices.ContainsFunc(tree.Sub, repeatsTooOften)
}

// repeats tells how often a tree repeats what it repeats most.
func repeats(tree *syntax.Regexp) int {
	most := 1
	for _, sub := range tree.Sub {
		most = max(most, repeats(sub))
	}
	if tree.Op != syntax.OpRepeat {
		return most
	}
	count := tree.Max
	if count < 0 {
		count = tree.Min
	}
	return min(most*max(count, 1), repeatMax+1)
}

// unknownClass finds the first \p{name} in a pattern that Go takes and RE2 does not; empty if there
// is none.
func unknownClass(text string) string {
	for i := 0; i+2 < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		i++ // an escaped backslash escapes nothing
		switch text[i] {
		case 'Q':
			end := strings.Index(text[i:], `\E`)
			if end < 0 {
				return ""
			}
			i += end + 1
		case 'p', 'P':
			name, _, braced := strings.Cut(strings.TrimPrefix(text[i+1:], "{"), "}")
			name = strings.TrimPrefix(name, "^")
			if text[i+1] == '{' && braced && !isClass(name) {
				return name
			}
		}
	}
	return ""
}

// isClass says whether RE2 knows a class: a general category, a script, or any character.
func isClass(name string) bool {
	_, isScript := unicode.Scripts[name]
	return isScript || name == "Any" || slices.Contains(re2Categories, name)
}

// Source: RE2's syntax page, "Unicode character class names--general category".
var re2Categories = strings.Fields(
	"C Cc Cf Co Cs L Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf Pi Po Ps " +
		"S Sc Sk Sm So Z Zl Zp Zs",
)
