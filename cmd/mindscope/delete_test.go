package main

import (
	"strings"
	"testing"

	"github.com/mindscope/mindscope/internal/client"
)

// TestReceiptSaysWhatExpired: whoever scrubs reads of rows that went.
func TestReceiptSaysWhatExpired(t *testing.T) {
	f := func(expired int64, want bool) {
		t.Helper()
		var out strings.Builder
		printReceipt(stdio{Out: &out}, client.Receipt{Project: "default", What: "scrub", Expired: expired, MayRemain: []string{"backups"}})
		const line = "Removed, since they passed their retention meanwhile: 3.\nIt may still be in:\n"
		if strings.Contains(out.String(), line) != want || !strings.Contains(out.String(), "in:\n  - backups\n") {
			t.Errorf("of %d expired rows it says:\n%s", expired, &out)
		}
	}
	f(3, true)
	f(0, false)
}
