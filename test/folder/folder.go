// Package folder makes and reads the data folders in testdata: one for each format there has been, as its release left
// it after a crash. They are opened by every later release's tests, so that a folder of a user's is, too.
package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/eventdb"
)

// Names in a folder of testdata.
const (
	DirStore  = "store"
	FileNames = "files.txt" // empty folders too, which git does not keep
	FileRows  = "rows.txt"  // what readers must see, as Text writes it
)

// Config opens a store of testdata: its rows are as old as they are.
func Config() eventdb.Config {
	const long = 100 * 365 * 24 * time.Hour
	return eventdb.Config{Retention: long, PayloadRetention: long}
}

// Projects are those with rows.
func Projects() []signal.Project { return []signal.Project{signal.DefaultProject, "other"} }

// Rows returns a project's rows: every type of value, texts that the engine would change, prompts that repeat, an event
// with a long text, revisions, a name that is no column's.
func Rows(p signal.Project) []store.Row {
	base := time.Date(2026, 11, 2, 23, 59, 0, 0, time.UTC).UnixNano()
	system := `{"role":"system","content":"You are the Writer of ` + string(p) + `. ` + strings.Repeat("Write well, and write iPhone as it is. ", 8) + `"}`
	var rows []store.Row
	var history strings.Builder
	history.WriteString(system)
	for i := range 12 {
		r := store.Row{Kind: store.KindSpan, ID: fmt.Sprintf("trace-%d/%d", i/4, i), Time: base + int64(i)*int64(10*time.Second)}
		turn := fmt.Sprintf(`{"role":"user","content":"Turn %d: tell me of the Quiet Lighthouse %s"}`, i, strings.Repeat("and its keeper ", 8))
		history.WriteString("," + turn + `,{"role":"tool","id":"callX"}`)
		r.Add(store.FieldService, store.String("writer"))
		r.Add(store.FieldTraceID, store.String(fmt.Sprintf("trace-%d", i/4)))
		r.Add(store.FieldName, store.String("chat gpt-4o"))
		r.Add(store.FieldDuration, store.Int(int64(i)*1e9))
		r.Add("attr.gen_ai.input.messages", store.String("["+history.String()+"]"))
		r.Add("attr.version", store.String("1.10"))
		r.Add("attr.temperature", store.Double(0.1+float64(i)))
		r.Add("attr.stream", store.Bool(i%2 == 0))
		r.Add("attr.bytes", store.Bytes("\xff\x00b"))
		r.Add("attr.list", store.SliceJSON(`["userId",1]`))
		r.Add("attr.map", store.MapJSON(`{"a":{}}`))
		r.Add("attr.empty", store.String(""))
		r.Add("attr.repeat", store.Int(1))
		r.Add("attr.repeat", store.Int(2))
		r.Add("attr."+strings.Repeat("long", 40), store.String("under a long Name"))
		r.Add(store.FieldEvents, store.String(`[{"time":1,"name":"e","attributes":{"text":"`+strings.Repeat("an Event says so ", 40)+`"}}]`))
		rows = append(rows, r)
	}
	for i := range 3 {
		r := store.Row{Kind: store.KindLog, ID: fmt.Sprintf("log-%d", i), Time: base + int64(i)}
		r.Add(store.FieldBody, store.String(fmt.Sprintf("Line %d of parseJSON", i)))
		r.Add(store.FieldSeverity, store.Int(9))
		rows = append(rows, r)
	}
	for rev := range 3 {
		r := store.Row{Kind: store.KindTask, ID: "task", Time: base}
		r.Add(store.FieldRevision, store.Int(int64(rev+1)))
		r.Add(store.FieldStatus, store.String(fmt.Sprintf("state %d", rev+1)))
		rows = append(rows, r)
	}
	big := store.Row{Kind: store.KindSpan, ID: "big", Time: base + int64(time.Hour)}
	big.Add(store.FieldTraceID, store.String("trace-big"))
	big.Add("attr.prompt", store.String(strings.Repeat("0123456789abcdef", 1<<16)))
	return append(rows, big)
}

// Make writes a folder of testdata: half of the rows are in the engine's files, half of them in the log only.
func Make(dir string) (err error) {
	live, err := os.MkdirTemp("", "folder-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(live)) }()
	for half := range 2 {
		cfg := Config()
		cfg.CheckpointEvery = time.Hour
		db, err := eventdb.Open(live, cfg)
		if err != nil {
			return err
		}
		for _, p := range Projects() {
			rows := Rows(p)
			part := rows[:len(rows)/2]
			if half == 1 {
				part = rows[len(rows)/2:]
			}
			for i := range part { // one at a time: each is a record of the log
				if rejected, err := db.Write(context.Background(), p, part[i:i+1]); err != nil || rejected.Items > 0 {
					return errors.Join(err, db.Close(), fmt.Errorf("rejected: %v", rejected))
				}
			}
		}
		if half == 1 { // as a crash would leave it
			kept := filepath.Join(dir, DirStore)
			if err := copyFolder(live, kept); err != nil {
				return errors.Join(err, db.Close())
			}
			if err := os.Remove(filepath.Join(kept, "reserve")); err != nil && !errors.Is(err, os.ErrNotExist) { // large, without content
				return errors.Join(err, db.Close())
			}
		}
		if err := db.Close(); err != nil {
			return err
		}
	}
	names, err := listFolder(filepath.Join(dir, DirStore))
	if err != nil {
		return err
	}
	var want strings.Builder
	for _, p := range Projects() {
		rows := Rows(p)
		newest := slices.DeleteFunc(rows, func(r store.Row) bool {
			return r.Kind == store.KindTask && r.Get(store.FieldRevision).Int() < 3
		})
		want.WriteString(Text(p, newest))
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, FileNames), []byte(strings.Join(names, "\n")+"\n"), 0o644),
		os.WriteFile(filepath.Join(dir, FileRows), []byte(want.String()), 0o644))
}

// Read returns what readers see of a store.
func Read(ctx context.Context, db *eventdb.DB) (string, error) {
	var out strings.Builder
	for _, p := range Projects() {
		var rows []store.Row
		for _, kind := range []store.Kind{store.KindSpan, store.KindLog, store.KindTask} {
			for r, err := range db.Select(ctx, p, store.Select{Scope: store.Scope{Kind: kind, Time: signal.AllTime()}}) {
				if err != nil {
					return "", err
				}
				rows = append(rows, *r.Clone())
			}
		}
		out.WriteString(Text(p, rows))
	}
	return out.String(), nil
}

// Text writes a project's rows down, in order of their ids. Long texts are cut; their length and sum stand for them.
func Text(p signal.Project, rows []store.Row) string {
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b store.Row) int { return strings.Compare(string(a.Kind)+a.ID, string(b.Kind)+b.ID) })
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&b, "%s %s %s %d\n", p, r.Kind, r.ID, r.Time)
		var lines []string
		for _, f := range r.Fields {
			text := f.Value.Text()
			if len(text) > 200 {
				sum := 0
				for _, c := range []byte(text) {
					sum = (sum*31 + int(c)) % 1_000_000_007
				}
				text = fmt.Sprintf("%.100s… (%d bytes, %d)", text, len(text), sum)
			}
			lines = append(lines, fmt.Sprintf("  %s %v %q\n", f.Name, f.Value.Type(), text))
		}
		slices.Sort(lines)
		b.WriteString(strings.Join(lines, ""))
	}
	return b.String()
}

// Unpack makes a folder of testdata one that can be opened.
func Unpack(from, to string) error {
	names, err := os.ReadFile(filepath.Join(from, FileNames))
	if err != nil {
		return err
	}
	for name := range strings.Lines(string(names)) {
		name = strings.TrimSpace(name)
		at := filepath.Join(to, filepath.FromSlash(name))
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(at, 0o750); err != nil {
				return err
			}
			continue
		}
		data, err := os.ReadFile(filepath.Join(from, DirStore, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		if err := os.WriteFile(at, data, 0o640); err != nil {
			return err
		}
	}
	return nil
}

// listFolder returns the files of a folder, and its folders with a slash behind them, each in front of what is in it.
func listFolder(dir string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if d.IsDir() {
			name += "/"
		}
		names = append(names, filepath.ToSlash(name))
		return err
	})
	return names, err
}

func copyFolder(from, to string) error {
	names, err := listFolder(from)
	if err != nil {
		return err
	}
	for _, name := range names {
		at := filepath.Join(to, name)
		switch {
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(at, 0o750)
		case filepath.Base(name) == "lock" || filepath.Base(name) == "flock.lock":
			continue
		default:
			var data []byte
			if data, err = os.ReadFile(filepath.Join(from, name)); err == nil {
				err = os.WriteFile(at, data, 0o640)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
