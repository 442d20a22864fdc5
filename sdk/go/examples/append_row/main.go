// Append_row leaves one accepted session in a log:
//
//	go run ./examples/append_row DIR
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lakehouse/sdk/go/sessionlog"
)

const daemon = "go-example"

func main() {
	directory := filepath.Join(os.TempDir(), "lakehouse-go-example")
	if len(os.Args) > 1 {
		directory = os.Args[1]
	}
	if err := run(directory); err != nil {
		fmt.Fprintln(os.Stderr, "append_row:", err)
		os.Exit(1)
	}
}

func run(directory string) error {
	log, err := sessionlog.Open(directory, daemon, nil)
	if err != nil {
		return err
	}
	defer log.Close()

	// Before a token is bought: can the row be kept, and that the session began.
	if err := log.CheckWritable(); err != nil {
		return err
	}
	clock := time.Now()
	started, err := begin()
	if err != nil {
		return err
	}
	if err := log.Started(started); err != nil {
		return err
	}

	// … the model is called, and its answer judged …
	artifact, err := sessionlog.ParseRawJSON(`{ "airport": "OSL", "delay": 1.10 }`)
	if err != nil {
		return err
	}
	row := accept(started, artifact, time.Since(clock).Milliseconds())

	// Returns when the row survives a power cut; only then is the caller answered.
	if err := log.Append(row); err != nil {
		return err
	}
	fmt.Printf("%s is in %s\n", row.RowID, directory)
	return nil
}

func begin() (*sessionlog.Started, error) {
	temperature, err := sessionlog.ParseRawNumber("0.70")
	if err != nil {
		return nil, err
	}
	ids := sessionlog.CallIDsOf([]string{"workflow-42"}, nil, "")
	return &sessionlog.Started{
		SessionID:     ids.SessionID,
		TraceID:       ids.TraceID,
		RowID:         sessionlog.NewID(),
		Timestamp:     sessionlog.Timestamp(time.Now()),
		Daemon:        daemon,
		Kind:          pointer("airport_event"),
		Model:         "smollm2-135m-instruct",
		ModelAlias:    "small",
		Provider:      "llama_cpp",
		Prompt:        "Flight to Oslo is late.",
		System:        pointer("Extract the event as JSON."),
		MaxIterations: 3,
		Settings: sessionlog.Settings{
			Constrain:   sessionlog.ConstrainAuto,
			Temperature: temperature,
			MaxTokens:   pointer(int64(256)),
			DeadlineMS:  120_000,
		},
		TraceIDReplaced: ids.TraceIDReplaced,
		ConfigDigest:    "sha256:" + strings.Repeat("0", 64),
		KindDigest:      "sha256:" + strings.Repeat("1", 64),
	}, nil
}

func accept(
	started *sessionlog.Started, artifact sessionlog.RawJSON, durationMS int64,
) *sessionlog.SessionRow {
	usage := sessionlog.Usage{PromptTokens: pointer(int64(31)), CompletionTokens: pointer(int64(12))}
	return &sessionlog.SessionRow{
		SessionID:         started.SessionID,
		TraceID:           started.TraceID,
		RowID:             started.RowID,
		Timestamp:         sessionlog.Timestamp(time.Now()),
		Daemon:            started.Daemon,
		Kind:              started.Kind,
		Model:             started.Model,
		ModelAlias:        started.ModelAlias,
		Provider:          started.Provider,
		Prompt:            started.Prompt,
		System:            started.System,
		MaxIterations:     started.MaxIterations,
		Settings:          started.Settings,
		Verdict:           sessionlog.VerdictAccepted,
		Iterations:        1,
		AcceptedIteration: pointer(int64(0)),
		Artifact:          artifact,
		Attempts: []sessionlog.Attempt{{
			Outcome:      sessionlog.OutcomeAccepted,
			Output:       artifact.String(),
			Artifact:     artifact,
			FinishReason: sessionlog.FinishStop,
			Usage:        usage,
			DurationMS:   durationMS,
			SpanID:       sessionlog.NewSpanID(),
		}},
		Usage:           usage,
		DurationMS:      durationMS,
		TraceIDReplaced: started.TraceIDReplaced,
		ConfigDigest:    started.ConfigDigest,
		KindDigest:      started.KindDigest,
	}
}

func pointer[T any](value T) *T {
	return &value
}
