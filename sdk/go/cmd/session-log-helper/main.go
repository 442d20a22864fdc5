// Session-log-helper speaks the parity protocol, and appends rows for tests of many writers on one
// log.
//
//	session-log-helper                            JSON lines in, JSON lines out
//	session-log-helper append --log DIR --rows N  append N rows, print each row_id once it is durable
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"lakehouse/sdk/go/internal/parity"
	"lakehouse/sdk/go/sessionlog"
)

const (
	usage  = "usage: session-log-helper [append --log DIR --rows N]"
	link   = "sdk/go/README.md#the-helpers"
	daemon = "go-helper"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "session-log-helper:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) == 0 {
		suites := map[string]parity.Suite{"session_log": rewrite}
		return parity.Helper{Suites: suites, Link: link}.Serve(os.Stdin, os.Stdout)
	}
	if arguments[0] == "-h" || arguments[0] == "--help" {
		fmt.Println(usage)
		return nil
	}
	if arguments[0] != "append" {
		return errors.New(usage)
	}
	flags := flag.NewFlagSet("append", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprintln(os.Stderr, usage) }
	path := flags.String("log", "", "the log's directory")
	rows := flags.Uint("rows", 0, "how many rows")
	if err := flags.Parse(arguments[1:]); err != nil {
		return err
	}
	if *path == "" || *rows == 0 || flags.NArg() > 0 {
		return errors.New(usage)
	}
	return appendRows(*path, int(*rows))
}

// rewrite decodes a row to our own types and encodes it again.
func rewrite(line []byte) ([]byte, error) {
	row, err := sessionlog.DecodeSessionRow(line)
	if err != nil {
		var found *sessionlog.DecodeError
		if errors.As(err, &found) {
			return nil, &parity.Refusal{Message: found.Reason, Context: found.Place}
		}
		return nil, err
	}
	return row.Encode()
}

func appendRows(path string, rows int) error {
	log, err := sessionlog.Open(path, daemon, nil)
	if err != nil {
		return err
	}
	defer log.Close()
	for number := range rows {
		row := rowOf(number)
		if err := log.Append(row); err != nil {
			return err
		}
		if _, err := fmt.Println(row.RowID); err != nil {
			return err
		}
	}
	return nil
}

func rowOf(number int) *sessionlog.SessionRow {
	rowID := sessionlog.NewID()
	digest := "sha256:" + strings.Repeat("0", 64)
	return &sessionlog.SessionRow{
		SessionID:     rowID,
		TraceID:       rowID,
		RowID:         rowID,
		Timestamp:     sessionlog.Timestamp(time.Now()),
		Daemon:        daemon,
		Model:         "none",
		ModelAlias:    "none",
		Provider:      "none",
		Prompt:        fmt.Sprintf("row %d of session-log-helper", number),
		MaxIterations: 1,
		Settings:      sessionlog.Settings{Constrain: sessionlog.ConstrainOff, DeadlineMS: 120_000},
		Verdict:       sessionlog.VerdictMaxIterExhausted,
		Metadata:      []sessionlog.Entry{{Name: "number", Value: strconv.Itoa(number)}},
		ConfigDigest:  digest,
		KindDigest:    digest,
	}
}
