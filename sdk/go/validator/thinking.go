package validator

import "strings"

// scanBytesMax bounds what is read to tell whether a tag stands in JSON: a text of brackets that
// never close would cost its length squared.
const scanBytesMax = 64 << 20

var thinkingTags = []string{"think", "thinking", "reasoning"}

// withoutThinking sets thinking aside: what stands between tags outside of JSON, and all before a
// closing tag without an opening one. A line break is left in its place. It says whether the text
// ends inside of it.
func withoutThinking(text string) (rest string, unclosed bool) {
	var kept strings.Builder
	scanned := 0
	regionsFrom := 0 // brackets before it were looked at
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '<':
			name, closing := tagAt(text[i:])
			if name == "" {
				kept.WriteByte(c)
				i++
				continue
			}
			i += len(name) + 2
			if closing {
				i++
				kept.Reset() // thinking began at the start
			} else {
				length := strings.Index(text[i:], "</"+name+">")
				if length < 0 {
					return kept.String(), true
				}
				i += length + len(name) + 3
			}
			kept.WriteByte('\n')
			regionsFrom = i
		case i >= regionsFrom && scanned < scanBytesMax && beginsRegion(text, i):
			end, closed := regionEnd(text, i)
			scanned += end - i
			regionsFrom = end
			if closed {
				if _, err := parse(text[i:end]); err == nil {
					kept.WriteString(text[i:end])
					i = end
					continue
				}
			}
			kept.WriteByte(c)
			i++
		default:
			kept.WriteByte(c)
			i++
		}
	}
	return kept.String(), false
}

// tagAt reads a thinking tag that a text begins with.
func tagAt(text string) (name string, closing bool) {
	text, closing = strings.CutPrefix(text[1:], "/")
	for _, name := range thinkingTags {
		if strings.HasPrefix(text, name+">") {
			return name, closing
		}
	}
	return "", false
}
