package loki

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

// frame is what Grafana reads.
type frame struct {
	Streams []struct {
		Stream map[string]string
		Values [][]string
	}
	Dropped []struct {
		Labels    map[string]string
		Timestamp string
	} `json:"dropped_entries"`
}

func dial(t *testing.T, b *bench, query string) *websocket.Conn {
	t.Helper()
	target := strings.Replace(b.server.URL, "http", "ws", 1) + Prefix + "/tail?limit=2&query=" + url.QueryEscape(query)
	conn, resp, err := websocket.Dial(t.Context(), target, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("status %d", resp.StatusCode)
	}
	return conn
}

func read(t *testing.T, conn *websocket.Conn) (frame, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, data, err := conn.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var f frame
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	return f, string(data)
}

// TestTail: the newest lines come first, oldest of them first, then each new one that the query wants; the server's end
// ends the connection.
func TestTail(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	b := newBench(t)
	defer http.DefaultClient.CloseIdleConnections()
	defer b.server.Close()
	conn := dial(t, b, `{service_name="writer"} | line_format "<{{__line__}}>"`)
	past, text := read(t, conn)
	if len(past.Streams) != 2 || past.Streams[0].Values[0][1] != "<draft written>" || len(past.Streams[0].Values[0]) != 2 ||
		!strings.HasSuffix(text, `"dropped_entries":null}`) {
		t.Errorf("the past: %s", text)
	}
	b.write(-50*time.Second, 9, "critic", "not for the writer's reader")
	b.write(-40*time.Second, 9, "writer", "new")
	if next, text := read(t, conn); len(next.Streams) != 1 || next.Streams[0].Values[0][1] != "<new>" ||
		next.Streams[0].Stream["service_name"] != "writer" || next.Streams[0].Values[0][0] != ns(-40*time.Second) {
		t.Errorf("what came: %s", text)
	}
	b.feed.Close()
	if _, _, err := conn.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("at the server's end: %v", err)
	}
}

// TestTailOfOtherPages: a page of another site can't follow logs through its visitor's browser.
func TestTailOfOtherPages(t *testing.T) {
	b := newBench(t)
	target := strings.Replace(b.server.URL, "http", "ws", 1) + Prefix + "/tail?query=" + url.QueryEscape(`{service_name="writer"}`)
	_, resp, err := websocket.Dial(t.Context(), target, &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"https://elsewhere.example"}}})
	if err == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("%v", err)
	}
	if n, _ := b.feed.Watched(); n != 0 {
		t.Errorf("%d still watch", n)
	}
}

// TestSlowTail: who reads slowly is told how many lines are missing.
func TestSlowTail(t *testing.T) {
	b := newBench(t)
	conn := dial(t, b, `{service_name="writer"}`)
	defer conn.CloseNow()
	conn.SetReadLimit(-1)
	read(t, conn)
	line := strings.Repeat("x", 1<<20)
	for i := range 60 { // more than the queue and the network hold
		b.write(-30*time.Second+time.Duration(i), 9, "writer", line)
	}
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		if f, _ := read(t, conn); len(f.Dropped) > 0 {
			if f.Dropped[0].Labels["dropped"] == "" || f.Dropped[0].Timestamp == "" {
				t.Errorf("%+v", f.Dropped)
			}
			if _, dropped := b.feed.Watched(); dropped == 0 {
				t.Error("the feed has not counted")
			}
			return
		}
	}
	t.Error("nothing was dropped, or nobody told")
}
