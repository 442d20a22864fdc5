package validator

import "strings"

// block is a fenced block: where its content stands, where the text goes on, whether it was closed.
type block struct {
	start, end, after int
	closed            bool
}

// blockAt reads the fenced block whose fence stands at a place, where a line begins.
func blockAt(text string, start int) (block, bool) {
	line, contentStart := lineAt(text, start)
	line = unindented(line)
	fence := fenceOf(line)
	if !opensBlock(line, fence) {
		return block{}, false
	}
	for at := contentStart; at < len(text); {
		line, next := lineAt(text, at)
		line = unindented(strings.TrimSuffix(line, "\r"))
		closing := fenceOf(line)
		if strings.HasPrefix(closing, fence) && strings.Trim(line[len(closing):], " \t") == "" {
			return block{contentStart, at, at + len(strings.TrimSuffix(text[at:next], "\n")), true}, true
		}
		at = next
	}
	return block{contentStart, len(text), len(text), false}, true
}

// nextFence finds the line from a place on that opens a block: where it begins, or the text's end.
func nextFence(text string, start int) int {
	if start > 0 && text[start-1] != '\n' {
		_, start = lineAt(text, start)
	}
	for start < len(text) {
		line, next := lineAt(text, start)
		if line = unindented(line); opensBlock(line, fenceOf(line)) {
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
