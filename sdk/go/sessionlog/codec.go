package sessionlog

import (
	"fmt"
	"hash/crc32"
	"strings"

	"lakehouse/sdk/go/internal/jsontext"
)

// LineBytesMax is how many bytes a line may have, crc included, newlines not.
const LineBytesMax = 8 << 20

// The values of the member schema, which the structs do not carry.
const (
	SessionRowSchema    = "session.iterate.v1"
	StartedSchema       = "session.started.v1"
	SegmentHeaderSchema = "session_log.segment.v1"
)

const (
	crcBytes = 18 // of `,"crc":"xxxxxxxx"}`, which every line of ours ends in
	crcStart = `,"crc":"`
	crcEnd   = `"}`
)

// A TooLongError is a record whose line would take more than [LineBytesMax] bytes. Nothing is cut
// here.
type TooLongError struct {
	// Bytes is what it would take.
	Bytes int
}

func (e *TooLongError) Error() string {
	return fmt.Sprintf("%d bytes; a line has at most %d", e.Bytes, LineBytesMax)
}

// Encode gives the line, crc last, without newlines.
//
// The error is a [*TooLongError], or an [*EncodeError] for what has no line at all.
func (r *SessionRow) Encode() ([]byte, error) { return encodeLine(SessionRowSchema, r) }

// Encode gives the line, crc last, without newlines. The errors are those of a row.
func (s *Started) Encode() ([]byte, error) { return encodeLine(StartedSchema, s) }

// Encode gives the line, crc last, without newlines. The errors are those of a row.
func (h *SegmentHeader) Encode() ([]byte, error) { return encodeLine(SegmentHeaderSchema, h) }

// DecodeSessionRow reads one line, without its newlines, strictly.
//
// A line without crc is let through; where that is damage, the log says so. The error is a
// [*DecodeError] if the bytes may not be such a line: not strict JSON, deeper than 80, over 8 MiB, a
// line break inside, another schema, a crc that does not hold or is not last, a member that is
// missing or has the wrong type or word.
func DecodeSessionRow(line []byte) (*SessionRow, error) {
	return decodeLine[SessionRow](line, SessionRowSchema)
}

// DecodeStarted reads one started line, as strictly as [DecodeSessionRow].
func DecodeStarted(line []byte) (*Started, error) {
	return decodeLine[Started](line, StartedSchema)
}

// DecodeSegmentHeader reads the first line of a segment, as strictly as [DecodeSessionRow].
func DecodeSegmentHeader(line []byte) (*SegmentHeader, error) {
	return decodeLine[SegmentHeader](line, SegmentHeaderSchema)
}

// CRCHolds checks a line's crc: CRC-32 (IEEE) of all bytes before its last 18. It is not present in
// a line that does not end in one.
func CRCHolds(line []byte) (holds, present bool) {
	if len(line) < crcBytes {
		return false, false
	}
	body, tail := line[:len(line)-crcBytes], string(line[len(line)-crcBytes:])
	digits, hasStart := strings.CutPrefix(tail, crcStart)
	digits, hasEnd := strings.CutSuffix(digits, crcEnd)
	if !hasStart || !hasEnd {
		return false, false
	}
	return digits == fmt.Sprintf("%08x", crc32.ChecksumIEEE(body)), true
}

func encodeLine(schema string, record object) ([]byte, error) {
	line := fmt.Appendf(make([]byte, 0, 4096), `{"schema":"%s"`, schema)
	line, err := writeMembers(line, record, "schema", "crc")
	if err != nil {
		return nil, err
	}
	line = fmt.Appendf(line, `%s%08x%s`, crcStart, crc32.ChecksumIEEE(line), crcEnd)
	if len(line) > LineBytesMax {
		return nil, &TooLongError{Bytes: len(line)}
	}
	return line, nil
}

func decodeLine[T any, P interface {
	*T
	object
}](line []byte, schema string) (*T, error) {
	pairs, err := linePairs(line, schema)
	if err != nil {
		return nil, err
	}
	record := new(T)
	if err := readPairs(P(record), pairs); err != nil {
		return nil, err
	}
	return record, nil
}

// linePairs takes a line apart, without the two members that the structs do not carry.
func linePairs(line []byte, schema string) ([]jsontext.Pair, error) {
	if len(line) > LineBytesMax {
		return nil, &DecodeError{Reason: (&TooLongError{Bytes: len(line)}).Error()}
	}
	text := string(line)
	if strings.ContainsAny(text, "\r\n") {
		return nil, &DecodeError{Reason: "a line break inside the line"}
	}
	holds, present := CRCHolds(line)
	if present && !holds {
		return nil, &DecodeError{Reason: "the crc does not match"}
	}
	compact, err := jsontext.Compact(text, jsontext.LineDepthMax)
	if err != nil {
		return nil, ofJSONError(err)
	}
	pairs, ok := jsontext.Members(compact)
	if !ok {
		return nil, &DecodeError{Reason: "not an object"}
	}
	named := position(pairs, "schema", 0)
	if named < 0 || pairs[named].Value[0] != '"' || jsontext.Unquote(pairs[named].Value) != schema {
		return nil, &DecodeError{Reason: fmt.Sprintf("`schema` is not %q", schema)}
	}
	sealed := position(pairs, "crc", len(pairs)-1)
	if sealed >= 0 && !present {
		reason := "`crc` is not the last member, or not eight lowercase hex digits"
		return nil, &DecodeError{Reason: reason}
	}
	kept := make([]jsontext.Pair, 0, len(pairs))
	for i, pair := range pairs {
		if i != named && i != sealed {
			kept = append(kept, pair)
		}
	}
	return kept, nil
}
