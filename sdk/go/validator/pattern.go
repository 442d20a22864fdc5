package validator

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/santhosh-tekuri/jsonschema/v6"
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
	if name := unknownClass(text); name != "" {
		return nil, fmt.Errorf("RE2 has no class \\p{%s}", name)
	}
	return pattern{compiled}, nil
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
