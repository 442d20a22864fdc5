package validator

import "strings"

// scanBytesMax bounds what is read to tell whether a tag stands in a region: a text of brackets that
// never close would cost its length squared.
const scanBytesMax = 16 << 20

var thinkingTags = []string{"think", "thinking", "reasoning"}

// withoutThinking sets thinking aside: what stands between tags, and all before a closing tag if it is
// the first tag of the text. It gives the pieces that are left, and says whether the text ends inside
// thinking.
//
// An opening tag inside a balanced region is none: regions are never looked into. A closing one that
// nothing opened is, unless the region parses: brackets mean nothing in thinking.
func withoutThinking(text string) (pieces []string, unclosed bool) {
	start, scanned := 0, 0
	first := true // no tag came yet
	for i := 0; i < len(text); {
		switch name, closing := tagAt(text[i:]); {
		case closing && first:
			i += len(name) + 3
			start, first = i, false
			continue
		case name != "" && !closing:
			pieces = append(pieces, text[start:i])
			i += len(name) + 2
			length := strings.Index(text[i:], "</"+name+">")
			if length < 0 {
				return pieces, true
			}
			i += length + len(name) + 3
			start, first = i, false
			continue
		}
		if scanned >= scanBytesMax {
			i++
			continue
		}
		begins, next := beginsRegion(text, i)
		if !begins {
			i = next
			continue
		}
		end, closed := regionEnd(text, i)
		scanned += end - i
		switch {
		case closed && first:
			i += endOfThinking(text[i:end])
		case closed:
			i = end
		default:
			i++
		}
	}
	return append(pieces, text[start:]), false
}

// endOfThinking tells how far a region can be passed over: as a whole, or to the closing tag in it
// that ends thinking.
func endOfThinking(region string) int {
	for offset := strings.IndexByte(region, '<'); offset >= 0 && offset < len(region); offset++ {
		if name, closing := tagAt(region[offset:]); closing {
			if _, err := parse(region); err != nil {
				return offset
			}
			break
		} else if name != "" {
			break
		}
	}
	return len(region)
}

// tagAt reads a thinking tag that a text begins with.
func tagAt(text string) (name string, closing bool) {
	if text[0] != '<' {
		return "", false
	}
	text, closing = strings.CutPrefix(text[1:], "/")
	for _, name := range thinkingTags {
		if strings.HasPrefix(text, name+">") {
			return name, closing
		}
	}
	return "", false
}
