// Package validator judges answers of language models as Lakehouse does: it takes the JSON out of a
// text, holds it against a JSON Schema, and looks its values up in tables.
//
// It is a second implementation of contract section 1 and of POST /v1/validate, written from the
// contract and spec/v1 alone, so that comparing it with the Python one is worth something.
//
//   - [Compile] reads a JSON Schema 2020-12, [New] checks grounding rules against tables ([ReadCSV]),
//     and [Validator.Judge] judges one answer.
//   - [DecodeRequest] reads a whole body of POST /v1/validate: schema, rules and tables inline.
//
// # What it is exact about
//
// Numbers are compared by value at any size: 1.10 is 1.1, 2^64 is not 2^64+1, and nothing becomes a
// double on the way. Evidence keeps the bytes of the answer, expectations those of the schema.
// Patterns are RE2's. Nothing is fetched: a reference out of the schema is refused.
//
// # Bounds
//
// An answer has at most 1 MiB, a schema 64 KiB, inline tables 64 KiB together, JSON 64 levels. A
// schema that would be applied more than a million times to one answer, or find more than a thousand
// things wrong with it, gives the finding too_large.
package validator
