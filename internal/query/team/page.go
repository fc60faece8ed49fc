package team

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mindscope/mindscope/internal/signal"
)

// ErrPageToken marks a page token that this server did not make.
var ErrPageToken = errors.New("not a page token of this question: take it from the answer before")

// Limits of a page.
const (
	DefaultLimit = 50
	MaxLimit     = 1000
)

// place is where a page ended: the last row's time and id.
type place struct {
	Time int64  `json:"t"`
	ID   string `json:"i"`
}

func (p place) token() string {
	b, err := json.Marshal(p)
	if err != nil {
		panic("BUG: page token: " + err.Error())
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseToken(token string) (place, error) {
	var p place
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return p, signal.Permanent(ErrPageToken)
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return p, signal.Permanent(ErrPageToken)
	}
	return p, nil
}

func limitOf(n int) int {
	if n <= 0 {
		return DefaultLimit
	}
	return min(n, MaxLimit)
}

// AmbiguousError says that an id names tasks of several teams.
type AmbiguousError struct {
	ID    string
	Teams []string
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("task %q exists in the teams %s: name one", e.ID, strings.Join(e.Teams, ", "))
}

func unique(texts []string) []string {
	slices.Sort(texts)
	return slices.Compact(texts)
}
