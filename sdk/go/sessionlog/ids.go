package sessionlog

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	flagSampled       = 0x01
	flagRandom        = 0x02
	sessionIDBytesMax = 64
)

var lastTick atomic.Uint64

// NewID mints a UUIDv7 as 32 lowercase hex digits: a row_id, or a session id of our own.
//
// Ids of one process rise strictly: 48 bits of milliseconds, 12 bits of the rest of the millisecond,
// 62 random bits (RFC 9562 section 5.7, method 3 of section 6.2).
func NewID() string {
	tick := takeTick(time.Now())
	high := tick>>12<<16 | 0x7000 | tick&0xfff
	low := random()&0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000
	return fmt.Sprintf("%016x%016x", high, low)
}

// NewSpanID mints a W3C span id: 16 lowercase hex digits, never all zero.
func NewSpanID() string {
	return fmt.Sprintf("%016x", max(random(), 1))
}

func random() uint64 {
	var bytes [8]byte
	rand.Read(bytes[:]) // never fails: crypto/rand ends the program where there are no random bytes
	return binary.NativeEndian.Uint64(bytes[:])
}

func takeTick(now time.Time) uint64 {
	milliseconds := uint64(now.UnixMilli()) & 0xffff_ffff_ffff
	rest := uint64(now.Nanosecond() % 1_000_000)
	tick := milliseconds<<12 | rest*4096/1_000_000
	for {
		last := lastTick.Load()
		mine := max(tick, last+1)
		if lastTick.CompareAndSwap(last, mine) {
			return mine
		}
	}
}

// IsSessionID says whether a text may be a session id as a caller sends it:
// ^[A-Za-z0-9._-]{1,64}$.
func IsSessionID(text string) bool {
	if text == "" || len(text) > sessionIDBytesMax {
		return false
	}
	for _, c := range []byte(text) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// TraceIDOf gives the trace id of a session id: 32 lowercase hex digits, never all zero.
//
// 32 hex digits or a dashed UUID: dashes dropped, lowercased. <16 hex>-<8 hex>: the 24 digits, then
// eight zeros. Everything else, and every all-zero result: the first 16 bytes of the SHA-256 of the
// text.
func TraceIDOf(sessionID string) string {
	traceID := ""
	switch {
	case isHexGroups(sessionID, 32), isHexGroups(sessionID, 8, 4, 4, 4, 12):
		traceID = hexDigitsOf(sessionID)
	case isHexGroups(sessionID, 16, 8):
		traceID = hexDigitsOf(sessionID) + "00000000"
	}
	if strings.Trim(traceID, "0") == "" {
		digest := sha256.Sum256([]byte(sessionID))
		return hex.EncodeToString(digest[:16])
	}
	return traceID
}

func hexDigitsOf(text string) string {
	return strings.ToLower(strings.ReplaceAll(text, "-", ""))
}

func isHexGroups(text string, lengths ...int) bool {
	groups := strings.Split(text, "-")
	if len(groups) != len(lengths) {
		return false
	}
	for i, group := range groups {
		if len(group) != lengths[i] || !isHex(strings.ToLower(group)) {
			return false
		}
	}
	return true
}

func isHex(text string) bool {
	for _, c := range []byte(text) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// A TraceParent is a parent span somewhere: what traceparent names.
type TraceParent struct {
	// TraceID is 32 lowercase hex digits, not all zero.
	TraceID string
	// SpanID is 16 lowercase hex digits, not all zero.
	SpanID string
	// Flags: bit 0 is sampled, bit 1 random; others are not kept.
	Flags uint8
}

// ParseTraceParent reads the traceparent fields of a request; false unless there is exactly one
// that is valid.
//
// Source: W3C Trace Context level 2, sections 3.2 and 4. A later version than 00 is read as far as
// 00 goes.
func ParseTraceParent(fields []string) (TraceParent, bool) {
	if len(fields) != 1 {
		return TraceParent{}, false
	}
	parts := strings.SplitN(trimField(fields[0]), "-", 5)
	if len(parts) < 4 {
		return TraceParent{}, false
	}
	for i, length := range []int{2, 32, 16, 2} {
		if len(parts[i]) != length || !isHex(parts[i]) {
			return TraceParent{}, false
		}
	}
	version, traceID, spanID := parts[0], parts[1], parts[2]
	more := len(parts) > 4
	if version == "ff" || version == "00" && more {
		return TraceParent{}, false
	}
	// A header field holds no line break; one that does was not read as a field.
	if more && strings.Contains(parts[4], "\n") {
		return TraceParent{}, false
	}
	if strings.Trim(traceID, "0") == "" || strings.Trim(spanID, "0") == "" {
		return TraceParent{}, false
	}
	flags, err := strconv.ParseUint(parts[3], 16, 8)
	if err != nil {
		return TraceParent{}, false
	}
	return TraceParent{traceID, spanID, uint8(flags) & (flagSampled | flagRandom)}, true
}

// Header formats a version 00 traceparent.
func (p TraceParent) Header() string {
	return fmt.Sprintf("00-%s-%s-%02x", p.TraceID, p.SpanID, p.Flags&(flagSampled|flagRandom))
}

// CallIDs are the ids that one call carries.
type CallIDs struct {
	// SessionID joins everything: header, response, row, trace.
	SessionID string
	// TraceID is the session id's, by [TraceIDOf].
	TraceID string
	// TraceIDReplaced says that a bad trace-id header was replaced; belongs in the row.
	TraceIDReplaced bool
	// ParentSpanID is the caller's span, where our spans go on in the caller's trace; else empty.
	ParentSpanID string
	// Link is the caller's context, where our spans begin a trace of their own; else nil.
	Link *TraceParent
}

// CallIDsOf decides a call's ids: the header, else the trace context, else minted here.
//
// traceIDFields are all X-Lakehouse-Trace-Id fields, as http.Header.Values gives them; anything but
// one valid value is replaced, and noted. mintedByTracing is the id that a tracing middleware minted
// for this request, or empty.
func CallIDsOf(traceIDFields, traceparentFields []string, mintedByTracing string) CallIDs {
	parent, hasParent := ParseTraceParent(traceparentFields)
	header := ""
	if len(traceIDFields) == 1 {
		header = trimField(traceIDFields[0])
	}
	ids := CallIDs{}
	switch {
	case IsSessionID(header):
		ids.SessionID = header
	case hasParent:
		ids.SessionID = parent.TraceID
	case mintedByTracing != "":
		ids.SessionID = mintedByTracing
	default:
		ids.SessionID = NewID()
	}
	ids.TraceID = TraceIDOf(ids.SessionID)
	ids.TraceIDReplaced = len(traceIDFields) > 0 && !IsSessionID(header)
	switch {
	case hasParent && parent.TraceID == ids.TraceID:
		ids.ParentSpanID = parent.SpanID
	case hasParent:
		ids.Link = &parent
	}
	return ids
}

// trimField drops the white space around a header's value, which is not part of it (RFC 9110).
func trimField(field string) string {
	return strings.Trim(field, " \t")
}

// Timestamp formats a moment as RFC 3339 in UTC with six fraction digits and Z, cut, not rounded.
func Timestamp(moment time.Time) string {
	return moment.UTC().Format("2006-01-02T15:04:05.000000Z")
}
