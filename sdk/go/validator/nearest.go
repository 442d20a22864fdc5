package validator

import (
	"cmp"
	"slices"

	"lakehouse/sdk/go/sessionlog"
)

const nearestMax = 3 // near values named by one finding

// near is a value of a column and how far it is away.
type near struct {
	cell  cell
	edits int // of a text
}

// nearest names the values of some rows that are nearest to one, none twice: by edit distance on
// code points (of folded texts where case does not count), numbers by absolute difference, ties by
// bytes. It is empty where no value is of its type.
func nearest(v *value, cells []cell, rows []int, folded bool) ([]sessionlog.NearValue, error) {
	letters := func(text string) []rune {
		if folded {
			text = fold(text)
		}
		return []rune(text)
	}
	ours := letters(v.text)
	var found []near
	seen := make(map[string]bool)
	for _, row := range rows {
		one := cells[row]
		if one.kind != v.kind || one.kind == kindNull || seen[one.key()] {
			continue
		}
		seen[one.key()] = true
		if one.kind == kindString {
			edits := editDistance(ours, letters(one.text))
			found = append(found, near{cell: one, edits: edits})
		} else {
			found = append(found, near{cell: one})
		}
	}
	slices.SortFunc(found, func(a, b near) int {
		return cmp.Or(
			cmp.Compare(a.edits, b.edits),
			v.number.compareDistance(a.cell.number, b.cell.number),
			cmp.Compare(a.cell.text, b.cell.text),
			cmp.Compare(a.cell.raw, b.cell.raw),
		)
	})
	values := make([]sessionlog.NearValue, min(len(found), nearestMax))
	for i := range values {
		values[i].Text = found[i].cell.text
		if found[i].cell.kind == kindNumber {
			number, err := sessionlog.ParseRawNumber(found[i].cell.raw)
			if err != nil {
				return nil, err
			}
			values[i].Number = number
		}
	}
	return values, nil
}

// key is the same for equal cells.
func (c cell) key() string {
	if c.kind == kindNumber {
		return c.number.key()
	}
	return c.text
}

// editDistance counts the insertions, deletions and replacements that make one text of another
// (Levenshtein). Cost: the product of their lengths.
func editDistance(a, b []rune) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i, left := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j, right := range b {
			replaced := diagonal
			if left != right {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
