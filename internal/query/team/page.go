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

// Lists that are paged. A token belongs to its list.
const (
	listTasks         = "tasks"
	listSpans         = "spans"
	listLogs          = "logs"
	listConversations = "conversations"
	listUsers         = "users"
	listTurns         = "turns"
)

// place is where a page of a list ended: the last item's time and id.
type place struct {
	List string
	Time int64
	ID   string
}

func (p place) token() string {
	// Bytes, not a text: ids need not be UTF-8.
	b, err := json.Marshal(tokenJSON{p.List, p.Time, []byte(p.ID)})
	if err != nil {
		panic("BUG: page token: " + err.Error())
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

type tokenJSON struct {
	List string `json:"l"`
	Time int64  `json:"t,omitempty"`
	ID   []byte `json:"i"`
}

// maxToken bounds what is decoded; ids are shorter by far.
const maxToken = 8192

// parseToken reads a token of a list; nil for the first page.
func parseToken(token, list string) (*place, error) {
	if token == "" {
		return nil, nil //nolint:nilnil // no token is no place, and no error
	}
	var t tokenJSON
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(token) > maxToken || json.Unmarshal(raw, &t) != nil || t.List != list || t.ID == nil {
		return nil, signal.Permanent(ErrPageToken)
	}
	return &place{t.List, t.Time, string(t.ID)}, nil
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
