package jsontext

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestStringsAreWrittenAsTheVectorsSay(t *testing.T) {
	data, err := os.ReadFile("../../../../spec/v1/vectors/strings.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Cases []struct {
			In  string
			Out *string
			Why string
		}
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors.Cases) < 30 {
		t.Fatalf("only %d cases", len(vectors.Cases))
	}
	for _, c := range vectors.Cases {
		token, err := Compact(c.In, DepthMax)
		if err != nil {
			if c.Out != nil {
				t.Errorf("%s: %v", c.Why, err)
			}
			continue
		}
		if token != c.In {
			t.Errorf("%s: a raw value keeps its bytes: %q became %q", c.Why, c.In, token)
		}
		written, ok := AppendString(nil, Unquote(token))
		if !ok || c.Out == nil || string(written) != *c.Out {
			t.Errorf("%s: %q is written %q", c.Why, c.In, written)
		}
	}
}

func TestTextThatIsNotUTF8HasNoForm(t *testing.T) {
	for _, text := range []string{"\xff", "a\xed\xa0\x80", "\xc0\xaf"} {
		if _, ok := AppendString(nil, text); ok {
			t.Errorf("%q was written", text)
		}
	}
}

func TestOnlyWhiteSpaceBetweenTokensGoes(t *testing.T) {
	text := " { \"a b\" :\t[ 1.10 , -0 , 1E+7,18446744073709551616 ]\r\n, \"\\u0062\":{ } } "
	expected := `{"a b":[1.10,-0,1E+7,18446744073709551616],"\u0062":{}}`
	for _, given := range []string{text, expected} {
		if got, err := Compact(given, DepthMax); err != nil || got != expected {
			t.Errorf("%q became %q, %v", given, got, err)
		}
	}
}

func TestWhatIsNotStrictJSONIsRefusedWithItsPlace(t *testing.T) {
	refused := []struct {
		text   string
		offset int
	}{
		{"", 0}, {" ", 1}, {`{"a":1,"a":2}`, 0}, {`[{"a":1,"\u0061":2}]`, 1}, {`"\ud800"`, 1},
		{`{"\udc00":1}`, 2}, {"NaN", 0}, {"-Infinity", 1}, {"01", 1}, {"+1", 0}, {"1.", 2}, {".5", 0},
		{"1e", 2}, {"[1,]", 3}, {"[,1]", 1}, {`{"a":1,}`, 7}, {`{,}`, 1}, {"{a:1}", 1}, {"nul", 0},
		{"truex", 4}, {"1 2", 2}, {"[1", 2}, {`"a`, 2}, {"\"\x01\"", 1}, {"\ufeff1", 0}, {"1/**/", 1},
		{`"\u00`, 1}, {`"\x"`, 1}, {"\"\xff\"", 1}, {"\"\xed\xa0\x80\"", 1}, {"\"\xc0\xaf\"", 1},
		{"\x00", 0}, {"[1\x00]", 2},
	}
	for _, c := range refused {
		var found *Error
		if _, err := Compact(c.text, DepthMax); !errors.As(err, &found) || found.Offset != c.offset {
			t.Errorf("%q: %v, not at byte %d", c.text, err, c.offset)
		}
	}
}

func TestDepthCountsWhatIsOpenAtOnce(t *testing.T) {
	nested := func(depth int) string {
		return strings.Repeat("[", depth) + strings.Repeat("]", depth)
	}
	wide := "[" + strings.Repeat("{},", 999) + "{}]"
	for _, c := range []struct {
		text     string
		depthMax int
		accepted bool
	}{
		{nested(64), 64, true}, {nested(65), 64, false}, {wide, 2, true}, {wide, 1, false}, {"1", 0, true},
	} {
		if _, err := Compact(c.text, c.depthMax); (err == nil) != c.accepted {
			t.Errorf("%.20s at %d: %v", c.text, c.depthMax, err)
		}
	}
}

func TestObjectsAndArraysComeApartAtTheirOwnCommas(t *testing.T) {
	pairs, ok := Members(`{"a":[1,{"b":"},\""}],"\u0063":"x,\\","":null,"d":-1.5e3}`)
	expected := []Pair{
		{"a", `"a"`, `[1,{"b":"},\""}]`},
		{"c", `"\u0063"`, `"x,\\"`},
		{"", `""`, "null"},
		{"d", `"d"`, "-1.5e3"},
	}
	if !ok || !slices.Equal(pairs, expected) {
		t.Errorf("%q", pairs)
	}
	items, ok := Elements(`[1,"a,]",[],{},[[2],3],true]`)
	if !ok || !slices.Equal(items, []string{"1", `"a,]"`, "[]", "{}", "[[2],3]", "true"}) {
		t.Errorf("%q", items)
	}
	if none, ok := Members("{}"); !ok || len(none) != 0 {
		t.Errorf("%q", none)
	}
	if none, ok := Elements("[]"); !ok || len(none) != 0 {
		t.Errorf("%q", none)
	}
	_, array := Members("[]")
	_, object := Elements("{}")
	_, text := Elements(`"[]"`)
	if array || object || text {
		t.Error("what is no object or array was taken apart")
	}
}

func FuzzCompact(f *testing.F) {
	for _, seed := range []string{`{"a":[1.10,"\u00e9"]}`, " [ ] ", `{"a":1,"a":2}`, "1e400", `"\ud83d\ude00"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		compact, err := Compact(text, DepthMax)
		if err != nil {
			return
		}
		if !json.Valid([]byte(compact)) {
			t.Fatalf("%q was accepted as %q", text, compact)
		}
		if again, err := Compact(compact, DepthMax); err != nil || again != compact {
			t.Fatalf("%q became %q, %v", compact, again, err)
		}
	})
}
