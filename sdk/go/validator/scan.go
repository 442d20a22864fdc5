package validator

import (
	"strings"
	"unicode"
)

// unclosedRegionsMax is how many brackets without an end thinking is looked for behind: each may cost
// the rest of the text.
const unclosedRegionsMax = 4

// blocksDeepMax is how deep blocks within blocks are looked for.
const blocksDeepMax = 4

// region is a stretch of a text that may be JSON.
type region struct {
	start, end int
	closed     bool // its end was there
}

// scanned is what a text holds: the content of blocks and the regions of the prose, in their order,
// and what is left once thinking is set aside.
type scanned struct {
	text       string
	marks      *marks
	fenced     []region
	prose      []region
	rest       []region
	aside      bool // something was set aside
	thought    bool // there is thinking
	answered   bool // a mark began the answer
	unfinished bool // the text ends within thinking, or within a value that has thinking in it
	restStart  int
	nextFence  int
	unclosed   int
}

// scan takes a text apart from left to right.
func scan(text string) *scanned {
	s := &scanned{text: text, marks: marksOf(text), nextFence: -1}
	lineStart := true
	for at := 0; at < len(text); {
		next := at + 1
		if found, ok := s.marks.first(at, len(text)); ok && found.start == at {
			next = s.takeMark(found)
			lineStart, at = next > 0 && text[next-1] == '\n', next
			continue
		}
		if lineStart {
			if block, ok := blockAt(text, at, len(text)); ok {
				next = s.takeBlock(block)
				lineStart, at = text[next-1] == '\n', next
				continue
			}
		}
		if text[at] == '{' || text[at] == '[' {
			next = s.takeBracket(at)
		}
		lineStart, at = text[next-1] == '\n', next
	}
	if s.aside {
		s.setAside(len(text), len(text))
	}
	return s
}

func (s *scanned) setAside(start, end int) {
	if start > s.restStart {
		s.rest = append(s.rest, region{s.restStart, start, true})
	}
	s.restStart, s.aside = end, true
}

// takeBlock takes the content of a block. Thinking in it is set aside, and what is left is taken if
// it is one piece. An opening mark whose end does not come in a closed block is content.
func (s *scanned) takeBlock(b block) (next int) {
	content := region{b.start, b.end, b.closed}
	if _, ok := s.markOutsideJSON(content); !ok {
		s.takeContent(content, 1)
		return b.after
	}
	var pieces []region
	piece := b.start
	for at := b.start; ; {
		found, ok := s.marks.first(at, b.end)
		if !ok {
			break
		}
		at = found.end
		if found.kind == markAnswer || found.kind == markClose && !s.thought {
			return s.takeMark(found)
		}
		if found.kind != markOpen {
			continue
		}
		_, after, ends := s.marks.endOf(found, b.end)
		if !ends {
			if b.closed {
				continue
			}
			after, s.unfinished = len(s.text), true
		}
		s.thought = true
		s.setAside(found.start, after)
		pieces = append(pieces, region{piece, found.start, true})
		piece, at = after, after
	}
	pieces = append(pieces, region{piece, b.end, b.closed})
	var left []region
	for _, one := range pieces {
		if one.start < one.end && !isBlank(s.text[one.start:one.end]) {
			left = append(left, one)
		}
	}
	if len(left) > 1 {
		left = []region{content}
	}
	for _, one := range left {
		s.takeContent(one, 1)
	}
	return b.after
}

// takeContent takes what stands in a block, and where that is no JSON the blocks within it.
func (s *scanned) takeContent(content region, deep int) {
	s.fenced = append(s.fenced, content)
	if deep == blocksDeepMax {
		return
	}
	text := s.text[:content.end]
	at := nextFence(text, content.start)
	if at == len(text) {
		return
	}
	if _, err := parse(text[content.start:]); err == nil {
		return
	}
	for at < len(text) {
		inner, _ := blockAt(text, at, len(text))
		s.takeContent(region{inner.start, inner.end, inner.closed}, deep+1)
		at = nextFence(text, inner.after)
	}
}

// takeMark does what a mark outside JSON says.
func (s *scanned) takeMark(m mark) (next int) {
	switch {
	case m.kind == markOpen:
		_, end, ends := s.marks.endOf(m, len(s.text))
		if !ends {
			end, s.unfinished = len(s.text), true
		}
		s.thought = true
		s.setAside(m.start, end)
		return s.behindThinking(end)
	case m.kind == markToken || m.kind == markAnswer && s.answered:
		s.setAside(m.start, m.end)
		return s.behindThinking(m.end)
	case m.kind == markClose && s.thought:
		return m.end // only the first can end thinking that began at the start
	}
	// All before it was thinking.
	s.answered = m.kind == markAnswer
	s.thought, s.aside, s.unfinished = true, true, false
	s.fenced, s.prose, s.rest = nil, nil, nil
	s.restStart = m.end
	return s.behindThinking(m.end)
}

// behindThinking goes on where thinking ended: a line begins there, and so may a fence.
func (s *scanned) behindThinking(at int) (next int) {
	if at < len(s.text) {
		if block, ok := blockAt(s.text, at, len(s.text)); ok {
			return s.takeBlock(block)
		}
	}
	return at
}

// markOutsideJSON gives the first mark in a region that is no JSON, or the one that begins the answer.
func (s *scanned) markOutsideJSON(r region) (mark, bool) {
	found := s.marks.within(r.start, r.end)
	if len(found) == 0 {
		return mark{}, false
	}
	if _, err := parse(s.text[r.start:r.end]); err == nil {
		return mark{}, false
	}
	if !s.answered {
		for _, one := range found {
			if one.kind == markAnswer {
				return one, true
			}
		}
	}
	return found[0], true
}

// takeBracket takes the region at a bracket, or passes over brackets that begin no array.
func (s *scanned) takeBracket(start int) (next int) {
	begins, next := beginsRegion(s.text, start)
	if !begins {
		if inner, ok := s.marks.first(start, len(s.text)); ok {
			return min(next, inner.start)
		}
		return next
	}
	if s.nextFence < start {
		s.nextFence = nextFence(s.text, start)
	}
	end, closed := regionEnd(s.text[:s.nextFence], start)
	found := region{start, end, closed}
	if m, ok := s.markOutsideJSON(found); ok {
		// Brackets and quotes mean nothing in thinking that began at the start.
		if m.kind == markClose && !s.thought || m.kind == markAnswer && !s.answered {
			return s.takeMark(m)
		}
		if !closed {
			found = s.upToThinking(found)
		}
	}
	s.prose = append(s.prose, found)
	return found.end
}

// upToThinking cuts a region that has no end, and so is no JSON, at the first mark in it that is
// outside its strings and closes nothing.
func (s *scanned) upToThinking(r region) region {
	if s.unclosed == unclosedRegionsMax {
		return r
	}
	s.unclosed++
	found := s.marks.within(r.start, r.end)
	for at := r.start; at < r.end && len(found) > 0; {
		switch {
		case found[0].start < at: // within a string
			found = found[1:]
		case found[0].start == at && found[0].kind == markClose:
			found = found[1:]
		case found[0].start == at:
			if r.end == len(s.text) {
				s.unfinished = s.unfinished || endsWithin(s.text, r.start, at)
			}
			r.end = at
			return r
		case s.text[at] == '"':
			at = stringEnd(s.text[:r.end], at)
		default:
			at++
		}
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

// isCutOff says whether the end of the text cut off an object or array that a region begins with. A
// block that is not closed may hold one that is, and is merely broken.
func isCutOff(text string, r region) bool {
	if r.closed || r.end < len(text) {
		return false
	}
	start := r.end - len(strings.TrimLeftFunc(text[r.start:r.end], unicode.IsSpace))
	if start == r.end || text[start] != '{' && text[start] != '[' {
		return false
	}
	if begins, _ := beginsRegion(text, start); !begins {
		return false
	}
	if _, closed := regionEnd(text, start); closed {
		return false
	}
	return endsWithin(text, start, len(text))
}

// endsWithin says whether an object or array that is not closed ends where more than brackets is
// missing: within a string or a literal, after the name of a member or its colon, or after a comma. A
// number that ends with the text may lack digits.
func endsWithin(text string, start, end int) bool {
	var opened []byte
	var before, last byte // the last bytes of the last two tokens
	var token string      // the last one
	tokenEnd := start
	inName := false // the last token is a string where a name stands
	for i := start; i < end; {
		c := text[i]
		if c == ' ' || c == '\t' || c == '\n' || c == '\r' {
			i++
			continue
		}
		next := i + 1
		switch c {
		case '"':
			next = stringEnd(text[:end], i)
			if next-i < 2 || text[next-1] != '"' || isEscaped(text[i+1:next-1]) {
				return true
			}
			inName = last == '{' || last == ',' && len(opened) > 0 && opened[len(opened)-1] == '{'
		case '{', '[':
			opened = append(opened, c)
		case '}', ']':
			opened = opened[:max(len(opened)-1, 0)]
		case ':', ',':
		default:
			for next < end && !strings.ContainsRune(" \t\n\r\"[]{}:,", rune(text[next])) {
				next++
			}
		}
		before, last = last, text[next-1]
		token, tokenEnd = text[i:next], next
		i = next
	}
	switch {
	case token == "":
		return false
	case token == ":" || token == ",":
		return true
	case token[0] == '"':
		return inName
	case tokenEnd < len(text) || before != ':' && before != ',' && before != '[':
		return false
	}
	for _, word := range []string{"true", "false", "null"} {
		if strings.HasPrefix(word, token) && word != token {
			return true
		}
	}
	rest := strings.TrimPrefix(token, "-")
	return rest == "" || '0' <= rest[0] && rest[0] <= '9' && strings.Trim(rest, "0123456789.eE+-") == ""
}

// isEscaped says whether what follows a text within a string is escaped.
func isEscaped(text string) bool {
	return (len(text)-len(strings.TrimRight(text, `\`)))%2 == 1
}
