package sessionlog

import (
	"strconv"

	"lakehouse/sdk/go/internal/jsontext"
)

// A RawJSON is one JSON value with its own bytes, white space between tokens aside.
//
// 1.10 stays 1.10, 2^64 stays exact, members keep their order and strings their escapes. To read
// one, hand its String to encoding/json. The zero value is nothing: null where the contract says so,
// left out elsewhere.
type RawJSON struct{ text string }

// Null is the value null, as evidence of a finding.
var Null = RawJSON{"null"}

// ParseRawJSON takes JSON text, strictly: no duplicate members, no lone surrogates, no NaN, at most
// 64 levels. The error is a [*DecodeError].
func ParseRawJSON(text string) (RawJSON, error) {
	compact, err := jsontext.Compact(text, jsontext.DepthMax)
	if err != nil {
		return RawJSON{}, ofJSONError(err)
	}
	return RawJSON{compact}, nil
}

// MustParseRawJSON is [ParseRawJSON] for text that a program is made with; it panics on an error.
func MustParseRawJSON(text string) RawJSON {
	raw, err := ParseRawJSON(text)
	if err != nil {
		panic(err)
	}
	return raw
}

// IsNull says whether this is null or nothing.
func (r RawJSON) IsNull() bool {
	return r.text == "" || r == Null
}

// String gives the compact text: null for nothing.
func (r RawJSON) String() string {
	if r.text == "" {
		return "null"
	}
	return r.text
}

// A RawNumber is one JSON number with its own digits, such as a temperature of 0.70. The zero value
// is nothing: null where the contract says so, left out elsewhere.
type RawNumber struct{ text string }

// ParseRawNumber takes the text of one JSON number. The error is a [*DecodeError].
func ParseRawNumber(text string) (RawNumber, error) {
	compact, err := jsontext.Compact(text, 0)
	if err != nil {
		return RawNumber{}, ofJSONError(err)
	}
	if !isNumber(compact) {
		return RawNumber{}, &DecodeError{Reason: "not a number"}
	}
	return RawNumber{compact}, nil
}

// RawInt is the number that an integer is.
func RawInt(number int64) RawNumber {
	return RawNumber{strconv.FormatInt(number, 10)}
}

// IsNull says whether this is nothing.
func (n RawNumber) IsNull() bool {
	return n.text == ""
}

// String gives the digits as they came: null for nothing.
func (n RawNumber) String() string {
	if n.text == "" {
		return "null"
	}
	return n.text
}

func isNumber(compact string) bool {
	return compact[0] == '-' || '0' <= compact[0] && compact[0] <= '9'
}

// A NearValue is a value of a column. It is not one of the raw values: a text is written in our
// form, and a number as it came.
type NearValue struct {
	// Text is the value of a text column.
	Text string
	// Number is the value of a numeric column, and nothing for a text.
	Number RawNumber
}
