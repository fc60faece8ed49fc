package eventdb

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// tombstone names what a Delete removes, by ids alone. Written before anything is removed and ended when all is, it
// survives a crash in between; a backup keeps those that came after it, and its restore removes the rows again.
type tombstone struct {
	ID      string         `json:"id"`
	At      time.Time      `json:"at"`
	Project signal.Project `json:"project,omitempty"`
	Kind    store.Kind     `json:"kind,omitempty"`
	// Rows are row ids, Traces those that may have lost their last span.
	Rows   idList `json:"rows,omitempty"`
	Traces idList `json:"traces,omitempty"`
	// Payloads are hashes by day, nanoseconds; those that no other row of the day refers to go.
	Payloads map[string][]string `json:"payloads,omitempty"`
	// Groups are those, by day, that payloads were or are removed from: their sketches are made anew. It is written down
	// later than the rest, in lines of its own.
	Groups map[string][]string `json:"groups,omitempty"`
	Done   bool                `json:"done,omitempty"`
	// Replaces says that other rows of these ids, which lie in a file until they are written (see keptRows), take the place
	// of those that go.
	Replaces bool `json:"replaces,omitempty"`
	// revs are the revisions of these other rows: copies of higher ones stay.
	revs map[string]int64
}

// idList are ids, which are any bytes; JSON holds UTF-8 only.
type idList []string

// oddID begins an id that is not UTF-8, followed by its base64. One that really begins so is written that way, too.
const oddID = "@utf8:"

// MarshalJSON implements json.Marshaler.
func (l idList) MarshalJSON() ([]byte, error) {
	out := make([]string, len(l))
	for i, id := range l {
		if out[i] = id; !utf8.ValidString(id) || strings.HasPrefix(id, oddID) {
			out[i] = oddID + base64.StdEncoding.EncodeToString([]byte(id))
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON implements json.Unmarshaler.
func (l *idList) UnmarshalJSON(text []byte) error {
	var ids []string
	if err := json.Unmarshal(text, &ids); err != nil {
		return err
	}
	for i, id := range ids {
		coded, odd := strings.CutPrefix(id, oddID)
		if !odd {
			continue
		}
		if raw, err := base64.StdEncoding.DecodeString(coded); err == nil { // a release of before wrote it as it is
			ids[i] = string(raw)
		}
	}
	*l = ids
	return nil
}

func newTombstone(p signal.Project, k store.Kind, d *doomed, at time.Time) *tombstone {
	t := &tombstone{
		ID: strconv.FormatInt(time.Now().UnixNano(), 36), At: at.UTC(), Project: p, Kind: k, Rows: d.ids,
		Traces: slices.Sorted(maps.Keys(d.traces)), Payloads: map[string][]string{},
	}
	for s := range d.payloads {
		day := strconv.FormatInt(s.day, 10)
		t.Payloads[day] = append(t.Payloads[day], s.hash)
	}
	return t
}

func (t *tombstone) payloads() map[int64][]string { return byDay(t.Payloads) }

func (t *tombstone) groups() map[int64][]string { return byDay(t.Groups) }

func byDay(texts map[string][]string) map[int64][]string {
	days := make(map[int64][]string, len(texts))
	for text, names := range texts {
		if day, err := strconv.ParseInt(text, 10, 64); err == nil {
			days[day] = names
		}
	}
	return days
}

// addGroups adds groups that are not there yet.
func (t *tombstone) addGroups(groups map[string][]string) {
	for day, names := range groups {
		if t.Groups == nil {
			t.Groups = map[string][]string{}
		}
		all := append(slices.Clone(t.Groups[day]), names...)
		slices.Sort(all)
		t.Groups[day] = slices.Compact(all)
	}
}

// deletions is the file of tombstones: a line of JSON each, and a line when one is done.
type deletions struct {
	running sync.Mutex // one Delete at a time

	mu   sync.Mutex
	path string
	all  []*tombstone
}

func openDeletions(path string) (*deletions, error) {
	d := &deletions{path: path}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err != nil {
		return nil, err
	}
	if d.all, err = parseTombstones(text); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", store.ErrCorrupt, filepath.Base(path), err)
	}
	return d, nil
}

// parseTombstones reads a file of tombstones. A last line without its end was never acknowledged and is left out.
func parseTombstones(text []byte) ([]*tombstone, error) {
	var all []*tombstone
	end := bytes.LastIndexByte(text, '\n') + 1
	if last := text[end:]; len(last) > 0 && hasSeal(last[:len(last)-1]) {
		return nil, errors.New("the end of the last line is damaged")
	}
	lines := bufio.NewScanner(bytes.NewReader(text[:end]))
	lines.Buffer(nil, len(text)+1)
	for n := 1; lines.Scan(); n++ {
		t := &tombstone{}
		line, ok := unseal(lines.Bytes())
		if !ok {
			return nil, fmt.Errorf("the checksum of line %d is not that of its text", n)
		}
		if err := json.Unmarshal(line, t); err != nil || t.ID == "" {
			return nil, fmt.Errorf("line %d is no deletion", n)
		}
		i := slices.IndexFunc(all, func(o *tombstone) bool { return o.ID == t.ID })
		switch {
		case i >= 0:
			all[i].Done = all[i].Done || t.Done
			all[i].addGroups(t.Groups)
		case t.Kind != "":
			all = append(all, t)
		}
	}
	return all, lines.Err()
}

// add writes a tombstone down; it is on disk when add returns.
func (d *deletions) add(t *tombstone) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.write(t); err != nil {
		return err
	}
	d.all = append(d.all, t)
	return nil
}

// noteGroups writes down of which groups of a day payloads are about to be removed.
func (d *deletions) noteGroups(t *tombstone, start int64, groups []string) error {
	if len(groups) == 0 {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	more := map[string][]string{strconv.FormatInt(start, 10): groups}
	if err := d.write(&tombstone{ID: t.ID, At: t.At, Groups: more}); err != nil {
		return err
	}
	t.addGroups(more)
	return nil
}

// done notes that nothing is left to do for a tombstone.
func (d *deletions) done(t *tombstone) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.write(&tombstone{ID: t.ID, At: t.At, Done: true}); err != nil {
		return err
	}
	t.Done = true
	return nil
}

func (d *deletions) write(t *tombstone) error {
	line, err := json.Marshal(t)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(d.path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	end, err := wholeLines(f)
	if err == nil {
		err = f.Truncate(end)
	}
	if err == nil {
		_, err = f.WriteAt(append(seal(line), '\n'), end)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(d.path))
}

// wholeLines returns where the last whole line ends: a crash may have left a part of one behind it.
func wholeLines(f *os.File) (int64, error) {
	end, err := f.Seek(0, 2)
	buf := make([]byte, 64<<10)
	for err == nil && end > 0 {
		start := max(0, end-int64(len(buf)))
		part := buf[:end-start]
		if _, err = f.ReadAt(part, start); err != nil {
			break
		}
		if i := bytes.LastIndexByte(part, '\n'); i >= 0 {
			return start + int64(i) + 1, nil
		}
		end = start
	}
	return 0, err
}

// pending returns the tombstones that are not done.
func (d *deletions) pending() []*tombstone {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []*tombstone
	for _, t := range d.all {
		if !t.Done {
			out = append(out, t)
		}
	}
	return out
}

// namedAfter returns the ids that tombstones behind t name of its kind: they have the last word on these rows.
func (d *deletions) namedAfter(t *tombstone) map[string]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := map[string]bool{}
	for _, later := range d.all[slices.Index(d.all, t)+1:] {
		if later.Project != t.Project || later.Kind != t.Kind {
			continue
		}
		for _, id := range later.Rows {
			out[id] = true
		}
	}
	return out
}

// forget drops the tombstones from before a time: what they name is past its retention, in every backup too.
func (d *deletions) forget(before time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var kept []*tombstone
	var text []byte
	for _, t := range d.all {
		if t.Done && t.At.Before(before) {
			continue
		}
		line, err := json.Marshal(t)
		if err != nil {
			return err
		}
		kept, text = append(kept, t), append(append(text, seal(line)...), '\n')
	}
	if len(kept) == len(d.all) {
		return nil
	}
	if err := writeFile(d.path, text); err != nil {
		return err
	}
	d.all = kept
	return nil
}

// buryPending ends the deletions that a crash interrupted or a restored backup brought along. It comes after the
// replay of the log.
func (db *DB) buryPending(ctx context.Context) error {
	if err := db.deletions.forget(db.cfg.Clock().Add(-db.cfg.Retention - 2*day)); err != nil {
		return fmt.Errorf("tidy deletions: %w", err)
	}
	pending := db.deletions.pending()
	if len(pending) > 0 {
		db.room.makeWay()
	}
	for _, t := range pending {
		db.cfg.Logger.Info("deleting again what was deleted before", "deletion", t.ID, "at", t.At, "rows", len(t.Rows), "replaced", t.Replaces)
		err := db.repeat(ctx, t)
		if _, later := signal.RetryAfter(err); later && t.Replaces {
			db.cfg.Logger.Warn("rows that were being replaced are kept aside until the store can write: it is tried again", "deletion", t.ID, "error", err)
			// A sender that repeats one of them meanwhile must not store it as it was.
			if _, _, err := db.prepareReplacement(t); err != nil {
				return fmt.Errorf("repeat a replacement: %w", err)
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("repeat a deletion: %w", err)
		}
	}
	if err := db.kept.sweep(db.deletions.pending()); err != nil {
		return fmt.Errorf("remove rows of replacements that are done: %w", err)
	}
	return nil
}

// repeat ends a deletion or replacement. Where nothing can be written a replacement removes nothing.
func (db *DB) repeat(ctx context.Context, t *tombstone) error {
	if t.Replaces {
		if err := db.writable(); err != nil {
			return err
		}
	}
	err := db.bury(ctx, t)
	if err != nil && t.Replaces && !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrNewer) {
		err = passing(err)
	}
	return err
}

// forgetLog makes sure that nothing deleted is left in memory or in a log that would bring it back.
func (db *DB) forgetLog(ctx context.Context) error {
	return db.finishCheckpoint(ctx)
}
