package validator

import (
	"slices"
	"strings"
)

// markPair is what a model family writes before and after its reasoning. A mark counts alone unless it
// is said not to: those that are plain words need each other.
type markPair struct {
	open, close           string
	needsClose, needsOpen bool
}

// markPairs is the list of spec/v1/reasoning_marks.json.
var markPairs = []markPair{
	{open: "<think>", close: "</think>"},
	{open: "<thinking>", close: "</thinking>"},
	{open: "<reasoning>", close: "</reasoning>"},
	{open: "<reason>", close: "</reason>"},
	{open: "<thought>", close: "</thought>"},
	{open: "<thoughts>", close: "</thoughts>"},
	{open: "<reflection>", close: "</reflection>"},
	{open: "<scratchpad>", close: "</scratchpad>"},
	{open: "<antThinking>", close: "</antThinking>"},
	{open: "<seed:think>", close: "</seed:think>"},
	{open: "<longcat_think>", close: "</longcat_think>"},
	{open: "[THINK]", close: "[/THINK]"},
	{open: "[REASONING]", close: "[/REASONING]"},
	{open: "◁think▷", close: "◁/think▷"},
	{open: "<|START_THINKING|>", close: "<|END_THINKING|>"},
	{open: "<|begin_of_thought|>", close: "<|end_of_thought|>"},
	{open: "<|inner_prefix|>", close: "<|inner_suffix|>"},
	{open: "<|think|>", close: "<|content|>", needsOpen: true},
	{open: "<|channel>thought", close: "<channel|>"},
	{open: "<unused94>thought", close: "<unused95>"},
	{open: "assistantanalysis", close: "assistantfinal"},
	{open: "Here is my thought process:", close: "Here is my response:", needsClose: true, needsOpen: true},
	{open: "Here's my thought process:", close: "Here's my response:", needsClose: true, needsOpen: true},
	{open: "Here are my reasoning steps:", close: "[BEGIN FINAL RESPONSE]", needsClose: true},
}

type markKind uint8

const (
	markOpen markKind = iota
	markClose
	markAnswer // begins the answer, whatever stood before
	markToken  // only parts what stands around it
)

// mark is one mark in a text. Its name joins an opening mark and what ends it: the closing mark in
// lower case, or harmony.
type mark struct {
	start, end int
	kind       markKind
	name       string
}

const harmony = "harmony"

// marks are those of one text, in its order: found from left to right, the longest at each place.
type marks struct {
	counting []mark
	ends     map[string][]mark
}

// knownMark is a mark in lower case.
type knownMark struct {
	text string
	kind markKind
	pair markPair
}

// knownMarks are those of the list by their first byte, the longest first.
var knownMarks = func() map[byte][]knownMark {
	byFirst := make(map[byte][]knownMark)
	for _, pair := range markPairs {
		for _, one := range []knownMark{{lower(pair.open), markOpen, pair}, {lower(pair.close), markClose, pair}} {
			byFirst[one.text[0]] = append(byFirst[one.text[0]], one)
		}
	}
	for _, known := range byFirst {
		slices.SortStableFunc(known, func(a, b knownMark) int { return len(b.text) - len(a.text) })
	}
	return byFirst
}()

// lower turns ASCII letters into small ones, and no others.
func lower(text string) string {
	folded := []byte(text)
	for i, c := range folded {
		if 'A' <= c && c <= 'Z' {
			folded[i] = c + 'a' - 'A'
		}
	}
	return string(folded)
}

// marksOf finds the marks of a text.
func marksOf(text string) *marks {
	text = lower(text)
	type found struct {
		mark
		pair *markPair
	}
	var all []found
	m := &marks{ends: make(map[string][]mark)}
	for at := 0; at < len(text); {
		next := at + 1
		if known := knownAt(text, at); known != nil {
			next = at + len(known.text)
			all = append(all, found{mark{at, next, known.kind, lower(known.pair.close)}, &known.pair})
		} else if kind, end, ok := harmonyAt(text, at); ok {
			next = end
			all = append(all, found{mark{at, next, kind, harmony}, nil})
		}
		at = next
	}
	for _, one := range all {
		if one.kind != markOpen || one.name == harmony {
			m.ends[one.name] = append(m.ends[one.name], one.mark)
		}
	}
	for _, one := range all {
		if one.pair != nil && one.kind == markClose && one.pair.needsOpen {
			continue
		}
		if one.pair != nil && one.kind == markOpen && one.pair.needsClose {
			if _, _, ends := m.endOf(one.mark, len(text)); !ends {
				continue
			}
		}
		m.counting = append(m.counting, one.mark)
	}
	return m
}

func knownAt(text string, at int) *knownMark {
	known := knownMarks[text[at]]
	for i := range known {
		if strings.HasPrefix(text[at:], known[i].text) {
			return &known[i]
		}
	}
	return nil
}

// within gives the marks that stand between two places.
func (m *marks) within(start, end int) []mark {
	from, _ := slices.BinarySearchFunc(m.counting, start, func(one mark, at int) int { return one.start - at })
	to := from
	for to < len(m.counting) && m.counting[to].end <= end {
		to++
	}
	return m.counting[from:to]
}

// first gives the first of them.
func (m *marks) first(start, end int) (mark, bool) {
	if len(m.counting) == 0 {
		return mark{}, false
	}
	from, _ := slices.BinarySearchFunc(m.counting, start, func(one mark, at int) int { return one.start - at })
	if from == len(m.counting) || m.counting[from].end > end {
		return mark{}, false
	}
	return m.counting[from], true
}

// endOf tells where the reasoning ends that a mark opens, and where the text goes on, if that is before
// a limit. A message of harmony ends at the next mark of its format, and a header goes on there.
func (m *marks) endOf(opening mark, limit int) (end, after int, found bool) {
	ends := m.ends[opening.name]
	index, _ := slices.BinarySearchFunc(ends, opening.end, func(one mark, at int) int { return one.start - at })
	if index == len(ends) || ends[index].end > limit {
		return 0, 0, false
	}
	if opening.name == harmony && ends[index].kind != markToken {
		return ends[index].start, ends[index].start, true
	}
	return ends[index].start, ends[index].end, true
}

// --- Harmony --------------------------------------------------------------------------------------

const harmonyWordsMax = 100 // characters between two tokens of a header

// harmonyAt reads a header or a token of the harmony format in lower case: what it is and where it ends.
func harmonyAt(text string, at int) (kind markKind, end int, ok bool) {
	rest := text[at:]
	if !strings.HasPrefix(rest, "<|") {
		return 0, 0, false
	}
	for _, token := range []string{"<|end|>", "<|call|>", "<|return|>", "<|message|>"} {
		if strings.HasPrefix(rest, token) {
			return markToken, at + len(token), true
		}
	}
	channel, hasChannel := 0, false
	next, started := skipToken(text, at, "<|start|>")
	role := next
	switch {
	case started:
		next = skipWords(text, next)
		if channel, hasChannel = skipToken(text, next, "<|channel|>"); hasChannel {
			next = skipWords(text, channel)
		}
	default:
		if channel, hasChannel = skipToken(text, at, "<|channel|>"); !hasChannel {
			return 0, 0, false
		}
		next = skipWords(text, channel)
	}
	if behind, constrained := skipToken(text, next, "<|constrain|>"); constrained {
		next = skipWords(text, behind)
	}
	end, whole := skipToken(text, next, "<|message|>")
	if !whole { // what is there is a token and a word
		hasChannel = !started
		if started {
			_, end = wordAt(text, role)
		} else {
			_, end = wordAt(text, channel)
		}
	}
	if hasChannel {
		if word, _ := wordAt(text, channel); word == "final" {
			return markAnswer, end, true
		}
		return markOpen, end, true
	}
	if word, _ := wordAt(text, role); word != "assistant" {
		return markOpen, end, true
	}
	if whole {
		return markAnswer, end, true
	}
	return markToken, end, true
}

func skipToken(text string, at int, token string) (next int, ok bool) {
	if strings.HasPrefix(text[at:], token) {
		return at + len(token), true
	}
	return at, false
}

// skipWords passes over what may stand between two tokens.
func skipWords(text string, at int) int {
	count := 0
	for i := range text[at:] {
		if c := text[at+i]; c == '<' || c == '\n' || count == harmonyWordsMax {
			return at + i
		}
		count++
	}
	return len(text)
}

// wordAt reads the word that follows, blanks before it aside.
func wordAt(text string, at int) (word string, end int) {
	start := len(text) - len(strings.TrimLeft(text[at:], " \t"))
	end = start
	for end < len(text) && 'a' <= text[end] && text[end] <= 'z' {
		end++
	}
	return text[start:end], end
}
