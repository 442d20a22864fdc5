package jsontext

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// A Pair is one member of an object: its name as it decodes, and the bytes of name and value.
type Pair struct {
	Name      string
	NameToken string
	Value     string
}

// Members splits an object that Compact gave into its members; false if the value is no object.
func Members(compact string) ([]Pair, bool) {
	rest, ok := inside(compact, '{')
	if !ok {
		return nil, false
	}
	var pairs []Pair
	for rest != "" {
		end := valueEnd(rest)
		token, after := rest[:end], rest[end+1:]
		end = valueEnd(after)
		pairs = append(pairs, Pair{Name: Unquote(token), NameToken: token, Value: after[:end]})
		rest = strings.TrimPrefix(after[end:], ",")
	}
	return pairs, true
}

// Elements splits an array that Compact gave into its elements; false if the value is no array.
func Elements(compact string) ([]string, bool) {
	rest, ok := inside(compact, '[')
	if !ok {
		return nil, false
	}
	var items []string
	for rest != "" {
		end := valueEnd(rest)
		items = append(items, rest[:end])
		rest = strings.TrimPrefix(rest[end:], ",")
	}
	return items, true
}

func inside(compact string, opening byte) (string, bool) {
	if len(compact) < 2 || compact[0] != opening {
		return "", false
	}
	return compact[1 : len(compact)-1], true
}

// valueEnd tells where the value ends that compact text begins with.
func valueEnd(text string) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			for i++; text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ':':
			if depth == 0 {
				return i
			}
		}
	}
	return len(text)
}

// Unquote decodes a string token that Compact accepted.
func Unquote(token string) string {
	inside := token[1 : len(token)-1]
	if !strings.Contains(inside, `\`) {
		return inside
	}
	var text string
	if err := json.Unmarshal([]byte(token), &text); err != nil {
		panic("a token that was not checked: " + token)
	}
	return text
}

const hexDigits = "0123456789abcdef"

// AppendString writes a string as the contract says: only `"`, `\` and U+0000 to U+001F are
// escaped, in their short form if there is one. It reports false for text that is not UTF-8, which
// has no JSON form.
func AppendString(out []byte, text string) ([]byte, bool) {
	if !utf8.ValidString(text) {
		return out, false
	}
	out = append(out, '"')
	start := 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		out = append(out, text[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			out = append(out, '\\', c)
		case '\b':
			out = append(out, `\b`...)
		case '\f':
			out = append(out, `\f`...)
		case '\n':
			out = append(out, `\n`...)
		case '\r':
			out = append(out, `\r`...)
		case '\t':
			out = append(out, `\t`...)
		default:
			out = append(out, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
		}
	}
	out = append(out, text[start:]...)
	return append(out, '"'), true
}
