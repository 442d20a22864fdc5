package validator

import "strings"

// unclosedRegionsMax is how many brackets without an end thinking is looked for behind: each may cost
// the rest of the text.
const unclosedRegionsMax = 4

// region is a stretch of a text that may be JSON.
type region struct {
	start, end int
	closed     bool // its end was there
}

// scanned is what a text holds: the content of blocks and the regions of the prose, in their order,
// and what is left once thinking is set aside.
type scanned struct {
	text       string
	fenced     []region
	prose      []region
	rest       []region
	thought    bool // there is thinking
	unfinished bool // the text ends within thinking, or within a region that has thinking in it
	restStart  int
	nextFence  int
	unclosed   int
}

// scan takes a text apart from left to right.
func scan(text string) *scanned {
	s := &scanned{text: text, nextFence: -1}
	lineStart := true
	for at := 0; at < len(text); {
		next := at + 1
		if lineStart {
			if block, ok := blockAt(text, at); ok {
				next = s.takeBlock(block)
				lineStart, at = false, next
				continue
			}
		}
		switch text[at] {
		case '<':
			if tag, ok := tagAt(text, at); ok {
				next = s.takeTag(tag)
			}
		case '{', '[':
			next = s.takeBracket(at)
		}
		lineStart, at = text[next-1] == '\n', next
	}
	s.setAside(len(text), len(text))
	return s
}

func (s *scanned) setAside(start, end int) {
	if start > s.restStart {
		s.rest = append(s.rest, region{s.restStart, start, true})
	}
	s.restStart = end
}

// takeBlock takes the content of a block. Thinking in it is set aside, and what is left is taken if
// it is one piece. An opening tag whose end does not come in a closed block is content.
func (s *scanned) takeBlock(b block) (next int) {
	content := region{b.start, b.end, b.closed}
	if _, ok := s.tagOutsideJSON(content); !ok {
		s.fenced = append(s.fenced, content)
		return b.after
	}
	var pieces []region
	piece := b.start
	for at := b.start; ; {
		tag, ok := nextTag(s.text, at, b.end)
		if !ok {
			break
		}
		at = tag.end
		if tag.closing {
			if !s.thought {
				return s.endThinking(tag)
			}
			continue
		}
		_, end, closed := tag.endOf(s.text, b.end)
		if !closed {
			if b.closed {
				continue
			}
			end, s.unfinished = len(s.text), true
		}
		s.thought = true
		s.setAside(tag.start, end)
		pieces = append(pieces, region{piece, tag.start, true})
		piece, at = end, end
	}
	pieces = append(pieces, region{piece, b.end, b.closed})
	var left []region
	for _, one := range pieces {
		if !isBlank(s.text[one.start:one.end]) {
			left = append(left, one)
		}
	}
	if len(left) > 1 {
		left = []region{content}
	}
	s.fenced = append(s.fenced, left...)
	return b.after
}

// takeTag sets aside the thinking that a tag begins or ends.
func (s *scanned) takeTag(t tag) (next int) {
	if t.closing {
		return s.endThinking(t)
	}
	_, end, closed := t.endOf(s.text, len(s.text))
	if !closed {
		end, s.unfinished = len(s.text), true
	}
	s.thought = true
	s.setAside(t.start, end)
	return s.behindThinking(end)
}

// endThinking takes a closing tag that nothing opened. Only the first can end thinking that began at
// the start.
func (s *scanned) endThinking(t tag) (next int) {
	if s.thought {
		return t.end
	}
	s.thought = true
	s.fenced, s.prose = nil, nil
	s.setAside(0, t.end)
	return s.behindThinking(t.end)
}

// behindThinking goes on where thinking ended: a line begins there, and so may a fence.
func (s *scanned) behindThinking(at int) (next int) {
	if at < len(s.text) {
		if block, ok := blockAt(s.text, at); ok {
			return s.takeBlock(block)
		}
	}
	return at
}

// tagOutsideJSON gives the first tag in a region that is no JSON.
func (s *scanned) tagOutsideJSON(r region) (tag, bool) {
	found, ok := nextTag(s.text, r.start, r.end)
	if !ok {
		return tag{}, false
	}
	if _, err := parse(s.text[r.start:r.end]); err == nil {
		return tag{}, false
	}
	return found, true
}

// takeBracket takes the region at a bracket, or passes over brackets that begin no array.
func (s *scanned) takeBracket(start int) (next int) {
	begins, next := beginsRegion(s.text, start)
	if !begins {
		return next
	}
	if s.nextFence < start {
		s.nextFence = nextFence(s.text, start)
	}
	end, closed := regionEnd(s.text[:s.nextFence], start)
	found := region{start, end, closed}
	if tag, ok := s.tagOutsideJSON(found); ok {
		// Brackets and quotes mean nothing in thinking that began at the start.
		if tag.closing && !s.thought {
			return s.endThinking(tag)
		}
		if !closed {
			found = s.upToThinking(found)
		}
	}
	s.prose = append(s.prose, found)
	return found.end
}

// upToThinking cuts a region that has no end, and so is no JSON, at the first thinking in it.
func (s *scanned) upToThinking(r region) region {
	if s.unclosed == unclosedRegionsMax {
		return r
	}
	s.unclosed++
	if tag, ok := nextOpeningTag(s.text, r.start, r.end); ok {
		s.unfinished = s.unfinished || r.end == len(s.text)
		r.end = tag.start
	}
	return r
}

// beginsRegion says whether an object or an array begins here, and where to look next if not. A [
// that does not begin a JSON array is prose, and so are those right before it.
func beginsRegion(text string, start int) (begins bool, next int) {
	if text[start] == '{' {
		return true, start
	}
	next = start
	for i := start; i < len(text) && text[i] == '['; {
		next = i + 1
		i = next + len(text[next:]) - len(strings.TrimLeft(text[next:], " \t\r\n"))
	}
	return beginsElement(strings.TrimLeft(text[next:], " \t\r\n")), next
}

func beginsElement(text string) bool {
	if text == "" {
		return true // nothing follows that could say otherwise
	}
	switch c := text[0]; {
	case c == '{', c == '"', c == ']', '0' <= c && c <= '9':
		return true
	case c == '-':
		return len(text) > 1 && '0' <= text[1] && text[1] <= '9'
	}
	for _, word := range []string{"true", "false", "null"} {
		if rest, ok := strings.CutPrefix(text, word); ok {
			return rest == "" || strings.ContainsRune(" \t\r\n,]", rune(rest[0]))
		}
	}
	return false
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
