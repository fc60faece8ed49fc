package traceql

import (
	"errors"
	"fmt"
	"strings"

	"github.com/mindscope/mindscope/internal/signal"
)

// ErrTooLarge is a question that needs more memory, traces or series than one may have. Its text says what to do.
var ErrTooLarge = errors.New("the question is too large")

// defaultMemory is what one question may hold.
const defaultMemory = 256 << 20

// budget counts the memory that a question holds. It is an estimate from above of what the Go heap needs for it.
type budget struct{ limit, used, peak int64 }

func (b *budget) take(n int) error {
	b.used += int64(n)
	b.peak = max(b.peak, b.used)
	if b.used <= b.limit {
		return nil
	}
	return tooLarge("more than %d MiB of memory are needed: ask for a shorter time, or filter more", b.limit>>20)
}

// mark notes what is held; the function it returns frees what was taken since, but for the texts that are kept.
func (in *interner) mark() (free func()) {
	used, kept := in.budget.used, in.bytes
	return func() { in.budget.used = used + in.bytes - kept }
}

func tooLarge(format string, args ...any) error {
	return signal.Permanent(fmt.Errorf("%w: %s", ErrTooLarge, fmt.Sprintf(format, args...)))
}

// internBytes bounds the texts that are kept once however often they come.
const internBytes = 64

// interner keeps one copy of short texts. Texts of rows are parts of large blocks, which they would keep in memory.
type interner struct {
	budget *budget
	texts  map[string]string
	bytes  int64 // of what is kept
}

func newInterner(b *budget) *interner { return &interner{budget: b, texts: map[string]string{}} }

func (in *interner) text(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	if len(s) > internBytes {
		return strings.Clone(s), in.budget.take(len(s))
	}
	if known, ok := in.texts[s]; ok {
		return known, nil
	}
	s = strings.Clone(s)
	in.texts[s] = s
	in.bytes += int64(len(s) + 50)
	return s, in.budget.take(len(s) + 50)
}

func (in *interner) value(v *Value) (err error) {
	switch v.typ {
	case TypeString:
		v.text, err = in.text(v.text)
	case TypeList:
		if err = in.budget.take(len(*v.list) * valueBytes); err != nil {
			return err
		}
		for i := range *v.list {
			if err = in.value(&(*v.list)[i]); err != nil {
				return err
			}
		}
	}
	return err
}
