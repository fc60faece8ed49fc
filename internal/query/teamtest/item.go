package teamtest

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/mindscope/mindscope/internal/conv"
)

// item is a line of a scenario that stands for a span or a record.
type item struct {
	name       string
	start      time.Time
	took       time.Duration
	id, parent pcommon.SpanID
	failed     bool
	attrs      []pair
}

type pair struct {
	key   string
	value any
}

// times reads "START DURATION"; the duration may be missing or negative.
func (it *item) times(at time.Time, text string) error {
	words := strings.Fields(text)
	if len(words) == 0 || len(words) > 2 {
		return fmt.Errorf("times %q: want START DURATION, as 1s 200ms", text)
	}
	start, err := time.ParseDuration(words[0])
	if err != nil {
		return err
	}
	it.start = at.Add(start)
	if len(words) == 2 {
		it.took, err = time.ParseDuration(words[1])
	}
	return err
}

// say takes the keys that are about the item itself out of its attributes and spells the short ones out.
func (it *item) say() error {
	kept := it.attrs[:0]
	for _, a := range it.attrs {
		switch a.key {
		case "id", "parent":
			n, err := strconv.ParseUint(fmt.Sprint(a.value), 16, 64)
			if err != nil {
				return fmt.Errorf("%s: %w", a.key, err)
			}
			if a.key == "id" {
				it.id = spanID(n)
			} else {
				it.parent = spanID(n)
			}
			continue
		case "error", conv.ErrorType:
			it.failed = true
		case "outcome":
			a.key = conv.AITeamTaskStatus
		case "to":
			a.key = conv.AITeamMessageToAgent
		case "from":
			a.key = conv.AITeamMessageFromAgent
		case "wait":
			a.key = conv.AITeamMessageWaitMs
		}
		kept = append(kept, a)
	}
	it.attrs = kept
	return nil
}

// pairs reads key=value key="a text" ….
func pairs(text string) ([]pair, error) {
	var out []pair
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		key, rest, ok := strings.Cut(text, "=")
		if !ok || key == "" || strings.Contains(key, " ") {
			return nil, fmt.Errorf("%q: want key=value", text)
		}
		if strings.HasPrefix(rest, `"`) {
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				return nil, fmt.Errorf("value of %s: %w", key, err)
			}
			value, err := strconv.Unquote(quoted)
			if err != nil {
				return nil, fmt.Errorf("value of %s: %w", key, err)
			}
			out, text = append(out, pair{key, value}), rest[len(quoted):]
			continue
		}
		var word string
		word, text, _ = strings.Cut(rest, " ")
		out = append(out, pair{key, typed(word)})
	}
	return out, nil
}

func typed(word string) any {
	if n, err := strconv.ParseInt(word, 10, 64); err == nil {
		return n
	}
	if f, err := strconv.ParseFloat(word, 64); err == nil {
		return f
	}
	if word == "true" || word == "false" {
		return word == "true"
	}
	return word
}

func put(attrs pcommon.Map, key string, value any) {
	switch v := value.(type) {
	case int64:
		attrs.PutInt(key, v)
	case float64:
		attrs.PutDouble(key, v)
	case bool:
		attrs.PutBool(key, v)
	case string:
		attrs.PutStr(key, v)
	}
}

func traceID(n uint64) (id pcommon.TraceID) {
	binary.BigEndian.PutUint64(id[8:], n)
	return id
}

func spanID(n uint64) (id pcommon.SpanID) {
	binary.BigEndian.PutUint64(id[:], n)
	return id
}
