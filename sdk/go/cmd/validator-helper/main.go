// Validator-helper speaks the parity protocol for the suite validator: a self-contained body of
// POST /v1/validate in, its reply out.
package main

import (
	"fmt"
	"os"

	"lakehouse/sdk/go/internal/parity"
	"lakehouse/sdk/go/validator"
)

const (
	usage = "usage: validator-helper  (JSON lines in, JSON lines out)"
	link  = "sdk/go/README.md#the-helpers"
)

func main() {
	if len(os.Args) > 1 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	suites := map[string]parity.Suite{"validator": judge}
	if err := (parity.Helper{Suites: suites, Link: link}).Serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "validator-helper:", err)
		os.Exit(1)
	}
}

func judge(body []byte) ([]byte, error) {
	request, err := validator.DecodeRequest(body)
	if err != nil {
		return nil, err
	}
	reply, err := request.Reply()
	if err != nil {
		return nil, err
	}
	return reply.Encode()
}
