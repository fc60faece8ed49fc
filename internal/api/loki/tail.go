package loki

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/coder/websocket"

	"github.com/mindscope/mindscope/internal/derive/tail"
	"github.com/mindscope/mindscope/internal/query/logql"
	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

const (
	// tailPace is the shortest time between two frames, tailWrite the longest that one may take to be sent.
	tailPace  = 100 * time.Millisecond
	tailWrite = 10 * time.Second
	// tailBeat is how often it is looked whether the other side is still there.
	tailBeat = 30 * time.Second
	// tailLines and tailBytes bound the lines of a frame.
	tailLines = 1000
	tailBytes = 1 << 20
)

// tail sends the newest lines of a query, then each new one as it is stored, over a WebSocket. Browsers may connect from
// the server's own pages only; Grafana connects for its users.
func (a *API) tail(q *request) error {
	if a.cfg.Feed == nil {
		return bad("tail is not served here")
	}
	expr, err := logql.Parse(q.Form.Get("query"))
	if err != nil {
		return err
	}
	log, isLog := expr.(*logql.LogExpr)
	if !isLog {
		return bad("only lines can be followed, not numbers")
	}
	limit, err := q.count("limit", defaultLines, a.engine.Limits().MaxLines)
	if err != nil {
		return err
	}
	start, err := q.time("start", q.now.Add(-time.Hour).UnixNano())
	if err != nil {
		return err
	}
	follower, err := logql.Follow(log)
	if err != nil {
		return err
	}
	sub, err := a.cfg.Feed.Subscribe(q.project, store.KindLog, follower.Filter())
	if err != nil {
		return err
	}
	defer sub.Close()
	conn, err := websocket.Accept(q.w, q.Request, nil)
	if err != nil {
		return nil // the library has answered
	}
	t := &tailer{conn: conn, sub: sub, follower: follower}
	ctx := conn.CloseRead(q.Context()) // nothing is expected from the other side but its end
	past, err := a.engine.Lines(ctx, q.project, log, signal.TimeRange{Start: start, End: q.now.UnixNano() + 1}, limit, false)
	if err == nil {
		err = t.run(ctx, a.cfg.Feed, past.Entries)
	}
	switch {
	case errors.Is(err, errGoing):
		_ = conn.Close(websocket.StatusGoingAway, "the server stops")
	case err != nil && ctx.Err() == nil:
		_ = conn.Close(websocket.StatusInternalError, "the lines could not be sent")
	default:
		_ = conn.CloseNow()
	}
	return nil
}

var errGoing = errors.New("the server stops")

type tailer struct {
	conn     *websocket.Conn
	sub      *tail.Subscription
	follower *logql.Follower
	buf      []byte
}

// run sends the past and what comes, until the other side is gone.
func (t *tailer) run(ctx context.Context, feed *tail.Feed, past []logql.Entry) error {
	// What was stored while the past was read is in both.
	known := make(map[string]bool, len(past))
	for i := range past {
		known[past[i].ID] = true
	}
	slices.Reverse(past)
	if err := t.send(ctx, past); err != nil {
		return err
	}
	pace := time.NewTicker(tailPace)
	defer pace.Stop()
	beat := time.NewTicker(tailBeat)
	defer beat.Stop()
	var waiting []logql.Entry
	bytes := 0
	for {
		rows := t.sub.Rows()
		if len(waiting) >= tailLines || bytes >= tailBytes {
			rows = nil // the queue holds them, or drops
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-feed.Done():
			return errGoing
		case row := <-rows:
			t.sub.Taken(row)
			if entry, ok := t.follower.Take(row); ok && !known[entry.ID] {
				waiting = append(waiting, entry)
				bytes += len(entry.Line)
			}
			continue
		case <-beat.C:
			if err := t.ping(ctx); err != nil {
				return err
			}
			continue
		case <-pace.C:
		}
		if err := t.send(ctx, waiting); err != nil {
			return err
		}
		clear(waiting)
		waiting, bytes = waiting[:0], 0
	}
}

func (t *tailer) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, tailWrite)
	defer cancel()
	return t.conn.Ping(ctx)
}

// send writes a frame, when there is anything to say.
func (t *tailer) send(ctx context.Context, entries []logql.Entry) error {
	dropped := t.sub.Dropped()
	if len(entries) == 0 && dropped == 0 {
		return nil
	}
	b := t.buf[:0]
	b = append(b, `{"streams":[`...)
	for i, s := range byStream(entries, true) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendStream(b, s, false, func(b []byte) []byte { return b })
	}
	b = append(b, `],"dropped_entries":`...)
	if dropped == 0 {
		b = append(b, "null}"...)
	} else {
		// They are not known any more; one entry stands for all of them.
		b = append(b, `[{"labels":{"dropped":"`...)
		b = strconv.AppendUint(b, dropped, 10)
		b = append(b, `"},"timestamp":"`...)
		b = strconv.AppendInt(b, time.Now().UnixNano(), 10)
		b = append(b, `"}]}`...)
	}
	t.buf = b
	ctx, cancel := context.WithTimeout(ctx, tailWrite)
	defer cancel()
	return t.conn.Write(ctx, websocket.MessageText, b)
}
