package eventdb

import (
	"context"
	"strconv"
	"strings"

	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// kindWords is the kind of the rows that hold the sketches of groups of payloads.
const kindWords store.Kind = "_words"

// noGroup is the group of payloads of which no words are kept: those of several chunks, which every search looks at.
const noGroup = "0"

// openGroup is a group of payloads of one day that a batch is filling.
type openGroup struct {
	day    int64
	number string
	bytes  int
	words  *sketch
}

// groupOf returns the group that the next payload of a day goes into.
func (db *DB) groupOf(b *batch, start int64) *openGroup {
	for i := range b.groups {
		if g := &b.groups[i]; g.day == start && g.bytes < groupBytes {
			return g
		}
	}
	s := db.newSketch(db.common.next())
	b.groups = append(b.groups, openGroup{day: start, number: strconv.FormatUint(db.lastGroup.Add(1), 10), words: s})
	return &b.groups[len(b.groups)-1]
}

func (db *DB) newSketch(common *wordSet, counting bool) *sketch {
	s, ok := db.sketches.Get().(*sketch)
	if !ok {
		s = &sketch{words: db.words}
	}
	s.reset(common, counting)
	return s
}

// sketchRow is the row of a group's sketch.
func sketchRow(start int64, group string, s *sketch) encoded {
	row := encoded{time: start, streams: 1}
	row.add(colKind, string(kindWords))
	row.add(colGroup, group)
	row.add(colCommon, s.common.id())
	row.add(colWords, s.String())
	return row
}

func (g *openGroup) add(text string) {
	g.bytes += len(text)
	g.words.add(text)
}

// closeGroups adds the rows of the batch's groups to it. Without a file for what is learned, everything is stored all the
// same.
func (db *DB) closeGroups(b *batch) {
	for _, g := range b.groups {
		b.payloads = append(b.payloads, sketchRow(g.day, g.number, g.words))
		if g.words.counting {
			if err := db.common.learn(g.words.buckets); err != nil {
				db.cfg.Logger.Warn("searches for phrases stay slower than they could be", "error", err)
			}
		}
		db.sketches.Put(g.words)
	}
	b.groups = nil
}

// maxSearchGroups bounds how many groups a search looks into one by one; with more it looks into all.
const maxSearchGroups = 5000

// groupsWith returns the groups that may have all the words, false when there are too many of them.
func (db *DB) groupsWith(ctx context.Context, t logstorage.TenantID, at signal.TimeRange, words []string) ([]string, bool, error) {
	var hashes []wordHash
	for _, w := range words {
		db.words.each(w, func(h wordHash) { hashes = append(hashes, h) })
	}
	var out []string
	query := ofKind(kindWords) + fieldsPipe([]string{colGroup, colCommon, colWords})
	err := run(ctx, db.payloads, t, query, at, func(b *logstorage.DataBlock) error {
		groups, sets, sketches := texts(b, colGroup), texts(b, colCommon), texts(b, colWords)
		var id string
		var set *wordSet
		known := false
		for i, s := range sketches {
			if i == 0 || sets[i] != id {
				id = sets[i]
				set, known = db.common.find(id)
			}
			if !known || db.words.mayHave(s, set, hashes) {
				out = append(out, strings.Clone(groups[i]))
			}
		}
		if len(out) > maxSearchGroups {
			return errStop
		}
		return nil
	})
	if err == errStop { //nolint:errorlint // ours, as it is
		return nil, false, nil
	}
	return out, err == nil, err
}

// bodiesWith returns the condition for payloads that have the words of a search.
func (db *DB) bodiesWith(ctx context.Context, t logstorage.TenantID, at signal.TimeRange, search store.Text) (string, error) {
	body := quote(colBody) + ":" + searchText(search)
	words := wholeWords(search)
	if len(words) == 0 {
		return body, nil
	}
	groups, ok, err := db.groupsWith(ctx, t, at, words)
	if err != nil || !ok {
		return body, err
	}
	// Payloads of releases before groups have none.
	either := fieldIs(colGroup, "")
	if len(groups) > 0 {
		either = "(" + either + " or " + fieldIn(colGroup, groups) + ")"
	}
	return "(" + either + " " + body + ")", nil
}
