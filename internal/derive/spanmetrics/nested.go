package spanmetrics

// maxNested bounds the calls of agents that wait for the agent above them; with more, those that wait longest have no edge in
// the service graph.
const maxNested = 10_000

// nestedCall is a run of an agent whose caller has not ended yet: in one process children end first.
type nestedCall struct {
	Agent   string  `json:"a"`
	Seconds float64 `json:"s"`
	Failed  bool    `json:"f,omitempty"`
	Trace   string  `json:"t"`
	Span    string  `json:"i"`
	At      int64   `json:"e"`
}

// nested finds out which agent called which where no message says so.
type nested struct {
	// waiting is by project, trace and id of the span above.
	waiting map[string][]nestedCall
	order   []string // keys, the oldest first; some are gone already
	n       int
	key     []byte // reused
}

func newNested() *nested { return &nested{waiting: map[string][]nestedCall{}} }

func (n *nested) put(key string, calls ...nestedCall) {
	if _, ok := n.waiting[key]; !ok {
		n.order = append(n.order, key)
	}
	n.waiting[key] = append(n.waiting[key], calls...)
	n.n += len(calls)
	for n.n > maxNested && len(n.order) > 0 {
		n.take(n.order[0])
		n.order = n.order[1:]
	}
	if len(n.order) > 2*maxNested { // mostly of calls that were answered
		kept := n.order[:0]
		for _, k := range n.order {
			if _, ok := n.waiting[k]; ok {
				kept = append(kept, k)
			}
		}
		n.order = kept
	}
}

func (n *nested) take(key string) []nestedCall {
	calls, ok := n.waiting[key]
	if ok {
		delete(n.waiting, key)
		n.n -= len(calls)
	}
	return calls
}

// nest counts the calls of the agents below a span, when it is an agent's, and passes them on to the span above when it is
// another one. A message above an agent has its edge already.
func (m *Metrics) nest(project string, s *span) {
	agent := s.operation == "invoke_agent" && s.agent != ""
	if !agent && m.nested.n == 0 {
		return
	}
	calls := m.nested.below(project, s)
	switch {
	case agent:
		for i := range calls {
			c := &calls[i]
			if c.Agent == s.agent {
				continue
			}
			m.edge(project, s.team, exemplar{trace: c.Trace, span: c.Span, at: c.At}, c.Seconds, c.Failed, s.agent, c.Agent, "")
		}
		if s.parent != "" {
			m.nested.put(above(project, s), nestedCall{Agent: s.agent, Seconds: s.seconds(), Failed: s.failed(), Trace: s.trace, Span: s.id, At: s.exemplar().at})
		}
	case len(calls) > 0 && s.parent != "" && s.kind != "consumer":
		m.nested.put(above(project, s), calls...)
	}
}

func above(project string, s *span) string { return project + "/" + s.trace + s.parent }

// below takes what waits for a span. Almost nothing waits for most, so it must cost nothing to look.
func (n *nested) below(project string, s *span) []nestedCall {
	n.key = append(append(append(append(n.key[:0], project...), '/'), s.trace...), s.id...)
	if _, ok := n.waiting[string(n.key)]; !ok {
		return nil
	}
	return n.take(string(n.key))
}
