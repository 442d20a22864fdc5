package sessionlog_test

import (
	"testing"

	"lakehouse/sdk/go/sessionlog"
)

func TestANumberIsANumber(t *testing.T) {
	for _, text := range []string{"0.70", "-0", "1e400", "18446744073709551616"} {
		number, err := sessionlog.ParseRawNumber(text)
		if err != nil || number.String() != text || number.IsNull() {
			t.Errorf("%s became %s, %v", text, number, err)
		}
	}
	for _, text := range []string{"null", `"1"`, "[1]", "NaN", "", "1 1"} {
		if number, err := sessionlog.ParseRawNumber(text); err == nil {
			t.Errorf("%s became %s", text, number)
		}
	}
	if got := sessionlog.RawInt(-7).String(); got != "-7" {
		t.Error(got)
	}
	if nothing := (sessionlog.RawNumber{}); !nothing.IsNull() || nothing.String() != "null" {
		t.Error(nothing)
	}
}

func TestNullIsNullHoweverItCame(t *testing.T) {
	for _, raw := range []sessionlog.RawJSON{{}, sessionlog.Null, sessionlog.MustParseRawJSON(" null ")} {
		if !raw.IsNull() || raw.String() != "null" {
			t.Error(raw)
		}
	}
	if sessionlog.MustParseRawJSON(`"null"`).IsNull() {
		t.Error("a text is not null")
	}
}
