package eventdb

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// TestFlippedBits bends one bit in each file of the engine, one after the other: the store does not open, and says which file
// it is. Mended, it opens and has all rows.
func TestFlippedBits(t *testing.T) {
	dir := t.TempDir()
	db := openWith(t, dir, Config{})
	want := []store.Row{
		span("t", "1", base, field("attr.prompt", store.String(strings.Repeat("a long prompt ", 100)))),
		span("t", "2", base+1, field("attr.note", store.String("a short note"))),
	}
	add(t, db, want...)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "partitions", "*", "*", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	flipped := 0
	for _, path := range files {
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(whole) == 0 {
			continue
		}
		bent := append([]byte{}, whole...)
		bent[len(bent)/2] ^= 1 << (flipped % 8)
		flipped++
		if err := os.WriteFile(path, bent, 0o600); err != nil {
			t.Fatal(err)
		}
		again, err := Open(dir, Config{Retention: maxRetention, PayloadRetention: maxRetention})
		if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s is bent: %v", path, err)
		}
		if err == nil {
			_ = again.Close() // it should not have been opened
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if flipped < 20 {
		t.Fatalf("only %d files were bent", flipped)
	}
	sameRows(t, selectAll(t, openWith(t, dir, Config{}), store.Select{Order: store.OldestFirst}), want)
}

// TestFlippedBitOfAList bends a bit in the name of a part in each list of parts. The engine would remove the part whose name is
// gone before it misses the other one.
func TestFlippedBitOfAList(t *testing.T) {
	dir := t.TempDir()
	db := openWith(t, dir, Config{})
	want := []store.Row{span("t", "1", base, field("attr.prompt", store.String(strings.Repeat("a long prompt ", 100))))}
	add(t, db, want...)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	lists, err := filepath.Glob(filepath.Join(dir, "*", "partitions", "*", "*", fileParts))
	if err != nil || len(lists) < 4 {
		t.Fatalf("%d lists, %v", len(lists), err)
	}
	for _, path := range lists {
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		bent := append([]byte{}, whole...)
		bent[bytes.IndexByte(bent, '"')+16] ^= 1 // the last digit of the first name
		if err := os.WriteFile(path, bent, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, Config{Retention: maxRetention, PayloadRetention: maxRetention}); !errors.Is(err, store.ErrCorrupt) ||
			!strings.Contains(err.Error(), path) || !strings.Contains(signal.HintOf(err), "restore") {
			t.Errorf("%s is bent: %v", path, err)
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sameRows(t, selectAll(t, openWith(t, dir, Config{}), store.Select{Order: store.OldestFirst}), want)
}

// TestFlippedBitsOfOldParts: what is compared beside readers ends their answers.
func TestFlippedBitsOfOldParts(t *testing.T) {
	dir := t.TempDir()
	db := openWith(t, dir, Config{})
	add(t, db, span("t", "1", base))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	again := openWith(t, dir, Config{})
	files, err := filepath.Glob(filepath.Join(dir, dirEvents, "partitions", "*", "datadb", "*", "metadata.json")) // read at start only
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	bent, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	bent[len(bent)-1] ^= 1
	if err := os.WriteFile(files[0], bent, 0o600); err != nil {
		t.Fatal(err)
	}
	parts, err := again.sums.listParts()
	if err != nil {
		t.Fatal(err)
	}
	if err := again.sums.verifyRest(t.Context(), parts); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("compared: %v", err)
	}
	if _, err := again.Stats(t.Context()); !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), files[0]) {
		t.Errorf("a reader is told %v", err)
	}
}

// layParts makes parts as the engine does, of one file each. The list names them.
func layParts(t *testing.T, dir string, names ...string) (folder string) {
	t.Helper()
	folder = filepath.Join(dir, dirEvents, "partitions", "20230506", "datadb")
	for _, name := range names {
		if err := os.MkdirAll(filepath.Join(folder, name), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name, "metadata.json"), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(folder, fileParts), []byte(`["`+strings.Join(names, `","`)+`"]`), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

// TestSumsBesideReaders: while the sums of a part are taken, which is minutes for a large one, nobody waits. The part here is
// a pipe that ends when the test says so.
func TestSumsBesideReaders(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(layParts(t, dir, "A"), "A", "values.bin")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	s := openSums(dir, slog.New(slog.DiscardHandler))
	taken, asked := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := s.take(t.Context())
		taken <- err
	}()
	w, err := os.OpenFile(pipe, os.O_WRONLY, 0) // returns when the file is read
	if err != nil {
		t.Fatal(err)
	}
	go func() { asked <- s.damage() }()
	select {
	case err := <-asked:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("a reader waits for the sums")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-taken; err != nil || len(s.parts) != 1 {
		t.Errorf("%d parts, %v", len(s.parts), err)
	}
}

// TestSumsAreTakenBitByBit: one checkpoint does not read all there is; what it took is written down.
func TestSumsAreTakenBitByBit(t *testing.T) {
	dir := t.TempDir()
	layParts(t, dir, "A", "B", "C")
	s := openSums(dir, slog.New(slog.DiscardHandler))
	s.atMost = 2 // bytes, and each part has one
	for _, want := range []int{2, 3, 3} {
		if more, err := s.take(t.Context()); err != nil || more != (want < 3) {
			t.Fatal(more, err)
		}
		if n := len(openSums(dir, slog.New(slog.DiscardHandler)).parts); n != want {
			t.Errorf("%d parts are known, want %d", n, want)
		}
	}
}

// TestPartsOnTheirWay: a part of which the engine has removed some files, or not written all, is no damage. It takes
// a merged part from its list before the first file goes, and marks a day that it drops.
func TestPartsOnTheirWay(t *testing.T) {
	f := func(name string, damaged bool, change func(folder string) error) {
		t.Helper()
		dir := t.TempDir()
		folder := layParts(t, dir, "A", "B")
		s := openSums(dir, slog.New(slog.DiscardHandler))
		if _, err := s.take(t.Context()); err != nil {
			t.Fatal(err)
		}
		parts, err := s.listParts()
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.WriteFile(filepath.Join(folder, "A", "more"), nil, 0o600), change(folder)); err != nil {
			t.Fatal(err)
		}
		if _, err := openSums(dir, slog.New(slog.DiscardHandler)).verify(t.Context()); errors.Is(err, store.ErrCorrupt) != damaged {
			t.Errorf("%s: at start: %v", name, err)
		}
		if err := s.verifyRest(t.Context(), parts); errors.Is(err, store.ErrCorrupt) != damaged || (s.damage() != nil) != damaged {
			t.Errorf("%s: beside readers: %v, %v", name, err, s.damage())
		}
	}
	lose := func(folder string) error { return os.Remove(filepath.Join(folder, "A", "metadata.json")) }
	bend := func(folder string) error {
		return os.WriteFile(filepath.Join(folder, "A", "metadata.json"), nil, 0o600)
	}
	unlist := func(folder string) error {
		return os.WriteFile(filepath.Join(folder, fileParts), []byte(`["B"]`), 0o600)
	}
	mark := func(folder string) error { return os.WriteFile(filepath.Join(folder, "..", fileRemoving), nil, 0o600) }
	f("a lost file", true, lose)
	f("a bent file", true, bend)
	f("a merged part", false, func(folder string) error { return errors.Join(unlist(folder), lose(folder)) })
	f("a part that is written", false, func(folder string) error { return errors.Join(unlist(folder), bend(folder)) })
	f("a dropped day", false, func(folder string) error { return errors.Join(mark(folder), lose(folder)) })
	f("a day without its list", false, func(folder string) error {
		return errors.Join(mark(folder), lose(folder), os.Remove(filepath.Join(folder, fileParts)))
	})
}

// noFiles lets this process open no file until the returned function is called.
func noFiles(t *testing.T) (again func()) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	set := func(l unix.Rlimit) {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
			t.Fatal(err)
		}
	}
	set(unix.Rlimit{Cur: 0, Max: limit.Max})
	return func() { set(limit) }
}

// TestUnreadableIsNoDamage: a file that can't be read for now says nothing about what is in it. It is compared later.
func TestUnreadableIsNoDamage(t *testing.T) {
	f := func(name string, hide func(t *testing.T, path string) (show func()), hint string) {
		t.Helper()
		for _, bent := range []bool{false, true} {
			dir := t.TempDir()
			path := filepath.Join(layParts(t, dir, "A", "B"), "A", "metadata.json")
			var said bytes.Buffer
			s := openSums(dir, slog.New(slog.NewTextHandler(&said, nil)))
			if _, err := s.take(t.Context()); err != nil {
				t.Fatal(err)
			}
			parts, err := s.listParts()
			if err != nil {
				t.Fatal(err)
			}
			show := hide(t, path)
			_, err = s.verify(t.Context())
			if err == nil || errors.Is(err, store.ErrCorrupt) || !strings.Contains(signal.HintOf(err), hint) {
				t.Errorf("%s: at start: %v: %s", name, err, signal.HintOf(err))
			}
			synctest.Test(t, func(t *testing.T) {
				done := make(chan error, 1)
				go func() { done <- s.verifyRest(t.Context(), parts) }()
				synctest.Wait()
				if err := s.damage(); err != nil || len(done) > 0 {
					t.Errorf("%s: it is damaged: %v", name, err)
				}
				if !strings.Contains(said.String(), hint) {
					t.Errorf("%s: no word of what to do: %s", name, said.String())
				}
				show()
				if bent {
					if err := os.WriteFile(path, []byte("bent"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				if err := <-done; errors.Is(err, store.ErrCorrupt) != bent || (s.damage() != nil) != bent {
					t.Errorf("%s, bent %v: compared later: %v", name, bent, err)
				}
			})
		}
	}
	f("a link that leads to itself", func(t *testing.T, path string) func() {
		t.Helper()
		if err := errors.Join(os.Rename(path, path+".away"), os.Symlink(path, path)); err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := os.Rename(path+".away", path); err != nil {
				t.Fatal(err)
			}
		}
	}, "see to it")
	f("too many open files", func(t *testing.T, _ string) func() { t.Helper(); return noFiles(t) }, "ulimit -n")
}

// TestSumsOfUnlistedParts: while it can't be read which parts there are, none is forgotten.
func TestSumsOfUnlistedParts(t *testing.T) {
	dir := t.TempDir()
	layParts(t, dir, "A", "B")
	s := openSums(dir, slog.New(slog.DiscardHandler))
	if _, err := s.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := noFiles(t)
	_, err := s.take(t.Context())
	again()
	if !errors.Is(err, unix.EMFILE) || len(s.parts) != 2 {
		t.Errorf("%d parts are known, %v", len(s.parts), err)
	}
}

// TestCloseWhileAPartIsRead: a stop does not wait for a part that takes minutes to read, neither when its sums are taken nor
// when they are compared; the next life does it. The part here has a file with a hole of 256 GiB.
func TestCloseWhileAPartIsRead(t *testing.T) {
	dir := t.TempDir()
	db := openWith(t, dir, Config{})
	want := []store.Row{span("t", "1", base)}
	add(t, db, want...)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	lists, err := filepath.Glob(filepath.Join(dir, dirEvents, "partitions", "*", "datadb", "*", "metadata.json"))
	if err != nil || len(lists) == 0 {
		t.Fatal(lists, err)
	}
	large := filepath.Join(filepath.Dir(lists[0]), "large.bin")
	part, err := filepath.Rel(dir, filepath.Dir(large))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(large, nil, 0o600), os.Truncate(large, 256<<30)); err != nil {
		t.Fatal(err)
	}
	// closeMeanwhile closes the store while it reads the file.
	closeMeanwhile := func(db *DB) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !isOpen(large); {
			if time.Now().After(end) {
				t.Fatal("the file is not read")
			}
		}
		start := time.Now()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d > takeAtClose+5*time.Second {
			t.Errorf("a stop takes %v", d)
		}
		if err := db.sums.damage(); err != nil {
			t.Error(err)
		}
	}
	forget := func() {
		t.Helper()
		if err := os.Remove(filepath.Join(dir, fileSums)); err != nil {
			t.Fatal(err)
		}
	}
	forget()
	db = openWith(t, dir, Config{})
	db.sums.look()
	closeMeanwhile(db)
	if len(db.sums.parts) == 0 || db.sums.of(part) != nil {
		t.Errorf("sums of %d parts are known, of the large one: %v", len(db.sums.parts), db.sums.of(part))
	}

	text, err := json.Marshal(map[string]map[string]uint32{part: {"large.bin": 1}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, fileSums), text, 0o600); err != nil {
		t.Fatal(err)
	}
	closeMeanwhile(openWith(t, dir, Config{}))

	forget()
	if err := os.Truncate(large, 1); err != nil {
		t.Fatal(err)
	}
	db = openWith(t, dir, Config{})
	db.sums.look()
	for end := time.Now().Add(20 * time.Second); db.sums.of(part) == nil; {
		if time.Now().After(end) {
			t.Fatal("the sums that the last life did not take are not taken")
		}
	}
	sameRows(t, selectAll(t, db, store.Select{Order: store.OldestFirst}), want)
}

// isOpen tells whether this process has a file open.
func isOpen(path string) bool {
	links, _ := filepath.Glob("/proc/self/fd/*") // none: it is not open
	return slices.ContainsFunc(links, func(link string) bool { to, err := os.Readlink(link); return err == nil && to == path })
}

// TestKilledWhileAPartGoes: a server that is killed between two files of a part that was merged, or of a day that it drops,
// starts again, and has all that it had.
func TestKilledWhileAPartGoes(t *testing.T) {
	dir := t.TempDir()
	db := openWith(t, dir, Config{})
	want := []store.Row{span("t", "1", base), span("t", "2", base+int64(day))}
	add(t, db, want...)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	marked := func(folder string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, fileRemoving), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	one := func(pattern ...string) string {
		t.Helper()
		paths, err := filepath.Glob(filepath.Join(append([]string{dir, dirEvents, "partitions"}, pattern...)...))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%v: %v", pattern, err)
		}
		return paths[0]
	}
	// A copy of a part stands for one that was merged into it.
	part := one("*", "datadb", "*", "metadata.json")
	merged := filepath.Join(filepath.Dir(part), "..", "0000000000000001")
	if err := os.CopyFS(merged, os.DirFS(filepath.Dir(part))); err != nil {
		t.Fatal(err)
	}
	s := openSums(dir, slog.New(slog.DiscardHandler))
	rel, err := filepath.Rel(dir, merged)
	if err != nil {
		t.Fatal(err)
	}
	if s.parts[rel], err = s.sumsOf(t.Context(), rel, nil, atOnce); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(s.parts)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, fileSums), text, 0o600); err != nil {
		t.Fatal(err)
	}
	marked(merged)
	// The second day is dropped.
	dropped := filepath.Dir(filepath.Dir(filepath.Dir(one("20230507", "datadb", "*", "metadata.json"))))
	marked(dropped)
	for _, path := range []string{filepath.Join(merged, "index.bin"), filepath.Dir(one("20230507", "datadb", "*", "index.bin")) + "/index.bin"} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	sameRows(t, selectAll(t, openWith(t, dir, Config{}), store.Select{Order: store.OldestFirst}), want[:1])
}
