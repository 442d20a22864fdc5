package parity

import (
	"errors"
	"strings"
	"testing"
)

func served(t *testing.T, requests string) string {
	t.Helper()
	helper := Helper{Link: "README.md", Suites: map[string]Suite{
		"echo":   func(input []byte) ([]byte, error) { return input, nil },
		"refuse": func([]byte) ([]byte, error) { return nil, &Refusal{"no row", "byte 3"} },
		"fail":   func([]byte) ([]byte, error) { return nil, errors.New("a <reason>") },
	}}
	var out strings.Builder
	if err := helper.Serve(strings.NewReader(requests), &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestRequestsAreAnsweredUnderTheirSeq(t *testing.T) {
	for request, answer := range map[string]string{
		`{"seq":7,"suite":"echo","input":"a\u2028<\ud83d\ude00\n"}`: `{"seq":7,"outcome":"result","output":"a` + "\u2028" + `<😀\n"}`,
		`{"seq":1,"suite":"echo","input_base64":"Zm8="}`:            `{"seq":1,"outcome":"result","output":"fo"}`,
		`{"seq":2,"suite":"refuse","input":""}`:                     `{"seq":2,"outcome":"errored","message":"no row","context":"byte 3"}`,
		`{"seq":3,"suite":"fail","input":""}`:                       `{"seq":3,"outcome":"errored","message":"a <reason>","context":""}`,
		`{"seq":4,"suite":"other","input":""}`:                      `{"seq":4,"outcome":"skipped","reason":"no suite \"other\"","link":"README.md"}`,
		`{"seq":5,"suite":"echo"}`:                                  `{"seq":5,"outcome":"errored","message":"neither ` + "`input` nor a valid `input_base64`" + `","context":""}`,
		`{"seq":6,"suite":"echo","input_base64":"Zg=="}`:            `{"seq":6,"outcome":"result","output":"f"}`,
		`{"seq":8,"suite":"echo","input_base64":"Zg"}`:              `{"seq":8,"outcome":"errored","message":"neither ` + "`input` nor a valid `input_base64`" + `","context":""}`,
	} {
		if got := served(t, "\n"+request); got != answer+"\n" {
			t.Errorf("%s\ngot  %swant %s", request, got, answer)
		}
	}
}

func TestAllAreAnsweredToTheEndOfTheInput(t *testing.T) {
	request := `{"seq":1,"suite":"echo","input":"` + strings.Repeat("x", 3<<20) + `"}` + "\n"
	if got := served(t, strings.Repeat(request, 3)); strings.Count(got, "\n") != 3 || len(got) < 9<<20 {
		t.Errorf("%d bytes", len(got))
	}
}

func TestARequestThatIsNoneEndsTheHelper(t *testing.T) {
	for _, request := range []string{"{", "[]", `{"seq":1,"seq":2}`} {
		if err := (Helper{}).Serve(strings.NewReader(request), new(strings.Builder)); err == nil {
			t.Errorf("%s was answered", request)
		}
	}
}
