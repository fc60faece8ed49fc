package rule

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	// rememberFull is for how long as many tasks as were asked for are named again without another search, and
	// rememberFew is the same for fewer: more may have come.
	rememberFull = 5 * time.Minute
	rememberFew  = time.Minute
	// maxRemembered bounds the alerts whose tasks are remembered.
	maxRemembered = 256
)

// question is what a Find is asked.
type question struct {
	Filter
	limit int
}

// remembered is an answer and until when it holds.
type remembered struct {
	found []Example
	until time.Time
}

// Remember returns a Find that asks find at most every few minutes for the tasks of an alert that goes on firing: a
// notification is made each minute for each alert, and a search reads spans. It may be called from several goroutines.
func Remember(find Find) Find {
	var mu sync.Mutex
	answers := map[question]remembered{}
	return func(ctx context.Context, f Filter, limit int) ([]Example, error) {
		now, asked := time.Now(), question{f, limit}
		mu.Lock()
		known, ok := answers[asked]
		mu.Unlock()
		if ok && now.Before(known.until) {
			return slices.Clone(known.found), nil
		}
		found, err := find(ctx, f, limit)
		if err != nil {
			return nil, err
		}
		keep := rememberFew
		if len(found) >= limit {
			keep = rememberFull
		}
		mu.Lock()
		defer mu.Unlock()
		maps.DeleteFunc(answers, func(_ question, r remembered) bool { return !now.Before(r.until) })
		if len(answers) < maxRemembered {
			answers[asked] = remembered{slices.Clone(found), now.Add(keep)}
		}
		return found, nil
	}
}
