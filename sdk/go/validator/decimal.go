package validator

import (
	"cmp"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

const (
	exponentMax  = 1 << 60 // nearest to which a larger one is held
	exactDigits  = 10_000  // between numbers that are added digit by digit
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

// isWithin says whether the number is at most a tolerance away from another.
func (d decimal) isWithin(tolerance, other decimal) bool {
	if d.compare(other) < 0 {
		d, other = other, d
	}
	return signOfSum(d, other.negated(), tolerance.negated()) <= 0
}

// compareDistance compares how far two others are away: below 0 if the first is nearer.
func (d decimal) compareDistance(a, b decimal) int {
	switch order := a.compare(b); {
	case order == 0:
		return 0
	case order > 0:
		return -d.compareDistance(b, a)
	}
	// The one below is nearer if the number lies below the middle.
	return signOfSum(d, d, a.negated(), b.negated())
}

func (d decimal) negated() decimal {
	d.negative = !d.negative
	return d
}

// signOfSum adds exactly. Of numbers so far apart that the smaller ones cannot reach the larger ones,
// it adds the larger ones, and the smaller ones only if these add up to nothing.
func signOfSum(numbers ...decimal) int {
	numbers = slices.DeleteFunc(numbers, func(d decimal) bool { return d.digits == "" })
	slices.SortFunc(numbers, func(a, b decimal) int { return cmp.Compare(b.exponent, a.exponent) })
	for i := 0; i < len(numbers); {
		sum := new(big.Int)
		start := i
		for ; i < len(numbers); i++ {
			low := numbers[i].exponent
			reach := numbers[i].order()
			for _, rest := range numbers[i:] {
				reach = max(reach, rest.order())
			}
			if i > start && numbers[i-1].exponent-reach > exactDigits {
				break
			}
			if i > start {
				shift := new(big.Int).Exp(big.NewInt(10), big.NewInt(numbers[i-1].exponent-low), nil)
				sum.Mul(sum, shift)
			}
			sum.Add(sum, numbers[i].integer())
		}
		if sum.Sign() != 0 {
			return sum.Sign()
		}
	}
	return 0
}

// integer gives the digits with their sign.
func (d decimal) integer() *big.Int {
	number, _ := new(big.Int).SetString(d.digits, 10)
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
