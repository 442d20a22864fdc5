package validator

import (
	"math/big"
	"math/rand/v2"
	"strconv"
	"testing"
)

func TestNumbersAreComparedByValue(t *testing.T) {
	ascending := []string{
		"-1e400", "-1e399", "-18446744073709551617", "-18446744073709551616", "-2.5", "-1", "-1e-400",
		"0", "1e-10000000000000000000000", "1e-400", "0.1", "0.10000000000000000001", "1", "1.1", "9.99", "10",
		"18446744073709551616", "18446744073709551617", "1e400", "1.1e400", "2e400", "1e999999999999999999",
	}
	for i, left := range ascending {
		for j, right := range ascending {
			if got := decimalOf(left).compare(decimalOf(right)); got != compareInts(i, j) {
				t.Errorf("%s and %s: %d", left, right, got)
			}
		}
	}
	for _, same := range [][2]string{
		{"1.10", "1.1"}, {"10", "1E1"}, {"0.01e2", "1"}, {"-0", "0.0e5"}, {"100e-2", "1.00"}, {"1e400", "10e399"},
	} {
		left, right := decimalOf(same[0]), decimalOf(same[1])
		if left.compare(right) != 0 || left.key() != right.key() {
			t.Errorf("%s and %s: %s, %s", same[0], same[1], left.key(), right.key())
		}
	}
}

func compareInts(i, j int) int {
	return min(max(i-j, -1), 1)
}

func TestArithmeticAgreesWithFractions(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	number := func() string {
		text := strconv.Itoa(random.IntN(2_000) - 1_000)
		if random.IntN(2) == 0 {
			text += "." + strconv.Itoa(random.IntN(1_000))
		}
		return text + "e" + strconv.Itoa(random.IntN(9)-4)
	}
	for range 20_000 {
		left, right := number(), number()
		a, _ := new(big.Rat).SetString(left)
		b, _ := new(big.Rat).SetString(right)
		x, y := decimalOf(left), decimalOf(right)
		if sign(x.compare(y)) != a.Cmp(b) || x.isInteger() != a.IsInt() {
			t.Fatalf("%s and %s: %d", left, right, x.compare(y))
		}
		distance := new(big.Rat).Sub(a, b)
		distance.Abs(distance)
		for _, tolerance := range []string{"0", "1", "0.5", "100"} {
			within, _ := new(big.Rat).SetString(tolerance)
			if x.isWithin(decimalOf(tolerance), y) != (distance.Cmp(within) <= 0) {
				t.Fatalf("%s to %s, within %s", left, right, tolerance)
			}
		}
		fromOne := new(big.Rat).Sub(a, big.NewRat(1, 1))
		if x.compareDistance(y, decimalOf("1")) != distance.Cmp(fromOne.Abs(fromOne)) {
			t.Fatalf("from %s to %s, and to 1", left, right)
		}
		if b.Sign() > 0 && x.isMultipleOf(y) != new(big.Rat).Quo(a, b).IsInt() {
			t.Fatalf("%s of %s", left, right)
		}
	}
}

func sign(number int) int {
	return compareInts(number, 0)
}

func TestTolerancesAreWrittenAsRFC8785Does(t *testing.T) {
	for text, expected := range map[string]string{
		"5.0": "5", "0.10": "0.1", "1e21": "1e+21", "123456789012345678901": "123456789012345680000", "1e-7": "1e-7",
		"0.000001": "0.000001", "1.5e-10": "1.5e-10", "0": "0", "-0.0": "0", "1e300": "1e+300",
	} {
		number, _ := strconv.ParseFloat(text, 64)
		if got := formatDouble(number); got != expected {
			t.Errorf("%s: %s, not %s", text, got, expected)
		}
	}
}

func TestFoldingIsSimple(t *testing.T) {
	for _, c := range []struct {
		left, right string
		equal       bool
	}{
		{"ÎLE", "île", true}, {"STRASSE", "Straße", false}, {"ẞ", "ß", true}, {"ΣΑΣ", "σας", true}, {"K", "\u212a", true},
		{"İ", "i", false}, {"ﬁ", "fi", false}, {"é", "e\u0301", false}, {"ǅ", "ǆ", true},
	} {
		if got := fold(c.left) == fold(c.right); got != c.equal {
			t.Errorf("%s and %s: %v", c.left, c.right, got)
		}
	}
}

func TestEditDistanceCountsCodePoints(t *testing.T) {
	for _, c := range []struct {
		left, right string
		edits       int
	}{
		{"", "", 0}, {"abc", "", 3}, {"", "😀", 1}, {"kitten", "sitting", 3}, {"ab", "ba", 2}, {"Zürich", "Zu\u0308rich", 2},
	} {
		if got := editDistance([]rune(c.left), []rune(c.right)); got != c.edits {
			t.Errorf("%s and %s: %d", c.left, c.right, got)
		}
	}
}

func TestDistancesAreExactHoweverFarApart(t *testing.T) {
	for _, c := range []struct {
		number, other, tolerance string
		within                   bool
	}{
		{"1", "1e-20000", "1", true}, {"1", "-1e-20000", "1", false}, {"-1", "1e-20000", "1", false},
		{"1e90000000000", "1", "1e300", false}, {"1e90000000000", "1e90000000000", "0", true},
		{"1e-90000000000", "0", "1e-300", true}, {"1.1", "1.0", "0.1", true}, {"1.11", "1.0", "0.1", false},
	} {
		if got := decimalOf(c.number).isWithin(decimalOf(c.tolerance), decimalOf(c.other)); got != c.within {
			t.Errorf("%s within %s of %s: %v", c.number, c.tolerance, c.other, got)
		}
	}
	for _, c := range []struct {
		from, one, other string
		nearer           int
	}{
		{"1e90000000000", "1", "2", 1}, {"0", "-1e-20000", "1e-20000", 0}, {"1e-30000", "-1e-20000", "1e-20000", 1},
		{"5", "4", "6", 0}, {"5", "4", "1e50", -1}, {"-1e90000000000", "1", "2", -1},
	} {
		if got := decimalOf(c.from).compareDistance(decimalOf(c.one), decimalOf(c.other)); got != c.nearer {
			t.Errorf("from %s to %s and to %s: %d", c.from, c.one, c.other, got)
		}
	}
}
