package sessionlog_test

import (
	"fmt"
	"strings"

	"lakehouse/sdk/go/sessionlog"
)

// Carry a row of anybody's, whole: members that a later version added are still there.
func ExampleDecodeSessionRow() {
	line := []byte(strings.Replace(seal(body), `"daemon":"go"`, `"daemon":"go","added_in_1_7":[1.10]`, 1))
	line = line[:len(line)-18] // its crc is of before the change
	row, err := sessionlog.DecodeSessionRow(append(line, '}'))
	if err != nil {
		panic(err)
	}
	row.Daemon = "archive"
	written, err := row.Encode()
	if err != nil {
		panic(err)
	}
	for name, value := range row.Unknown.All() {
		fmt.Println(name, value)
	}
	fmt.Println(strings.Contains(string(written), `"added_in_1_7":[1.10],"crc":"`))
	// Output:
	// added_in_1_7 [1.10]
	// true
}

// Say what is wrong, and where.
func ExampleDecodeError() {
	_, err := sessionlog.DecodeSessionRow([]byte(`{"schema":"session.iterate.v1"}`))
	fmt.Println(err)
	_, err = sessionlog.ParseRawJSON(`{"a":1,"a":2}`)
	fmt.Println(err)
	// Output:
	// session_id: missing
	// byte 0: duplicate member "a" in the object
}
