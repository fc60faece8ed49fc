package team

import (
	"encoding/base64"
	"errors"
	"math"
	"testing"

	"github.com/mindscope/mindscope/internal/signal"
)

func TestPageTokens(t *testing.T) {
	for _, want := range []place{
		{listTasks, 0, ""},
		{listTasks, math.MinInt64, "team\x00task"},
		{listUsers, math.MaxInt64, "no \xff UTF-8"},
	} {
		got, err := parseToken(want.token(), want.List)
		if err != nil || *got != want {
			t.Errorf("%+v comes back as %+v, %v", want, got, err)
		}
	}
	if got, err := parseToken("", listTasks); got != nil || err != nil {
		t.Errorf("no token: %+v, %v", got, err)
	}
	for _, bad := range []string{
		"x", "%", "e30", "bnVsbA", "W10", base64.RawURLEncoding.EncodeToString([]byte(`{"l":"tasks","t":1}`)),
		place{listUsers, 1, "a"}.token(), place{listTasks, 1, "a"}.token() + "A", base64.RawURLEncoding.EncodeToString(make([]byte, maxToken)),
	} {
		if _, err := parseToken(bad, listTasks); !errors.Is(err, ErrPageToken) || !signal.IsPermanent(err) {
			t.Errorf("%.40q: %v, want ErrPageToken", bad, err)
		}
	}
}

func FuzzPageToken(f *testing.F) {
	f.Add(place{listTasks, 5, "team\x00task"}.token())
	f.Add("e30")
	f.Fuzz(func(t *testing.T, token string) {
		got, err := parseToken(token, listTasks)
		if err != nil || got == nil {
			return
		}
		again, err := parseToken(got.token(), listTasks)
		if err != nil || *again != *got {
			t.Fatalf("%q is read as %+v, which becomes %+v, %v", token, got, again, err)
		}
	})
}
