package validator

import (
	"strings"
	"unicode"
)

// block is a fenced block: where its content stands, where the text goes on, whether it was closed.
type block struct {
	start, end, after int
	closed            bool
}

// blockAt reads the fenced block whose fence stands at a place, where a line begins, before a limit.
//
// Beside CommonMark's fences it knows a closing one right behind the value on its last line, one with
// special tokens behind it, and a value that begins on the line of the opening one.
func blockAt(text string, start, limit int) (block, bool) {
	text = text[:limit]
	line, contentStart := lineAt(text, start)
	item := itemOf(unindented(line))
	indented := len(line) - len(unindented(line)) + item
	line = line[indented:]
	fence := fenceOf(line)
	if !opensBlock(line, fence) {
		return block{}, false
	}
	found := block{contentStart, limit, limit, false}
	for at := contentStart; at < len(text); {
		line, next := lineAt(text, at)
		indent := len(line) - len(strings.TrimLeft(line, " "))
		if length := closingLength(line[indent:], fence); length > 0 && indent <= item+3 {
			found = block{contentStart, at, at + indent + length, true}
			break
		}
		at = next
	}
	if value, ok := valueInInfo(text, start+indented+len(fence), found, fence); ok {
		found.start = value
	}
	if end, ok := valueEnd(text, found.start, found.end); ok {
		if after, ok := runAt(text, end, found.end, fence); ok {
			return block{found.start, end, after, true}, true
		}
	}
	return found, true
}

// closingLength is the length of the fence if a line closes a block: it stands alone there, special
// tokens aside.
func closingLength(line, fence string) int {
	run := fenceOf(line)
	if !strings.HasPrefix(run, fence) {
		return 0
	}
	rest := strings.TrimSuffix(line[len(run):], "\r")
	for {
		rest = strings.TrimLeft(rest, " \t")
		if rest == "" {
			return len(run)
		}
		length := specialToken(rest)
		if length == 0 {
			return 0
		}
		rest = rest[length:]
	}
}

// specialToken is the length of a token such as <|return|> that a text begins with.
func specialToken(text string) int {
	rest, ok := strings.CutPrefix(text, "<|")
	if !ok {
		return 0
	}
	name := strings.IndexFunc(rest, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '_'
	})
	if name < 1 || name > 32 || !strings.HasPrefix(rest[name:], "|>") {
		return 0
	}
	return 2 + name + 2
}

// valueInInfo finds a value that begins in the info string and is all there is in a block.
func valueInInfo(text string, info int, b block, fence string) (start int, ok bool) {
	offset := strings.IndexAny(text[info:max(info, b.start)], "{[")
	if offset < 0 {
		return 0, false
	}
	start = info + offset
	end, closed := regionEnd(text[:b.end], start)
	if !closed {
		return 0, false
	}
	if _, fenced := runAt(text, end, b.end, fence); !fenced && !isBlank(text[end:b.end]) {
		return 0, false
	}
	_, err := parse(text[start:end])
	return start, err == nil
}

// valueEnd tells where the value ends that a block begins with. A scalar has to be JSON.
func valueEnd(text string, start, end int) (valueEnd int, ok bool) {
	at := end - len(strings.TrimLeftFunc(text[start:end], unicode.IsSpace))
	if at == end {
		return 0, false
	}
	if text[at] == '{' || text[at] == '[' {
		if begins, _ := beginsRegion(text[:end], at); begins {
			return regionEnd(text[:end], at)
		}
	}
	valueEnd = at
	if text[at] == '"' {
		valueEnd = stringEnd(text[:end], at)
	} else {
		length := strings.IndexAny(text[at:end], " \t\n\r`~")
		if length < 0 {
			length = end - at
		}
		valueEnd = at + length
	}
	_, err := parse(text[at:valueEnd])
	return valueEnd, err == nil
}

// stringEnd tells where the string ends that begins at a place, or the text.
func stringEnd(text string, start int) int {
	for i := start + 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

// runAt finds the closing fence right behind a value.
func runAt(text string, at, end int, fence string) (after int, ok bool) {
	rest := strings.TrimLeft(text[at:end], " \t")
	run := fenceOf(rest)
	if !strings.HasPrefix(run, fence) {
		return 0, false
	}
	return end - len(rest) + len(run), true
}

// nextFence finds the line from a place on that opens a block: where it begins, or the text's end.
func nextFence(text string, start int) int {
	if start > 0 && text[start-1] != '\n' {
		_, start = lineAt(text, start)
	}
	for start < len(text) {
		line, next := lineAt(text, start)
		line = unindented(line)
		if line = line[itemOf(line):]; opensBlock(line, fenceOf(line)) {
			return start
		}
		start = next
	}
	return len(text)
}

// lineAt gives the line from a place on, without its line feed, and where the next one begins.
func lineAt(text string, start int) (line string, next int) {
	length := strings.IndexByte(text[start:], '\n')
	if length < 0 {
		return text[start:], len(text)
	}
	return text[start : start+length], start + length + 1
}

// unindented takes the spaces away that may stand before a fence: three at most (CommonMark 4.5).
func unindented(line string) string {
	for range 3 {
		line = strings.TrimPrefix(line, " ")
	}
	return line
}

// itemOf is the length of the marker of a list that may stand before an opening fence.
func itemOf(line string) int {
	marker := len(line) - len(strings.TrimLeft(line, "0123456789"))
	switch {
	case marker >= len(line), marker > 9:
		return 0
	case marker == 0 && strings.ContainsRune("-*+", rune(line[0])):
	case marker > 0 && strings.ContainsRune(".)", rune(line[marker])):
	default:
		return 0
	}
	marker++
	blanks := len(line[marker:]) - len(strings.TrimLeft(line[marker:], " \t"))
	if blanks < 1 || blanks > 4 {
		return 0
	}
	return marker + blanks
}

// fenceOf gives the backticks or tildes that a line begins with.
func fenceOf(line string) string {
	if line == "" || line[0] != '`' && line[0] != '~' {
		return ""
	}
	return line[:len(line)-len(strings.TrimLeft(line, line[:1]))]
}

// opensBlock says whether a fence begins a block: an info string of a fence of backticks has none,
// or the line would be code within prose.
func opensBlock(line, fence string) bool {
	if len(fence) < 3 {
		return false
	}
	return fence[0] == '~' || !strings.Contains(line[len(fence):], "`")
}
