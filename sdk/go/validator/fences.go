package validator

import "strings"

// block is the content of one fenced block.
type block struct {
	content string
	closed  bool
}

// splitFences cuts a text into its fenced blocks and the prose around them: one piece more than
// there are blocks.
func splitFences(text string) (blocks []block, prose []string) {
	proseStart, contentStart := 0, 0
	opened := "" // the fence of the block that is open
	for start := 0; start < len(text); {
		end := len(text)
		if length := strings.IndexByte(text[start:], '\n'); length >= 0 {
			end = start + length + 1
		}
		line := unindented(strings.TrimRight(text[start:end], " \t\r\n"))
		switch fence := fenceOf(line); {
		case opened == "" && opensBlock(line, fence):
			prose = append(prose, text[proseStart:start])
			opened, contentStart = fence, end
		case opened != "" && fence == line && strings.HasPrefix(fence, opened):
			blocks = append(blocks, block{text[contentStart:start], true})
			opened, proseStart = "", end
		}
		start = end
	}
	if opened != "" {
		return append(blocks, block{text[contentStart:], false}), append(prose, "")
	}
	return blocks, append(prose, text[proseStart:])
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
