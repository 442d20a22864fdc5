package validator

import (
	"encoding/csv"
	"fmt"
	"io"
)

// A Table is rows that values are looked up in. A column that is looked up in holds texts or numbers,
// not both; what a row lacks, or null, is nothing. A Table is safe for concurrent use.
type Table struct {
	columns map[string][]cell
	rows    int
}

// column gives a column that can be looked up in, and what it holds: kindNull for nothing at all.
func (t *Table) column(name string) ([]cell, kind, error) {
	cells, ok := t.columns[name]
	if !ok && len(t.columns) > 0 {
		return nil, kindNull, fmt.Errorf("there is no column %q", name)
	}
	// A table without a single value has every column, empty.
	holds := kindNull
	for _, cell := range cells {
		switch {
		case cell.kind == kindNull:
		case cell.kind != kindString && cell.kind != kindNumber, holds != kindNull && holds != cell.kind:
			return nil, kindNull, fmt.Errorf("column %q holds neither only texts nor only numbers", name)
		default:
			holds = cell.kind
		}
	}
	return cells, holds, nil
}

// cell is a text, a number, nothing (kindNull), or what cannot be looked up.
type cell struct {
	kind   kind
	text   string
	number decimal
	raw    string // of a number, as it stands in the table
}

// ReadCSV reads a table whose first line names its columns. Every value is a text.
//
// Source: RFC 4180. The error is what encoding/csv says, or that a column is named twice.
func ReadCSV(input io.Reader) (*Table, error) {
	lines, err := csv.NewReader(input).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("a CSV table needs a first line that names its columns")
	}
	table := &Table{columns: make(map[string][]cell), rows: len(lines) - 1}
	for index, name := range lines[0] {
		if _, twice := table.columns[name]; twice {
			return nil, fmt.Errorf("the column %q is there twice", name)
		}
		cells := make([]cell, table.rows)
		for row, line := range lines[1:] {
			cells[row] = cell{kind: kindString, text: line[index]}
		}
		table.columns[name] = cells
	}
	return table, nil
}

// inlineTable makes a table of a list of objects; what a row lacks is nothing.
func inlineTable(rows *value) (*Table, bool) {
	if rows.kind != kindArray {
		return nil, false
	}
	table := &Table{columns: make(map[string][]cell), rows: len(rows.items)}
	for index, row := range rows.items {
		if row.kind != kindObject {
			return nil, false
		}
		for _, member := range row.members {
			cells := table.columns[member.name]
			if cells == nil {
				cells = make([]cell, table.rows)
				table.columns[member.name] = cells
			}
			cells[index] = cellOf(member.value)
		}
	}
	return table, true
}

func cellOf(v *value) cell {
	return cell{kind: v.kind, text: v.text, number: v.number, raw: v.raw}
}
