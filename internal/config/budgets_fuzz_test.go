package config

import (
	"math/big"
	"testing"
)

// FuzzDollars: what is read as money is exactly what was written.
func FuzzDollars(f *testing.F) {
	for _, s := range []string{"25", "0.50", "9000000", "1e3", "-1", "0.000000000001", "0x10", "1_000", "1/3", "", "NaN"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var pico int64
		if setDollars(&pico, s) != nil {
			return
		}
		want, ok := new(big.Rat).SetString(s)
		if !ok || pico <= 0 || new(big.Rat).SetFrac64(pico, 1_000_000_000_000).Cmp(want) != 0 {
			t.Errorf("%q is read as %d pico-dollars", s, pico)
		}
	})
}
