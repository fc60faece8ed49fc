package rule

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func TestRemember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		searches, answer := 0, []Example{{ID: "a"}, {ID: "b"}, {ID: "c"}}
		var failed error
		find := Remember(func(context.Context, Filter, int) ([]Example, error) {
			searches++
			return answer, failed
		})
		ask := func(team string, want int) {
			t.Helper()
			before := searches
			found, err := find(t.Context(), Filter{Team: team}, examples)
			if !errors.Is(err, failed) || failed == nil && len(found) != len(answer) {
				t.Fatalf("got %v, %v", found, err)
			}
			if searches-before != want {
				t.Errorf("%d searches for %q, want %d", searches-before, team, want)
			}
		}
		ask("writers", 1)
		ask("writers", 0)
		ask("editors", 1) // another alert's tasks
		time.Sleep(rememberFull - time.Second)
		ask("writers", 0)
		time.Sleep(2 * time.Second)
		ask("writers", 1)

		answer = answer[:1] // fewer than were asked for: more may come
		ask("few", 1)
		time.Sleep(rememberFew + time.Second)
		ask("few", 1)

		failed = errStore
		ask("failing", 1)
		ask("failing", 1)
	})
}

func TestRememberIsBounded(t *testing.T) {
	searches := 0
	find := Remember(func(context.Context, Filter, int) ([]Example, error) {
		searches++
		return nil, nil
	})
	for range 2 {
		for i := range maxRemembered + 10 {
			if _, err := find(t.Context(), Filter{Team: strconv.Itoa(i)}, examples); err != nil {
				t.Fatal(err)
			}
		}
	}
	if want := maxRemembered + 20; searches != want {
		t.Errorf("%d searches, want %d: those beyond the bound are asked each time", searches, want)
	}
}
