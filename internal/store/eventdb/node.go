package eventdb

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/app/vlstorage/netinsert"
	"github.com/VictoriaMetrics/VictoriaLogs/app/vlstorage/netselect"
	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/encoding/zstd"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/promauth"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

const (
	// tendEvery is how often a node is looked after.
	tendEvery = time.Second
	// nodeTimeout bounds one request to a node.
	nodeTimeout = 30 * time.Second
	// probeTimeout bounds the question whether a node is there.
	probeTimeout = 5 * time.Second
	// maxBlock is the size at which rows become a block of their own, before compression; a node takes 64 MiB.
	maxBlock = 8 << 20
	// maxNamed bounds the streams that are remembered to have names.
	maxNamed = 10_000
)

// block is rows on their way to a node, as its insert endpoint takes them, compressed.
type block struct {
	tenant logstorage.TenantID
	body   []byte
	first  int64 // times of its rows
	last   int64
	doubt  bool      // a node may have it, or have lost it
	made   time.Time // before it is handed to a node
	at     time.Time // when it was acknowledged, the last time
}

// makeBlocks marshals rows. Those that the engine would not take are counted.
func makeBlocks(t logstorage.TenantID, rows []encoded) (blocks []*block, refused int64) {
	lr := logstorage.GetLogRows(nil, nil, nil, nil, "")
	defer logstorage.PutLogRows(lr)
	var buf []byte
	now := time.Now()
	b := &block{tenant: t, first: math.MaxInt64, made: now}
	seal := func() {
		if len(buf) > 0 {
			b.body = zstd.CompressLevel(nil, buf, 1)
			blocks = append(blocks, b)
			b, buf = &block{tenant: t, first: math.MaxInt64, made: now}, buf[:0]
		}
	}
	for i := range rows {
		lr.MustAdd(t, rows[i].time, rows[i].fields, rows[i].streams)
		if lr.RowsCount() == 0 {
			refused++
			continue
		}
		lr.ForEachRow(func(_ uint64, r *logstorage.InsertRow) { buf = r.Marshal(buf) })
		lr.ResetKeepSettings()
		b.first, b.last = min(b.first, rows[i].time), max(b.last, rows[i].time)
		if len(buf) >= maxBlock {
			seal()
		}
	}
	seal()
	return blocks, refused
}

// rows calls f with each row; it keeps those for which f returns true, and returns what is left, nil when nothing is.
func (b *block) rows(keep func(r *logstorage.InsertRow) bool) (*block, error) {
	plain, err := zstd.Decompress(nil, b.body)
	if err != nil {
		return nil, fmt.Errorf("BUG: block of ours: %w", err)
	}
	r := logstorage.GetInsertRow()
	defer logstorage.PutInsertRow(r)
	var kept []byte
	for src := plain; len(src) > 0; {
		if src, err = r.UnmarshalInplace(src); err != nil {
			return nil, fmt.Errorf("BUG: block of ours: %w", err)
		}
		if keep(r) {
			kept = r.Marshal(kept)
		}
	}
	if len(kept) == 0 {
		return nil, nil
	}
	c := *b
	c.body = zstd.CompressLevel(nil, kept, 1)
	return &c, nil
}

// node is one storage node.
type node struct {
	addr string
	url  string // scheme, host and port
	sel  *netselect.Storage
	http *http.Client
	// auth is who we are, header adds it to a request.
	auth   NodeAuth
	header *promauth.Config

	tending sync.Mutex // one at a time
	// named are streams that the process which runs now is known to find.
	named map[lostStream]bool

	mu      sync.Mutex
	up      bool
	suspect bool     // it was away: it may have restarted
	started string   // when its process did, as it says
	queue   []*block // to be sent, oldest first
	sent    []*block // acknowledged, perhaps not on its disk yet
	bytes   int      // of queue and sent
	stored  uint64   // bytes on its disk, as it says
	unfit   error    // why it must not be used
	said    string   // the last of these that was logged

	resent atomic.Uint64 // rows
}

// newNode speaks to host:port, over TLS when secure.
func newNode(addr string, secure bool, sel *netselect.Storage) *node {
	scheme := "http://"
	if secure {
		scheme = schemeTLS
	}
	return &node{addr: addr, url: scheme + addr, sel: sel, http: &http.Client{Timeout: nodeTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute}}}
}

func (nd *node) close() {
	nd.sel.MustStop()
	nd.http.CloseIdleConnections()
}

func (nd *node) run(n *nodes) {
	ticker := time.NewTicker(tendEvery)
	defer ticker.Stop()
	for {
		select {
		case <-n.stop:
			return
		case <-ticker.C:
			nd.tend(n)
		}
	}
}

// errRefused: the node has certainly not taken the rows.
var errRefused = errors.New("the storage node did not take the rows")

// offer sends a block if the node is there and nothing waits before it. It returns false when the node has certainly
// not taken it.
func (nd *node) offer(b *block) bool {
	nd.mu.Lock()
	ready := nd.up && len(nd.queue) == 0
	nd.mu.Unlock()
	if !ready {
		return false
	}
	err := nd.send(context.Background(), b)
	nd.mu.Lock()
	defer nd.mu.Unlock()
	switch {
	case err == nil:
		nd.keep(b)
	case errors.Is(err, errRefused):
		nd.up = nd.up && !isDial(err)
		nd.suspect = nd.suspect || isDial(err)
		return false
	default:
		nd.up, nd.suspect = false, true
		b.doubt = true
		nd.queue = append(nd.queue, b)
		nd.bytes += len(b.body)
	}
	return true
}

// hold keeps a block that no node takes for now.
func (nd *node) hold(b *block) {
	nd.mu.Lock()
	defer nd.mu.Unlock()
	nd.queue = append(nd.queue, b)
	nd.bytes += len(b.body)
}

// keep notes an acknowledged block. The lock is held.
func (nd *node) keep(b *block) {
	b.at, b.doubt = time.Now(), false
	nd.sent = append(nd.sent, b)
	nd.bytes += len(b.body)
}

func isDial(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// send posts a block.
func (nd *node) send(ctx context.Context, b *block) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, nd.url+"/internal/insert?version="+netinsert.ProtocolVersion, bytes.NewReader(b.body))
	if err != nil {
		return err
	}
	// A body that can't be read again is not sent again by the client on its own.
	req.GetBody = nil
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set("Content-Encoding", "zstd")
	if err := nd.header.SetHeaders(req, true); err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	resp, err := nd.http.Do(req)
	if err != nil {
		if isDial(err) {
			return fmt.Errorf("%w: %w", errRefused, err)
		}
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<12))
	if err != nil {
		return err
	}
	denied := nd.auth.denied(nd.addr, resp.StatusCode)
	switch {
	case resp.StatusCode/100 == 2:
		return nil
	case denied != nil:
		return fmt.Errorf("%w: %w", errRefused, denied)
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable:
		return fmt.Errorf("%w: status %d: %s", errRefused, resp.StatusCode, text)
	default:
		return fmt.Errorf("storage node %s: status %d: %s", nd.addr, resp.StatusCode, text)
	}
}

// tend looks whether the node is there and is the process it was, sends what waits, and lets go of what is on its disk.
func (nd *node) tend(n *nodes) {
	nd.tending.Lock()
	defer nd.tending.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), nodeTimeout)
	defer cancel()
	at := time.Now()
	days, err := nd.probe(ctx, n.needs)
	nd.say(n.log)
	if err != nil {
		nd.mu.Lock()
		nd.up, nd.suspect = false, true
		nd.mu.Unlock()
		return
	}
	n.mu.Lock()
	for _, d := range days {
		n.days[d] = struct{}{}
	}
	n.mu.Unlock()
	for nd.sendNext(ctx, n.log) {
	}
	nd.letGo(at.Add(-n.settle))
}

// sendNext sends the oldest waiting block and tells whether there is another.
func (nd *node) sendNext(ctx context.Context, log *slog.Logger) bool {
	nd.mu.Lock()
	if len(nd.queue) == 0 {
		nd.mu.Unlock()
		return false
	}
	b := nd.queue[0]
	nd.mu.Unlock()
	left, err := b, error(nil)
	if b.doubt {
		left, err = nd.missing(ctx, b, log)
	}
	if err == nil && left != nil {
		if err = nd.send(ctx, left); err != nil && !errors.Is(err, errRefused) {
			b.doubt = true
		}
	}
	nd.mu.Lock()
	defer nd.mu.Unlock()
	if err != nil {
		nd.up, nd.suspect = false, true
		return false
	}
	nd.queue = nd.queue[1:]
	nd.bytes -= len(b.body)
	nd.keep(b) // with all its rows: those that were found are perhaps not on disk either
	return len(nd.queue) > 0
}

// letGo forgets what was acknowledged before a time: the node that answered since is the process that took it.
func (nd *node) letGo(before time.Time) {
	nd.mu.Lock()
	defer nd.mu.Unlock()
	n := 0
	for n < len(nd.sent) && nd.sent[n].at.Before(before) {
		nd.bytes -= len(nd.sent[n].body)
		n++
	}
	nd.sent = slices.Delete(nd.sent, 0, n)
}

// say logs, once, why a node that is there is not used.
func (nd *node) say(log *slog.Logger) {
	nd.mu.Lock()
	defer nd.mu.Unlock()
	text := ""
	if nd.unfit != nil {
		text = nd.unfit.Error()
	}
	if text != "" && text != nd.said {
		log.Error("a storage node is not used: rows wait or go to others, answers are partial", "error", nd.unfit, "hint", signal.HintOf(nd.unfit))
	}
	nd.said = text
}

// ask asks the node who it is and which days it has.
func (nd *node) ask(ctx context.Context) (text, list []byte, err error) {
	if text, err = nd.get(ctx, "/metrics"); err == nil {
		list, err = nd.get(ctx, "/internal/partition/list")
	}
	if errors.Is(err, errDenied) || errors.Is(err, errNoCredentials) {
		nd.mu.Lock()
		nd.unfit = err
		nd.mu.Unlock()
	}
	return text, list, err
}

// probe asks the node who it is. When it is another process than before, what was sent is looked for again.
func (nd *node) probe(ctx context.Context, needs nodeNeeds) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	text, list, err := nd.ask(ctx)
	if err != nil {
		return nil, err
	}
	var days []string
	if err := json.Unmarshal(list, &days); err != nil {
		return nil, fmt.Errorf("read the days of storage node %s: %w", nd.addr, err)
	}
	started, size := readFigures(string(text))
	unfit := needs.check(nd.addr, string(text))
	nd.mu.Lock()
	defer nd.mu.Unlock()
	if nd.unfit = unfit; unfit != nil {
		return nil, unfit
	}
	if started != nd.started || nd.suspect {
		nd.named = nil
		for _, b := range nd.sent {
			b.doubt = true
		}
		nd.queue = append(nd.sent, nd.queue...)
		nd.sent = nil
	}
	nd.up, nd.suspect, nd.started, nd.stored = true, false, started, size
	return days, nil
}

// readFigures takes what we need out of a node's metrics.
func readFigures(text string) (started string, size uint64) {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case name == "process_start_time_seconds":
			started = value
		case strings.HasPrefix(name, "vl_data_size_bytes{"):
			n, _ := strconv.ParseFloat(value, 64) // 0 for what is no number
			size += uint64(n)
		}
	}
	return started, size
}

func (nd *node) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, nd.url+path, nil)
	if err != nil {
		return nil, err
	}
	if err := nd.header.SetHeaders(req, true); err != nil {
		return nil, signal.WithHint(fmt.Errorf("storage node %s: %w: %w", nd.addr, errNoCredentials, err), "see the file that store.node_password_file names")
	}
	resp, err := nd.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if err := nd.auth.denied(nd.addr, resp.StatusCode); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("storage node %s: %s: status %d", nd.addr, path, resp.StatusCode)
	}
	return text, err
}

// flush makes the node's rows searchable.
func (nd *node) flush(ctx context.Context) error {
	_, err := nd.get(ctx, "/internal/force_flush")
	return err
}

// missing returns the rows of a block that the node does not have. Rows without an id may be there twice. Those that it has are found
// by their stream afterwards.
func (nd *node) missing(ctx context.Context, b *block, log *slog.Logger) (*block, error) {
	if err := nd.flush(ctx); err != nil {
		return nil, err
	}
	have, err := nd.has(ctx, b)
	if err != nil {
		return nil, err
	}
	if err := nd.nameStreams(ctx, b, have, log); err != nil {
		return nil, err
	}
	return b.rows(func(r *logstorage.InsertRow) bool {
		_, ok := have[copyOf(r)]
		if !ok {
			nd.resent.Add(1)
		}
		return !ok
	})
}

// has returns which copies of a block's rows the node has.
func (nd *node) has(ctx context.Context, b *block) (map[string]struct{}, error) {
	var ids []string
	if _, err := b.rows(func(r *logstorage.InsertRow) bool {
		if id := columnOf(r, colID); id != "" {
			ids = append(ids, strings.Clone(id))
		}
		return false
	}); err != nil {
		return nil, err
	}
	have := map[string]struct{}{}
	for ids := range slices.Chunk(ids, idsPerQuery) {
		query := fieldIn(colID, ids) + fieldsPipe([]string{colKind, colID, store.FieldRevision})
		err := run(ctx, nd.sel, b.tenant, query, signal.TimeRange{Start: b.first, End: b.last + 1}, func(db *logstorage.DataBlock) error {
			kinds, ids, revs := texts(db, colKind), texts(db, colID), texts(db, store.FieldRevision)
			for i := range ids {
				have[copyNamed(kinds[i], ids[i], revs[i])] = struct{}{}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return have, nil
}

// copyNamed is a key for one copy of a row.
func copyNamed(kind, id, rev string) string { return kind + "\x00" + id + "\x00" + rev }

func copyOf(r *logstorage.InsertRow) string {
	return copyNamed(columnOf(r, colKind), columnOf(r, colID), columnOf(r, store.FieldRevision))
}

func columnOf(r *logstorage.InsertRow, name string) string {
	for _, f := range r.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// forget takes deleted rows out of what is kept to be sent again.
func (nd *node) forget(tenants []logstorage.TenantID, f *logstorage.Filter) {
	nd.tending.Lock()
	defer nd.tending.Unlock()
	nd.mu.Lock()
	defer nd.mu.Unlock()
	clean := func(blocks []*block) []*block {
		var out []*block
		for _, b := range blocks {
			if !slices.Contains(tenants, b.tenant) {
				out = append(out, b)
				continue
			}
			nd.bytes -= len(b.body)
			c, err := b.rows(func(r *logstorage.InsertRow) bool { return !matches(f, r) })
			if err != nil {
				c = b
			}
			if c != nil {
				out = append(out, c)
				nd.bytes += len(c.body)
			}
		}
		return out
	}
	nd.queue, nd.sent = clean(nd.queue), clean(nd.sent)
}

// matches evaluates a filter on a row, with the columns that the engine makes itself.
func matches(f *logstorage.Filter, r *logstorage.InsertRow) bool {
	st := logstorage.GetStreamTags()
	defer logstorage.PutStreamTags(st)
	if _, err := st.UnmarshalCanonicalInplace([]byte(r.StreamTagsCanonical)); err != nil {
		return false
	}
	return f.MatchRow(append(slices.Clone(r.Fields),
		logstorage.Field{Name: "_stream", Value: st.String()}, logstorage.Field{Name: colTime, Value: rfc3339(r.Timestamp)}))
}

// keepsFrom tells whether something from before a time is not on the node's disk for certain. What is from before then may have been
// acknowledged since.
func (nd *node) keepsFrom(at time.Time) bool {
	nd.mu.Lock()
	defer nd.mu.Unlock()
	return len(nd.queue) > 0 || slices.ContainsFunc(nd.sent, func(b *block) bool { return b.made.Before(at) })
}

func (nd *node) held() int {
	nd.mu.Lock()
	defer nd.mu.Unlock()
	return nd.bytes
}

func (nd *node) reachable() bool {
	nd.mu.Lock()
	defer nd.mu.Unlock()
	return nd.up && len(nd.queue) > 0
}

// size returns the bytes that the node holds or is to get.
func (nd *node) size() uint64 {
	nd.mu.Lock()
	defer nd.mu.Unlock()
	return nd.stored + uint64(nd.bytes)
}
