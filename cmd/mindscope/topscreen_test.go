package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/internal/client"
)

var topNow = time.Date(2026, 3, 1, 10, 1, 40, 0, time.UTC)

// running is what a server tells: a task that works, one that is lost, one that is stuck and one that goes round.
const running = `{"total":5,"tasks":[
{"id":"task-1","type":"article","status":"lost","since":"2026-03-01T10:00:00Z","holder":{"agent":"writer","span":"invoke_agent writer","since":"2026-03-01T10:00:10Z"},"usual_ns":40000000000,
 "tree":[{"agent":"boss","name":"execute_task","since":"2026-03-01T10:00:00Z","usual_ns":40000000000,"waits_for":[{"agent":"writer","since":"2026-03-01T10:00:09Z"}],
  "children":[{"agent":"writer","name":"invoke_agent writer","since":"2026-03-01T10:00:10Z","lost":true,"usual_ns":5000000000}]}]},
{"id":"task-2","type":"article","status":"running","since":"2026-03-01T10:00:30Z","holder":{"agent":"boss","span":"execute_task","since":"2026-03-01T10:00:30Z"},"usual_ns":20000000000,"stuck":true,
 "tree":[{"agent":"boss","name":"execute_task","since":"2026-03-01T10:00:30Z","waits_for":[{"agent":"critic","since":"2026-03-01T10:00:40Z","queued":true}]}]},
{"id":"task-3","type":"article","status":"running","since":"2026-03-01T10:01:00Z","holder":{"agent":"critic","span":"invoke_agent critic","since":"2026-03-01T10:01:38Z"},"quality":6.1,
 "ping_pong":{"agents":["writer","critic"],"handovers":6},
 "tree":[{"agent":"boss","name":"execute_task","since":"2026-03-01T10:01:00Z","children":[
   {"agent":"critic","name":"invoke_agent critic","since":"2026-03-01T10:01:38Z","waits_for":[{"agent":"a","since":"2026-03-01T10:01:39Z"},{"agent":"b","since":"2026-03-01T10:01:39Z","queued":true}]},
   {"agent":"","name":"invoke_agent \u001b[31mred","since":"2026-03-01T10:02:39Z"}]}]},
{"id":"a-task-with-a-very-long-name-that-does-not-fit","type":"","status":"running","since":"2026-03-01T10:01:39Z","holder":{"agent":"","span":"execute_task","since":"2026-03-01T10:01:39Z"},"tree":[]}
]}`

func screenOf(t *testing.T) top {
	t.Helper()
	var tasks client.RunningTasks
	if err := json.Unmarshal([]byte(running), &tasks); err != nil {
		t.Fatal(err)
	}
	s := newTop("http://127.0.0.1:9090", palette{})
	s.at = topNow
	return after(s, tea.WindowSizeMsg{Width: 120, Height: 20}, seenMsg{tasks})
}

// after gives messages to the screen, one after the other.
func after(s top, msgs ...tea.Msg) top {
	for _, m := range msgs {
		next, _ := s.Update(m)
		s = next.(top)
	}
	return s
}

func keys(names ...string) []tea.Msg {
	var out []tea.Msg
	for _, name := range names {
		switch name {
		case "down":
			out = append(out, tea.KeyMsg{Type: tea.KeyDown})
		case "up":
			out = append(out, tea.KeyMsg{Type: tea.KeyUp})
		default:
			out = append(out, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(name)})
		}
	}
	return out
}

// TestTopScreen draws the screen as it is after keys were pressed.
func TestTopScreen(t *testing.T) {
	var b strings.Builder
	draw := func(title string, s top) {
		b.WriteString("== " + title + "\n" + s.View() + "\n")
		lines := strings.Split(s.View(), "\n")
		if len(lines) != s.height {
			t.Errorf("%s: %d lines on a screen of %d", title, len(lines), s.height)
		}
		for _, line := range lines {
			if n := len([]rune(line)); n > s.width || strings.ContainsRune(line, 0x1b) {
				t.Errorf("%s: a line of %d on a screen of %d: %q", title, n, s.width, line)
			}
		}
	}
	all := screenOf(t)
	draw("all", all)
	draw("a second later", after(all, clockMsg(topNow.Add(time.Second))))
	draw("paused, a second later", after(all, append(keys("p"), clockMsg(topNow.Add(time.Second)))...))
	draw("without trees, the third is chosen", after(all, keys("t", "down", "j", "down", "up")...))
	draw("only what is wrong, the last is chosen", after(all, keys("w", "G")...))
	draw("small, the third is chosen", after(all, append([]tea.Msg{tea.WindowSizeMsg{Width: 50, Height: 8}}, keys("down", "down")...)...))
	draw("the server is gone", after(all, goneMsg{errors.New("no server answers at http://127.0.0.1:9090")}))
	draw("nothing runs", after(all, seenMsg{client.RunningTasks{}}))
	draw("at first", after(newTop("http://127.0.0.1:9090", palette{}), tea.WindowSizeMsg{Width: 80, Height: 5}))
	path := filepath.Join("testdata", "top.golden")
	if *rewrite {
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("(-want +got, -rewrite writes it)\n%s", diff)
	}
}

func TestTopEnds(t *testing.T) {
	for _, key := range []tea.KeyMsg{{Type: tea.KeyCtrlC}, {Type: tea.KeyEsc}, {Type: tea.KeyRunes, Runes: []rune("q")}} {
		_, cmd := screenOf(t).Update(key)
		if cmd == nil {
			t.Fatalf("%s does nothing", key)
		}
		if _, quits := cmd().(tea.QuitMsg); !quits {
			t.Errorf("%s does not end it", key)
		}
	}
	// Keys beyond either end choose the last and the first.
	s := after(screenOf(t), keys("G", "down", "down")...)
	if s.cursor != 3 {
		t.Errorf("chosen: %d, want 3", s.cursor)
	}
	if s = after(s, keys("g", "up")...); s.cursor != 0 {
		t.Errorf("chosen: %d, want 0", s.cursor)
	}
}
