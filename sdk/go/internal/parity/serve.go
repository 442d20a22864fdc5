// Package parity speaks the protocol by which runtimes are compared (spec/v1/parity): JSON lines in,
// JSON lines out.
package parity

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"lakehouse/sdk/go/internal/jsontext"
)

const requestDepthMax = 8

// A Suite turns one fixture's input into its answer.
type Suite func(input []byte) (output []byte, err error)

// A Refusal is an input that may not be what the suite takes: what is wrong, and where.
type Refusal struct{ Message, Context string }

func (r *Refusal) Error() string {
	return r.Context + ": " + r.Message
}

// A Helper is a program's side of the protocol.
type Helper struct {
	// Suites are those that it answers, by name.
	Suites map[string]Suite
	// Link says where to read why others are skipped.
	Link string
}

// Serve answers every request until the input ends.
func (h Helper) Serve(input io.Reader, output io.Writer) error {
	lines := bufio.NewReaderSize(input, 1<<20)
	out := bufio.NewWriterSize(output, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			answer, err := h.answer(line)
			if err != nil {
				return err
			}
			out.Write(append(answer, '\n')) // an error stays until Flush
		}
		// One answer is not kept back while the other side waits for it.
		if lines.Buffered() == 0 || err != nil {
			if err := out.Flush(); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (h Helper) answer(line []byte) ([]byte, error) {
	request, err := requestOf(line)
	if err != nil {
		return nil, err
	}
	out := fmt.Appendf(nil, `{"seq":%s,"outcome":`, request["seq"])
	suite, known := h.Suites[textOf(request["suite"])]
	if !known {
		return members(out, "skipped", "reason", "no suite "+request["suite"], "link", h.Link), nil
	}
	input, err := inputOf(request)
	if err == nil {
		var output []byte
		if output, err = suite(input); err == nil {
			return members(out, "result", "output", string(output)), nil
		}
	}
	refusal := &Refusal{Message: err.Error()}
	errors.As(err, &refusal)
	return members(out, "errored", "message", refusal.Message, "context", refusal.Context), nil
}

// requestOf reads a request strictly: encoding/json would mend what the input is about.
func requestOf(line []byte) (map[string]string, error) {
	compact, err := jsontext.Compact(string(line), requestDepthMax)
	if err != nil {
		return nil, fmt.Errorf("a request that is not JSON: %w", err)
	}
	pairs, ok := jsontext.Members(compact)
	if !ok {
		return nil, errors.New("a request that is not an object")
	}
	request := map[string]string{"seq": "null", "suite": "null"}
	for _, pair := range pairs {
		request[pair.Name] = pair.Value
	}
	return request, nil
}

func inputOf(request map[string]string) ([]byte, error) {
	if value, there := request["input"]; there && value[0] == '"' {
		return []byte(jsontext.Unquote(value)), nil
	}
	if value, there := request["input_base64"]; there {
		if data, err := base64.StdEncoding.Strict().DecodeString(textOf(value)); err == nil {
			return data, nil
		}
	}
	return nil, errors.New("neither `input` nor a valid `input_base64`")
}

func textOf(value string) string {
	if value[0] != '"' {
		return ""
	}
	return jsontext.Unquote(value)
}

// members finishes an answer: its outcome, then names and texts in turn.
func members(out []byte, outcome string, namesAndTexts ...string) []byte {
	out, _ = jsontext.AppendString(out, outcome)
	for i := 0; i < len(namesAndTexts); i += 2 {
		out = fmt.Appendf(out, `,"%s":`, namesAndTexts[i])
		text := bytes.ToValidUTF8([]byte(namesAndTexts[i+1]), []byte("\uFFFD"))
		out, _ = jsontext.AppendString(out, string(text))
	}
	return append(out, '}')
}
