package cost

import (
	"errors"
	"math/big"
	"math/bits"
	"strconv"
	"strings"
)

// Pico is an amount of money in pico-dollars, 10⁻¹² $.
type Pico int64

// Micro returns whole micro-dollars and the pico-dollars that are left, 0 to 999 999 for amounts that are not negative.
func (p Pico) Micro() (micro, rest int64) { return int64(p) / 1_000_000, int64(p) % 1_000_000 }

// String returns dollars with all digits that are not trailing zeros.
func (p Pico) String() string {
	sign, n := "", uint64(p)
	if p < 0 {
		sign, n = "-", uint64(-p)
	}
	whole, frac := n/1e12, n%1e12
	text := sign + strconv.FormatUint(whole, 10)
	if frac == 0 {
		return text
	}
	digits := strconv.FormatUint(1e12+frac, 10)[1:]
	for digits[len(digits)-1] == '0' {
		digits = digits[:len(digits)-1]
	}
	return text + "." + digits
}

// rate is a price: 10⁻¹² $ for a million tokens, which is 10⁻¹⁸ $ a token.
type rate int64

// amount is a sum of tokens times rates, in 10⁻¹⁸ $: 128 bits, no rounding before the end.
type amount struct{ hi, lo uint64 }

func (a *amount) add(tokens int64, r rate) {
	hi, lo := bits.Mul64(uint64(tokens), uint64(r))
	var carry uint64
	a.lo, carry = bits.Add64(a.lo, lo, 0)
	a.hi, _ = bits.Add64(a.hi, hi, carry)
}

// pico rounds to the nearest pico-dollar. It returns false for amounts beyond nine million dollars.
func (a amount) pico() (Pico, bool) {
	const unit = 1_000_000
	if a.hi >= unit {
		return 0, false
	}
	q, rem := bits.Div64(a.hi, a.lo, unit)
	if rem >= unit/2 {
		q++
	}
	if q > 1<<63-1 {
		return 0, false
	}
	return Pico(q), true
}

// sum adds up exact amounts and hands out their parts in whole pico-dollars: each part is the growth of the rounded sum,
// so that the parts add up to the rounded total.
type sum struct {
	exact   amount
	rounded Pico
	beyond  bool
}

func (s *sum) add(part *Pico, tokens int64, r rate) {
	if tokens <= 0 || r <= 0 {
		return
	}
	s.exact.add(tokens, r)
	now, ok := s.exact.pico()
	if !ok {
		s.beyond = true
		return
	}
	*part += now - s.rounded
	s.rounded = now
}

var errPrice = errors.New("a price is a number from 0 to 1000000")

// rational reads a decimal number. Fractions and huge exponents, which big.Rat takes too, are none.
func rational(text string) (*big.Rat, bool) {
	if len(text) > 40 || strings.ContainsAny(text, "/eEpPxX_") {
		return nil, false
	}
	return new(big.Rat).SetString(text)
}

// parseRate reads dollars per million tokens.
func parseRate(text string, perMillion, dollars *big.Rat) (rate, error) {
	n, ok := rational(text)
	if !ok || n.Sign() < 0 || n.Cmp(big.NewRat(1e6, 1)) > 0 {
		return 0, errPrice
	}
	if perMillion != nil {
		n.Mul(n, perMillion)
	}
	if dollars != nil {
		n.Mul(n, dollars)
	}
	n.Mul(n, big.NewRat(1e12, 1))
	// Round half up to a whole unit.
	n.Add(n, big.NewRat(1, 2))
	i := new(big.Int).Div(n.Num(), n.Denom())
	if !i.IsInt64() {
		return 0, errPrice
	}
	return rate(i.Int64()), nil
}
