// Package sessionlog writes session rows of Lakehouse from Go programs: canonical bytes, ids, and a
// durable log writer.
//
// Lakehouse rows are written by Python, Go and Rust programs into one stream. This package is the Go
// side of that contract, version 1 (spec/v1 in the repository), and nothing else: it calls no model,
// validates no answer, and reads no log.
//
//   - [SessionRow], [Started] and [SegmentHeader] are the lines of a log. They decode strictly and
//     encode to the contract's very bytes; what they do not know, they carry along.
//   - [NewID], [TraceIDOf] and [CallIDsOf] are the id rules that join everything.
//   - [SessionLog] appends: one file of its own, one write(2) a row, acknowledged after fdatasync.
//
// # Nothing, null and left out
//
// The zero value of a field is the contract's "nothing". Where nothing is null, a nil pointer, a nil
// slice of messages, and a zero [RawJSON] or [RawNumber] are written as null; a nil list is written
// as []. Got, Expected, Nearest and the …Truncated markers are left out of the line when they are
// zero or nil; null evidence is [Null], an empty list of near values is not nil.
//
// # Units and bounds
//
// Times are milliseconds or [Timestamp]s, sizes bytes of UTF-8. A line has at most 8 MiB
// ([LineBytesMax]), a raw value at most 64 levels of nesting, a whole line 80. Numbers that the
// contract defines are 64-bit integers; all others keep their digits.
package sessionlog

// Version is this library's version, as it stands in the first line of its segments.
const Version = "0.1.0"
