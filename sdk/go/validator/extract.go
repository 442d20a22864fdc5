package validator

import (
	"slices"
	"strings"
	"unicode"

	"lakehouse/sdk/go/sessionlog"
)

const outputBytesMax = 1 << 20 // of one answer; more is the finding too_large

// extraction is what an answer holds: candidates in the order in which they are tried, or the code
// and the words for why there is none.
type extraction struct {
	candidates []*value
	code       sessionlog.FindingCode
	message    string
}

func failed(code sessionlog.FindingCode, message string) extraction {
	return extraction{code: code, message: message}
}

// extract finds the JSON in an answer (contract section 1, Extraction).
func extract(output string) extraction {
	if len(output) > outputBytesMax {
		return failed(sessionlog.FindingTooLarge, "The answer is over 1 MiB.")
	}
	if isBlank(output) {
		return failed(sessionlog.FindingEmpty, "The answer is empty.")
	}
	if whole, err := parse(output); err == nil {
		return extraction{candidates: []*value{whole}}
	}
	pieces, unclosed := withoutThinking(output)
	pieces = slices.DeleteFunc(pieces, isBlank)
	if len(pieces) == 1 {
		if whole, err := parse(pieces[0]); err == nil {
			return extraction{candidates: []*value{whole}}
		}
	}
	found := search(pieces)
	switch {
	case len(found.candidates) > 0:
		return extraction{candidates: found.candidates}
	case unclosed:
		return failed(sessionlog.FindingTruncated, "The answer ends inside its thinking.")
	case found.unclosed:
		return failed(sessionlog.FindingTruncated, "The answer ends inside a JSON value.")
	case found.begun:
		return failed(sessionlog.FindingInvalidJSON, "What begins like JSON does not parse.")
	case len(pieces) == 0:
		return failed(sessionlog.FindingEmpty, "The answer holds nothing but thinking.")
	default:
		return failed(sessionlog.FindingNoJSON, "The answer holds no JSON.")
	}
}

func isBlank(text string) bool {
	return strings.TrimSpace(text) == ""
}

// searched is what a text holds outside of thinking.
type searched struct {
	candidates []*value
	begun      bool // something begins like an object or array
	unclosed   bool // the text ends inside one
}

// search takes the whole content of each fenced block, then the regions in the prose around them.
func search(pieces []string) searched {
	var fenced, inProse searched
	for i, piece := range pieces {
		blocks, prose := splitFences(piece)
		for _, block := range blocks {
			fenced.addBlock(block)
		}
		for j, text := range prose {
			last := i == len(pieces)-1 && j == len(prose)-1
			inProse.addRegions(text, last)
		}
	}
	return searched{
		candidates: append(fenced.candidates, inProse.candidates...),
		begun:      fenced.begun || inProse.begun,
		unclosed:   fenced.unclosed || inProse.unclosed,
	}
}

// addBlock takes the content of a fenced block as a whole.
func (s *searched) addBlock(block block) {
	if whole, err := parse(block.content); err == nil {
		s.candidates = append(s.candidates, whole)
		return
	}
	content := strings.TrimSpace(block.content)
	if content == "" {
		return
	}
	if begins, _ := beginsRegion(content, 0); !begins {
		return
	}
	s.begun = true
	if _, closed := regionEnd(content, 0); !closed {
		s.unclosed = s.unclosed || !block.closed
	}
}

// addRegions takes the balanced region at each { and at each [ that begins an array. One that does
// not parse is skipped as a whole. Only the last text can be one that ends in the middle.
func (s *searched) addRegions(text string, last bool) {
	for i := 0; i < len(text); {
		begins, next := beginsRegion(text, i)
		if !begins {
			i = next
			continue
		}
		if !last && strings.Trim(text[i:], "[ \t\r\n") == "" {
			return // brackets before a fence, which begin no array
		}
		s.begun = true
		end, closed := regionEnd(text, i)
		if !closed {
			s.unclosed = last
			return
		}
		if candidate, err := parse(text[i:end]); err == nil {
			s.candidates = append(s.candidates, candidate)
		}
		i = end
	}
}

// beginsRegion says whether an object or an array begins here, and where to look next if not. A [
// that does not begin a JSON array is prose, and so are those right before it.
func beginsRegion(text string, start int) (begins bool, next int) {
	if text[start] == '{' {
		return true, start
	}
	for i := start; text[i] == '['; {
		i++
		i += len(text[i:]) - len(strings.TrimLeft(text[i:], " \t\r\n"))
		if i >= len(text) {
			return true, start // nothing follows that could say otherwise
		}
		if text[i] != '[' {
			return beginsElement(text[i:]), i
		}
	}
	return false, start + 1
}

func beginsElement(text string) bool {
	switch c := text[0]; {
	case c == '{', c == '"', c == ']', '0' <= c && c <= '9':
		return true
	case c == '-':
		return len(text) > 1 && '0' <= text[1] && text[1] <= '9'
	}
	word := text
	if end := strings.IndexFunc(text, isNoWordCharacter); end >= 0 {
		word = text[:end]
	}
	return word == "true" || word == "false" || word == "null"
}

func isNoWordCharacter(r rune) bool {
	return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
}

// regionEnd tells where the brackets that open at start are all closed again, strings aside.
func regionEnd(text string, start int) (end int, closed bool) {
	depth := 0
	inString := false
	for i := start; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				return i + 1, true
			}
		}
	}
	return len(text), false
}
