package validator

import "strings"

var thinkingTags = []string{"think", "thinking", "reasoning"}

// tag is a thinking tag: where it stands in a text, and what it is.
type tag struct {
	name       string
	closing    bool
	start, end int
}

// tagAt reads the thinking tag that stands at a place.
func tagAt(text string, start int) (tag, bool) {
	rest, ok := strings.CutPrefix(text[start:], "<")
	if !ok {
		return tag{}, false
	}
	rest, closing := strings.CutPrefix(rest, "/")
	for _, name := range thinkingTags {
		if strings.HasPrefix(rest, name+">") {
			end := len(text) - len(rest) + len(name) + 1
			return tag{name, closing, start, end}, true
		}
	}
	return tag{}, false
}

// nextTag finds the first thinking tag of a stretch of text.
func nextTag(text string, start, end int) (tag, bool) {
	text = text[:end]
	for start < end {
		offset := strings.IndexByte(text[start:], '<')
		if offset < 0 {
			break
		}
		start += offset
		if found, ok := tagAt(text, start); ok {
			return found, true
		}
		start++
	}
	return tag{}, false
}

// nextOpeningTag finds the first opening tag that stands outside the strings of a region.
func nextOpeningTag(text string, start, end int) (tag, bool) {
	inString := false
	for i := start; i < end; i++ {
		switch {
		case inString && text[i] == '\\':
			i++
		case text[i] == '"':
			inString = !inString
		case !inString && text[i] == '<':
			if found, ok := tagAt(text[:end], i); ok && !found.closing {
				return found, true
			}
		}
	}
	return tag{}, false
}

// endOf finds the tag that closes an opening one, before a limit.
func (t tag) endOf(text string, limit int) (start, end int, found bool) {
	name := "</" + t.name + ">"
	offset := strings.Index(text[t.end:limit], name)
	if offset < 0 {
		return 0, 0, false
	}
	start = t.end + offset
	return start, start + len(name), true
}
