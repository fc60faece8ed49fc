package test

import (
	"fmt"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/mindscope/mindscope/test/corpus"
	"github.com/mindscope/mindscope/test/harness"
)

// treeNode is a span in the API's tree of a task.
type treeNode struct {
	Name      string        `json:"name"`
	Operation string        `json:"operation"`
	Agent     string        `json:"agent"`
	Tool      string        `json:"tool"`
	Model     string        `json:"model"`
	Tokens    *corpusTokens `json:"tokens"`
	USD       string        `json:"usd"`
	Children  []*treeNode   `json:"children"`
}

// shape writes a tree with one line a step: what was done, by which agent or tool. Spans without an operation are steps
// of the framework's own; what is below them moves up.
func shape(nodes []*treeNode, depth int) []string {
	var out []string
	for _, n := range nodes {
		if n.Operation == "" {
			out = append(out, shape(n.Children, depth)...)
			continue
		}
		line := strings.Repeat("  ", depth) + n.Operation
		switch n.Operation {
		case "invoke_agent":
			line += " " + n.Agent
		case "execute_tool":
			line += " " + n.Tool
		}
		out = append(out, line)
		out = append(out, shape(n.Children, depth+1)...)
	}
	return out
}

// ledger adds up a tree's calls of models and holds that each was priced by the same two prices.
func ledger(nodes []*treeNode, input, output *big.Rat) (calls int, tokens corpusTokens, usd *big.Rat, err error) {
	usd = new(big.Rat)
	for _, n := range nodes {
		if n.Operation == "chat" {
			calls++
			want := new(big.Rat).Mul(input, big.NewRat(n.Tokens.Input, 1))
			want.Add(want, new(big.Rat).Mul(output, big.NewRat(n.Tokens.Output+n.Tokens.Reasoning, 1)))
			got, ok := new(big.Rat).SetString(n.USD)
			if !ok || got.Cmp(want) != 0 {
				return 0, tokens, nil, fmt.Errorf("%s: %+v cost %q, want %s", n.Name, *n.Tokens, n.USD, want.FloatString(12))
			}
			tokens.add(*n.Tokens)
			usd.Add(usd, got)
		}
		c, below, money, err := ledger(n.Children, input, output)
		if err != nil {
			return 0, tokens, nil, err
		}
		calls += c
		tokens.add(below)
		usd.Add(usd, money)
	}
	return calls, tokens, usd, nil
}

// detail is a task with its tree.
type detail struct {
	corpusTask
	Cost struct {
		USD string `json:"usd"`
	} `json:"cost"`
	Tree []*treeNode `json:"tree"`
}

func readDetail(t *testing.T, s *harness.Server, rec corpus.Recording, project string) detail {
	t.Helper()
	d := sendRecording(t, s, rec, project)
	tasks := corpusTasks(t, s, project, distinct(d.Traces))
	if len(tasks) != 1 {
		t.Fatalf("%s: %d tasks, want 1", rec.Path, len(tasks))
	}
	var out detail
	if err := s.Get("/api/mindscope/v1/tasks/"+tasks[0].ID+"?project="+project, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// sameTask are recordings of one task by unlike frameworks or instrumentations, and the prices of the model's input and
// output tokens in dollars.
type sameTask struct {
	name          string
	files         []string
	input, output string
	// first: runs of another number of steps share this many with the others; 0: all.
	first map[string]int
}

// TestSameTaskInUnlikeFrameworks compares recordings of the same task. The runs are different ones, so that the model's
// answers and with them the counts differ a little; what must be equal is the tree, and that tokens and cost follow one
// rule: each call is priced by the same two prices, and the task's sums are those of its calls.
func TestSameTaskInUnlikeFrameworks(t *testing.T) {
	recs := recordings(t)
	s := harness.Start(t, harness.Options{Args: []string{"--retention", "100y", "--payload-retention", "100y"}})
	for _, group := range []sameTask{
		{
			name: "OpenAI Agents by OpenInference and by OpenTelemetry", input: "0.00000015", output: "0.0000006",
			files: []string{
				"otlp/strands-evals/openai_agents_openinference_live_spans.json", "otlp/strands-evals/openai_agents_otel_live_spans.json",
			},
		},
		{
			name: "Agno, OpenAI Agents, LangChain and TinyAgent", input: "0.0000001", output: "0.0000003",
			files: []string{
				"otlp/any-agent/AGNO_trace.json", "otlp/any-agent/OPENAI_trace.json",
				"otlp/any-agent/LANGCHAIN_trace.json", "otlp/any-agent/TINYAGENT_trace.json",
			},
			// The last two go on to put their answer into a form.
			first: map[string]int{"otlp/any-agent/LANGCHAIN_trace.json": 6, "otlp/any-agent/TINYAGENT_trace.json": 6},
		},
	} {
		t.Run(group.name, func(t *testing.T) {
			var want []string
			for _, file := range group.files {
				i := slices.IndexFunc(recs, func(r corpus.Recording) bool { return r.Path == file })
				if i < 0 {
					missing(t, file)
					continue
				}
				got := readDetail(t, s, recs[i], corpusProject(i))
				steps := shape(got.Tree, 0)
				if n := group.first[file]; n > 0 {
					steps = steps[:min(n, len(steps))]
				}
				if want == nil {
					want = steps
				}
				if len(steps) < 6 {
					t.Errorf("%s: only %d steps", file, len(steps))
				}
				if diff := gocmp.Diff(want, steps); diff != "" {
					t.Errorf("%s: tree (-%s +got):\n%s", file, group.files[0], diff)
				}
				group.checkSums(t, file, got)
			}
		})
	}
}

func (g sameTask) checkSums(t *testing.T, file string, got detail) {
	t.Helper()
	input, _ := new(big.Rat).SetString(g.input)
	output, _ := new(big.Rat).SetString(g.output)
	calls, tokens, usd, err := ledger(got.Tree, input, output)
	if err != nil {
		t.Errorf("%s: %v", file, err)
		return
	}
	cost, ok := new(big.Rat).SetString(got.Cost.USD)
	if !ok || calls != got.LLMCalls || tokens != got.Tokens || usd.Cmp(cost) != 0 {
		t.Errorf("%s: the tree holds %d calls, %+v and %s $, the task %d, %+v and %s $",
			file, calls, tokens, usd.FloatString(12), got.LLMCalls, got.Tokens, got.Cost.USD)
	}
}

// missing fails the test unless the samples are somebody else's.
func missing(t *testing.T, file string) {
	t.Helper()
	if os.Getenv("MINDSCOPE_SAMPLES") == "" {
		t.Errorf("%s is not among the recordings", file)
	}
}

// TestSameCallInUnlikeDialects compares one call that was written down in four ways: everything must be equal.
func TestSameCallInUnlikeDialects(t *testing.T) {
	recs := recordings(t)
	s := harness.Start(t, harness.Options{})
	const folder = "otlp/openinference-genai/"
	var want *treeNode
	said := map[string]exchange{}
	for _, name := range []string{
		"otel_genai_client_span_tool_calls.json", "otel_genai_deprecated_client_span_tool_calls.json",
		"openinference_client_span_tool_calls.json", "openinference_client_span_input_output_only.json",
	} {
		i := slices.IndexFunc(recs, func(r corpus.Recording) bool { return r.Path == folder+name })
		if i < 0 {
			missing(t, folder+name)
			continue
		}
		got := readDetail(t, s, recs[i], corpusProject(i))
		if len(got.Tree) != 1 || got.Tree[0].USD == "" || got.Cost.USD != got.Tree[0].USD {
			t.Fatalf("%s: %+v", name, got)
		}
		if want == nil {
			want = got.Tree[0]
		}
		if diff := gocmp.Diff(want, got.Tree[0]); diff != "" {
			t.Errorf("%s (-first +got):\n%s", name, diff)
		}
		path := "/api/mindscope/v1/traces/" + got.Traces[0] + "/spans/" + spanOf(t, recs[i]) + "/messages?project=" + corpusProject(i)
		var e exchange
		harness.Eventually(t, visible, "the messages", func() error {
			if err := s.Get(path, &e); err != nil {
				return err
			}
			if len(e.Output) == 0 {
				return fmt.Errorf("no answer yet")
			}
			return nil
		})
		said[name] = e
	}
	for name, e := range said {
		first := said["otel_genai_client_span_tool_calls.json"]
		if diff := gocmp.Diff(words(first), words(e)); diff != "" {
			t.Errorf("%s: messages (-first +got):\n%s", name, diff)
		}
	}
}

func spanOf(t *testing.T, rec corpus.Recording) string {
	t.Helper()
	raw, err := rec.Read()
	if err != nil {
		t.Fatal(err)
	}
	d, err := corpus.Convert(rec.Facts.Format, raw)
	if err != nil {
		t.Fatal(err)
	}
	for span := range spansIn(d.Traces) {
		return span.SpanID().String()
	}
	return ""
}

// words writes an exchange with one line a part.
func words(e exchange) []string {
	var out []string
	for _, list := range [][]chatMessage{e.Input, e.Output} {
		for _, m := range list {
			for _, p := range m.Parts {
				out = append(out, fmt.Sprintf("%s %s %s%s %s", m.Role, p.Type, p.Text, p.Tool, p.ID))
			}
		}
	}
	return out
}
