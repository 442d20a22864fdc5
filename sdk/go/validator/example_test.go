package validator_test

import (
	"fmt"
	"strings"

	"lakehouse/sdk/go/validator"
)

// Judge an answer by a schema, and its values by a table of CSV.
func Example() {
	schema, err := validator.Compile(`{"type": "object", "required": ["airport"]}`)
	if err != nil {
		panic(err)
	}
	airports, err := validator.ReadCSV(strings.NewReader("iata,city\nOSL,Oslo\nOPO,Porto\n"))
	if err != nil {
		panic(err)
	}
	judge, err := validator.New(schema,
		[]validator.Rule{{Path: "/airport", Column: "airports.iata"}},
		map[string]*validator.Table{"airports": airports})
	if err != nil {
		panic(err)
	}
	reply, err := judge.Judge(`Sure: {"airport": "OSO"}`, "")
	if err != nil {
		panic(err)
	}
	finding := reply.Findings[0]
	fmt.Println(reply.Accepted, finding.Code, finding.Path, finding.Got, finding.Nearest[0].Text)
	// Output: false ungrounded /airport "OSO" OPO
}

// Answer a body of POST /v1/validate.
func ExampleDecodeRequest() {
	body := `{"schema": {"required": ["airport"]}, "output": "{}"}`
	request, err := validator.DecodeRequest([]byte(body))
	if err != nil {
		panic(err)
	}
	reply, err := request.Reply()
	if err != nil {
		panic(err)
	}
	encoded, err := reply.Encode()
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s\n", encoded)
	// Output: {"verdict":"rejected","artifact":{},"grounded":null,"findings":[{"code":"schema","path":"","message":"The member \"airport\" is missing.","got":{},"expected":{"required":"airport"}}]}
}
