package eventdb

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// smallFile is one of the folder's text files, and what reads it.
type smallFile struct {
	name string
	read func(path string) (any, error)
}

func smallFiles() []smallFile {
	return []smallFile{
		{fileProjects, reads(openProjects, func(p *projects) any { return p.numbers })},
		{fileRevised, reads(openRevised, func(r *revisedKinds) any { return r.kinds })},
		{fileCommon, reads(openCommonWords, func(c *commonWords) any { return c.sets })},
		{fileKey, reads(openPayloadKeys, func(k *payloadKeys) any { return k.secret })},
		{fileDeletions, reads(openDeletions, func(d *deletions) any { return d.all })},
		{fileOldUntil, func(path string) (any, error) { return readOldUntil(filepath.Dir(path)) }},
	}
}

// reads opens a file and returns what it says.
func reads[T any](open func(path string) (T, error), says func(T) any) func(path string) (any, error) {
	return func(path string) (any, error) {
		file, err := open(path)
		if err != nil {
			return nil, err
		}
		return says(file), nil
	}
}

// fillSmallFiles writes each of them.
func fillSmallFiles(t *testing.T, dir string) {
	t.Helper()
	db := openTest(t, dir)
	rows := []store.Row{span("t", "1", base), span("t", "2", base), span("t", "1", base)}
	rows[2].Add(store.FieldRevision, store.Int(1))
	for _, p := range []signal.Project{signal.DefaultProject, "other", "a third one"} {
		if _, err := db.Write(t.Context(), p, rows[:2]); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Write(t.Context(), p, rows[2:]); err != nil {
			t.Fatal(err)
		}
	}
	scope := store.Scope{Kind: store.KindSpan, Time: signal.AllTime(), Filter: store.Eq(store.FieldTraceID, "t")}
	if n, err := db.Delete(t.Context(), "other", scope); err != nil || n == 0 {
		t.Fatalf("deleted %d, %v", n, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	set := &wordSet{number: 1}
	set.buckets.set(7)
	set.buckets.set(60_000)
	if err := writeWordSets(filepath.Join(dir, fileCommon), []*wordSet{set}); err != nil {
		t.Fatal(err)
	}
	if err := writeSealed(filepath.Join(dir, fileOldUntil), []byte("1700000000000000000")); err != nil {
		t.Fatal(err)
	}
}

// TestFlippedBitOfASmallFile: whichever bit of one is bent, the file says the same as before, or is named as damaged.
func TestFlippedBitOfASmallFile(t *testing.T) {
	dir := t.TempDir()
	fillSmallFiles(t, dir)
	f := func(file smallFile) {
		t.Run(file.name, func(t *testing.T) {
			path := filepath.Join(dir, file.name)
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want, err := file.read(path)
			if err != nil {
				t.Fatal(err)
			}
			step := 1 + len(whole)/64*8 // no multiple of 8: each bit of a byte has its turn
			for bit := 0; bit < len(whole)*8; bit += step {
				bent := append([]byte{}, whole...)
				bent[bit/8] ^= 1 << (bit % 8)
				if err := os.WriteFile(path, bent, 0o600); err != nil {
					t.Fatal(err)
				}
				got, err := file.read(path)
				if err != nil {
					if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), file.name) {
						t.Fatalf("byte %d of %q: %v", bit/8, bent, err)
					}
					continue
				}
				if diff := cmp.Diff(want, got, cmp.AllowUnexported(tombstone{}, wordSet{}), cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("bit %d of byte %d reads as something else (-want +got):\n%s", bit%8, bit/8, diff)
				}
			}
		})
	}
	for _, file := range smallFiles() {
		f(file)
	}
}

// Files from before format 3 have no checksums.
func TestFilesWithoutSeals(t *testing.T) {
	dir := t.TempDir()
	fillSmallFiles(t, dir)
	for _, file := range smallFiles() {
		path := filepath.Join(dir, file.name)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := file.read(path)
		if err != nil {
			t.Fatal(err)
		}
		var old []byte
		for line := range strings.Lines(string(text)) {
			said, ok := unseal([]byte(strings.TrimSuffix(line, "\n")))
			if !ok || len(said) == len(line)-1 {
				t.Fatalf("%s: line %q has no checksum", file.name, line)
			}
			old = append(append(old, said...), '\n')
		}
		if err := os.WriteFile(path, old, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := file.read(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(tombstone{}, wordSet{})); diff != "" {
			t.Errorf("%s without checksums (-want +got):\n%s", file.name, diff)
		}
	}
}

func TestWithoutSeals(t *testing.T) {
	a, b := string(seal([]byte(`{"id":"a"}`))), string(seal([]byte(`{"id":"b"}`)))
	f := func(text, want string) {
		t.Helper()
		if got := string(withoutSeals([]byte(text))); got != want {
			t.Errorf("%q without checksums is %q, want %q", text, got, want)
		}
	}
	f("", "")
	f(a+"\n"+b+"\n", "{\"id\":\"a\"}\n{\"id\":\"b\"}\n")
	f("{\"id\":\"old\"}\n", "{\"id\":\"old\"}\n")
	f(a+"\n{\"id", "{\"id\":\"a\"}\n{\"id") // a crash cut it short: it was never acknowledged
	bent := strings.Replace(b, "b", "c", 1)
	f(a+"\n"+bent+"\n", "{\"id\":\"a\"}\n"+bent+"\n")
}

// TestBentSums: sums that a bent bit has changed are not compared with, and the log says so.
func TestBentSums(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, fileSums)
	if err := writeSealed(path, []byte(`{"events/partitions/20261102/datadb/A":{"index.bin":305419896}}`)); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	logger := slog.New(slog.NewTextHandler(&said, nil))
	want := openSums(dir, logger).parts
	if len(want) != 1 || said.Len() != 0 {
		t.Fatalf("whole sums are %v: %s", want, said.String())
	}
	for bit := range len(whole) * 8 {
		bent := append([]byte{}, whole...)
		bent[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(path, bent, 0o600); err != nil {
			t.Fatal(err)
		}
		said.Reset()
		got := openSums(dir, logger).parts
		if cmp.Equal(want, got) {
			continue
		}
		if len(got) != 0 || !strings.Contains(said.String(), "taken anew") {
			t.Fatalf("%q reads as %v, and the log says %q", bent, got, said.String())
		}
	}
}
