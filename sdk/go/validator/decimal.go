package validator

import (
	"cmp"
	"math/big"
	"strconv"
	"strings"
)

const (
	exponentMax  = 1 << 60 // nearest to which a larger one is held
	exactDigits  = 10_000  // between two numbers that are subtracted exactly
	hugeExponent = 1_000   // from which a number is not written out
)

// decimal is a number as JSON writes it, exact at any size: digits × 10^exponent.
type decimal struct {
	negative bool
	digits   string // without leading or trailing zeros; empty for 0
	exponent int64
}

// decimalOf reads the text of a JSON number.
func decimalOf(raw string) decimal {
	mantissa, power, _ := strings.Cut(strings.ToLower(raw), "e")
	mantissa, negative := strings.CutPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	trimmed := strings.TrimRight(digits, "0")
	if trimmed == "" {
		return decimal{}
	}
	exponent := exponentOf(power) - int64(len(fraction)) + int64(len(digits)-len(trimmed))
	return decimal{negative, trimmed, exponent}
}

func exponentOf(power string) int64 {
	if power == "" {
		return 0
	}
	exponent, _ := strconv.ParseInt(power, 10, 64) // out of range: the nearest, which is what we want
	return min(max(exponent, -exponentMax), exponentMax)
}

// order is the power of ten just above the number.
func (d decimal) order() int64 {
	return d.exponent + int64(len(d.digits))
}

func (d decimal) sign() int {
	switch {
	case d.digits == "":
		return 0
	case d.negative:
		return -1
	default:
		return 1
	}
}

func (d decimal) compare(other decimal) int {
	if sign := d.sign(); sign != other.sign() || sign == 0 {
		return cmp.Compare(sign, other.sign())
	}
	if d.negative {
		return other.compareSize(d)
	}
	return d.compareSize(other)
}

// compareSize compares without signs; neither is 0.
func (d decimal) compareSize(other decimal) int {
	// Where both begin at the same place, the digits compare like words.
	return cmp.Or(cmp.Compare(d.order(), other.order()), cmp.Compare(d.digits, other.digits))
}

func (d decimal) isInteger() bool {
	return d.exponent >= 0
}

// isHuge says whether the number would be long if it were written out.
func (d decimal) isHuge() bool {
	return d.digits != "" && (d.exponent > hugeExponent || d.exponent < -hugeExponent)
}

// key is the same text for the same number.
func (d decimal) key() string {
	sign := ""
	if d.negative {
		sign = "-"
	}
	return sign + d.digits + "e" + strconv.FormatInt(d.exponent, 10)
}

// distance is the absolute difference. Of numbers so far apart that one does not count beside the
// other, it is the larger one.
func (d decimal) distance(other decimal) decimal {
	d.negative, other.negative = d.negative != other.negative, false
	if d.digits == "" || other.digits == "" {
		sum := decimal{digits: d.digits + other.digits, exponent: d.exponent + other.exponent}
		return sum
	}
	low := min(d.exponent, other.exponent)
	if max(d.order(), other.order())-low > exactDigits {
		larger := d
		if d.compareSize(other) < 0 {
			larger = other
		}
		larger.negative = false
		return larger
	}
	difference := new(big.Int).Sub(d.scaled(low), other.scaled(low))
	return decimalOf(difference.Abs(difference).String() + "e" + strconv.FormatInt(low, 10))
}

// scaled gives the number in units of 10^low.
func (d decimal) scaled(low int64) *big.Int {
	number, _ := new(big.Int).SetString(d.digits, 10)
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(d.exponent-low), nil)
	number.Mul(number, power)
	if d.negative {
		number.Neg(number)
	}
	return number
}

// isMultipleOf divides without writing the quotient out.
func (d decimal) isMultipleOf(unit decimal) bool {
	if d.digits == "" {
		return true
	}
	shift := d.exponent - unit.exponent
	if shift < 0 {
		// The digits would have to hold a factor of ten, and do not.
		return false
	}
	number, _ := new(big.Int).SetString(d.digits, 10)
	divisor, _ := new(big.Int).SetString(unit.digits, 10)
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(shift), divisor)
	number.Mul(number, power)
	return number.Mod(number, divisor).Sign() == 0
}
