package validator

import (
	"slices"
	"strings"

	"lakehouse/sdk/go/sessionlog"
)

const outputBytesMax = 1 << 20 // of one answer; more is the finding too_large

// extraction is what an answer holds: candidates in the order in which they are tried, those of a class
// together, or the code and the words for why there is none.
type extraction struct {
	classes [][]*value
	code    sessionlog.FindingCode
	message string
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
		return extraction{classes: [][]*value{{whole}}}
	}
	parts := scan(output)
	pieces := slices.DeleteFunc(parts.rest, func(r region) bool { return isBlank(output[r.start:r.end]) })
	if len(pieces) == 1 {
		if whole, err := parse(output[pieces[0].start:pieces[0].end]); err == nil {
			return extraction{classes: [][]*value{{whole}}}
		}
	}
	fenced, prose := judge(output, parts.fenced), judge(output, parts.prose)
	atEnd := func(r region) bool { return isCutOff(output, r) }
	cutOff := parts.unfinished || slices.ContainsFunc(parts.fenced, atEnd) || slices.ContainsFunc(parts.prose, atEnd)
	switch {
	case len(fenced.candidates)+len(prose.candidates) > 0:
		return extraction{classes: [][]*value{fenced.candidates, prose.candidates}}
	case cutOff:
		return failed(sessionlog.FindingTruncated, "The answer ends in the middle.")
	case parts.thought && len(pieces) == 0:
		return failed(sessionlog.FindingEmpty, "The answer holds nothing but thinking.")
	case fenced.begun || prose.begun:
		return failed(sessionlog.FindingInvalidJSON, "What begins like JSON does not parse.")
	default:
		return failed(sessionlog.FindingNoJSON, "The answer holds no JSON.")
	}
}

func isBlank(text string) bool {
	return strings.TrimSpace(text) == ""
}

// judged is what regions hold.
type judged struct {
	candidates []*value
	begun      bool // something begins like an object or array
}

func judge(text string, regions []region) judged {
	var found judged
	for _, r := range regions {
		source := text[r.start:r.end]
		if candidate, err := parse(source); err == nil {
			found.candidates = append(found.candidates, candidate)
			continue
		}
		source = strings.TrimSpace(source)
		if source == "" || source[0] != '{' && source[0] != '[' {
			continue
		}
		begins, _ := beginsRegion(source, 0)
		found.begun = found.begun || begins
	}
	return found
}
