package eventdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/app/vlstorage/netselect"
	"github.com/VictoriaMetrics/VictoriaLogs/lib/logstorage"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/promauth"
	"github.com/VictoriaMetrics/metrics"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

const (
	// defaultSettle is how long after its acknowledgement a node has written a row to disk, whatever happens: it
	// flushes within 11 s with its own defaults (measured), and twice that is safe.
	defaultSettle = 20 * time.Second
	// maxHeldBytes bounds what waits for a node, compressed; beyond it the store is read-only.
	maxHeldBytes = 256 << 20
	// drainLimit bounds how long Close waits for rows that a node has not taken yet.
	drainLimit = 10 * time.Second
	// schemeTLS in front of an address asks for TLS, with the certificates that the system trusts.
	schemeTLS = "https://"
	// embeddedAccount is where the engine in this process has its rows, payloads included.
	embeddedAccount = 0
	// persistLimit bounds how long Persist waits for the nodes.
	persistLimit = time.Minute
)

// nodes is the engine on storage nodes: victoria-logs processes, each with its own disk.
//
// A row lives on one node, chosen by its trace, so that a trace is in one place. A node that refuses rows, or can't be
// connected to, is passed over for the next one. When it is not known whether a node took rows (the connection broke,
// no answer came), they wait for that very node, which is asked for them before they are sent again: so none is lost
// and none is there twice. A node acknowledges rows before they are on its disk; they are kept for settle after that,
// and looked for and sent again when it restarted meanwhile.
type nodes struct {
	all     []*node
	sel     *netselect.Storage
	account uint32
	moved   []uint32
	settle  time.Duration
	needs   nodeNeeds
	log     *slog.Logger

	mu   sync.Mutex
	days map[string]struct{} // there are data of

	stop chan struct{}
	work sync.WaitGroup
}

var _ engine = (*nodes)(nil)

// nodesConfig is what openNodes needs.
type nodesConfig struct {
	addrs   []string // host:port each, with https:// in front of those that want TLS
	account uint32   // tells apart what shares the nodes
	moved   []uint32 // accounts that are read as well: what was an embedded engine's has its account
	needs   nodeNeeds
	settle  time.Duration
	auth    NodeAuth
	log     *slog.Logger
}

// openNodes speaks to nodes. One that can't be reached is waited for; one that would drop rows, or that does not let us in,
// is an error.
func openNodes(cfg nodesConfig) (*nodes, error) {
	n := &nodes{
		account: cfg.account, moved: cfg.moved, needs: cfg.needs, settle: cmp.Or(cfg.settle, defaultSettle), log: slog.New(slog.DiscardHandler),
		days: map[string]struct{}{}, stop: make(chan struct{}),
	}
	header, err := cfg.auth.config()
	if err != nil {
		return nil, err
	}
	auths, secure, hosts := make([]*promauth.Config, len(cfg.addrs)), make([]bool, len(cfg.addrs)), make([]string, len(cfg.addrs))
	for i, addr := range cfg.addrs {
		auths[i] = header
		hosts[i], secure[i] = strings.CutPrefix(addr, schemeTLS)
		nd := newNode(hosts[i], secure[i], netselect.NewStorage(hosts[i:i+1], auths[i:i+1], secure[i:i+1], false))
		nd.auth, nd.header = cfg.auth, header
		n.all = append(n.all, nd)
	}
	n.sel = netselect.NewStorage(hosts, auths, secure, false)
	n.each(func(nd *node) { nd.tend(n) })
	if err := n.unfit(); err != nil {
		return nil, err
	}
	n.log = cfg.log // what was wrong before is the error
	for _, nd := range n.all {
		n.work.Go(func() { nd.run(n) })
	}
	return n, nil
}

// unfit returns what is wrong with the nodes that answer.
func (n *nodes) unfit() error {
	var errs []error
	for _, nd := range n.all {
		nd.mu.Lock()
		errs = append(errs, nd.unfit)
		nd.mu.Unlock()
	}
	for _, err := range errs {
		if err != nil {
			return err // one at a time: its hint is shown
		}
	}
	return nil
}

// each calls f for every node at once and waits for all.
func (n *nodes) each(f func(*node)) {
	var wg sync.WaitGroup
	for _, nd := range n.all {
		wg.Go(func() { f(nd) })
	}
	wg.Wait()
}

// Add implements engine. It returns when every row has been taken by a node or waits for one; it has no errors.
func (n *nodes) Add(t logstorage.TenantID, rows []encoded) (refused int64, err error) {
	shards := make([][]encoded, len(n.all))
	for i := range rows {
		at := n.shard(&rows[i])
		shards[at] = append(shards[at], rows[i])
	}
	n.noteDays(rows)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i, rows := range shards {
		if len(rows) == 0 {
			continue
		}
		wg.Go(func() {
			blocks, bad := makeBlocks(logstorage.TenantID{AccountID: n.account, ProjectID: t.ProjectID}, rows)
			for _, b := range blocks {
				n.place(b, i)
			}
			mu.Lock()
			refused += bad
			mu.Unlock()
		})
	}
	wg.Wait()
	return refused, nil
}

// place hands a block to the first node, from i on, that takes it or may have taken it.
func (n *nodes) place(b *block, i int) {
	for k := range n.all {
		if nd := n.all[(i+k)%len(n.all)]; nd.offer(b) {
			return
		}
	}
	n.all[i].hold(b)
}

// shard chooses a row's node: by trace, else by what makes it the row it is.
func (n *nodes) shard(row *encoded) int {
	key := ""
	for _, name := range []string{store.FieldTraceID, colHash, colGroup, colID} {
		if key = fieldOf(row, name); key != "" {
			break
		}
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // has no errors
	return int(h.Sum32() % uint32(len(n.all)))
}

func (n *nodes) noteDays(rows []encoded) {
	n.mu.Lock()
	defer n.mu.Unlock()
	last := int64(-1)
	for _, r := range rows {
		if d := dayOf(r.time); d != last {
			n.days[time.Unix(0, d).UTC().Format(dayLayout)] = struct{}{}
			last = d
		}
	}
}

// PartitionList implements engine.
func (n *nodes) PartitionList() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make([]string, 0, len(n.days))
	for d := range n.days {
		out = append(out, d)
	}
	slices.Sort(out)
	return out
}

// PartitionDrop implements engine: nodes remove old days by their own settings.
func (n *nodes) PartitionDrop(string) error { return errors.ErrUnsupported }

// RunQuery implements engine. When a node does not answer, the rows of the others are written and the error is
// store.ErrPartial.
func (n *nodes) RunQuery(qctx *logstorage.QueryContext, write logstorage.WriteDataBlockFunc) error {
	before := n.failures()
	q := logstorage.NewQueryContext(qctx.Context, qctx.QueryStats, n.tenants(qctx.TenantIDs), qctx.Query, true, qctx.HiddenFieldsFilters)
	err := n.sel.RunQuery(q, write)
	if qctx.Context.Err() != nil {
		return nil
	}
	if silent := n.silent(before); len(silent) > 0 {
		return errors.Join(fmt.Errorf("%w: storage node %s", store.ErrPartial, strings.Join(silent, ", ")), err)
	}
	return err
}

// failures returns how often each node failed a query, as netselect counts it: it says nothing else of a node that was
// left out.
func (n *nodes) failures() []uint64 {
	out := make([]uint64, len(n.all))
	for i, nd := range n.all {
		out[i] = metrics.GetOrCreateCounter(fmt.Sprintf(`vl_select_remote_send_errors_total{addr=%q}`, nd.addr)).Get()
	}
	return out
}

func (n *nodes) silent(before []uint64) []string {
	var out []string
	for i, now := range n.failures() {
		if now != before[i] {
			out = append(out, n.all[i].addr)
		}
	}
	return out
}

// DebugFlush implements engine, for the nodes that answer.
func (n *nodes) DebugFlush() {
	n.each(func(nd *node) {
		nd.tend(n)
		_ = nd.flush(context.Background()) // a node that is away has nothing to show
	})
}

// Persist implements engine.
func (n *nodes) Persist(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, persistLimit)
	defer cancel()
	start := time.Now()
	for _, nd := range n.all {
		for nd.keepsFrom(start) {
			select {
			case <-ctx.Done():
				return fmt.Errorf("wait for storage node %s to write to its disk: %w", nd.addr, ctx.Err())
			case <-time.After(tendEvery / 2):
			}
		}
	}
	return nil
}

// DeleteRunTask implements engine. What is kept to be sent again must not bring the rows back.
func (n *nodes) DeleteRunTask(ctx context.Context, id string, at int64, tenants []logstorage.TenantID, f *logstorage.Filter) error {
	ours := n.tenants(tenants)
	n.each(func(nd *node) { nd.forget(ours, f) })
	if err := n.sel.DeleteRunTask(ctx, id, at, ours, f); err != nil {
		return fmt.Errorf("storage nodes (they need -internaldelete.enable): %w", err)
	}
	return nil
}

// tenants puts the projects into the accounts that rows of this store and kind of data may be in, in the engine's order.
func (n *nodes) tenants(ts []logstorage.TenantID) []logstorage.TenantID {
	out := make([]logstorage.TenantID, 0, len(ts)*(1+len(n.moved)))
	for _, t := range ts {
		out = append(out, logstorage.TenantID{AccountID: n.account, ProjectID: t.ProjectID})
		for _, account := range n.moved {
			out = append(out, logstorage.TenantID{AccountID: account, ProjectID: t.ProjectID})
		}
	}
	slices.SortFunc(out, func(a, b logstorage.TenantID) int {
		return cmp.Or(cmp.Compare(a.AccountID, b.AccountID), cmp.Compare(a.ProjectID, b.ProjectID))
	})
	return out
}

// apart tells whether payloads have nodes of their own. Only there nothing but payloads can be in the account of rows: those
// of a folder that was an embedded store's, whose engines have the same account both.
func apart(rows, payloads []string) bool {
	return len(payloads) > 0 && !slices.ContainsFunc(payloads, func(addr string) bool {
		return slices.ContainsFunc(rows, func(other string) bool { return sameNode(addr, other) })
	})
}

func sameNode(a, b string) bool {
	return strings.TrimPrefix(a, schemeTLS) == strings.TrimPrefix(b, schemeTLS)
}

// DeleteActiveTasks implements engine.
func (n *nodes) DeleteActiveTasks(ctx context.Context) ([]*logstorage.DeleteTask, error) {
	tasks, err := n.sel.DeleteActiveTasks(ctx)
	var ours []*logstorage.DeleteTask
	for _, task := range tasks {
		var projects []logstorage.TenantID
		for _, t := range task.TenantIDs {
			if t.AccountID == n.account || slices.Contains(n.moved, t.AccountID) {
				projects = append(projects, logstorage.TenantID{ProjectID: t.ProjectID})
			}
		}
		if len(projects) > 0 {
			ours = append(ours, &logstorage.DeleteTask{TaskID: task.TaskID, TenantIDs: projects, Filter: task.Filter, StartTime: task.StartTime})
		}
	}
	return ours, err
}

// UpdateStats implements engine. Rows are those of this store that can be seen now; bytes are the nodes' own figures,
// some seconds old and with what else they hold.
func (n *nodes) UpdateStats(s *logstorage.StorageStats) {
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	tenants, err := n.sel.GetTenantIDs(ctx, 0, math.MaxInt64)
	projects := map[uint32]struct{}{}
	for _, t := range tenants {
		if t.AccountID == n.account || slices.Contains(n.moved, t.AccountID) {
			projects[t.ProjectID] = struct{}{}
		}
	}
	for p := range projects {
		if err != nil {
			break
		}
		var rows uint64
		rows, err = countRows(ctx, n, logstorage.TenantID{ProjectID: p}, signal.AllTime())
		s.SmallPartRowsCount += rows
	}
	for _, nd := range n.all {
		s.CompressedSmallPartSize += nd.size()
	}
}

// IsReadOnly implements engine: too much waits for nodes.
func (n *nodes) IsReadOnly() bool {
	held := 0
	for _, nd := range n.all {
		held += nd.held()
	}
	return held > maxHeldBytes
}

// MustClose implements engine.
func (n *nodes) MustClose() {
	for end := time.Now().Add(drainLimit); time.Now().Before(end) && slices.ContainsFunc(n.all, func(nd *node) bool { return nd.reachable() && nd.held() > 0 }); {
		n.each(func(nd *node) { nd.tend(n) })
	}
	close(n.stop)
	n.work.Wait()
	n.sel.MustStop()
	for _, nd := range n.all {
		nd.close()
	}
}
