package nodes

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mindscope/mindscope/test/harness"
)

// apiSpans is a page of spans as the team API answers it.
type apiSpans struct {
	Spans []struct {
		SpanID string         `json:"span_id"`
		Fields map[string]any `json:"fields"`
	} `json:"spans"`
	Next    string `json:"next"`
	Partial bool   `json:"partial"`
}

// TestPartialOverHTTP: a node is away. Every answer of the team API that may lack something says so, page by page, and none says
// that something does not exist which the node may have.
func TestPartialOverHTTP(t *testing.T) {
	nodes := startNodes(t, 2)
	s := harness.Start(t, harness.Options{Args: []string{"--no-metrics.enabled", "--store.nodes=" + strings.Join(addrs(nodes), ",")}})
	const traces, spans = 20, 5
	id := func(i int) string { return fmt.Sprintf("%032x", 0xabc000+i) }
	for i := range traces {
		if err := sendSpans(s.OTLPHTTP, id(i), spans); err != nil {
			t.Fatal(err)
		}
	}
	harness.Eventually(t, time.Minute, "all tasks", func() error {
		all, partial, err := taskIDs(s)
		if err == nil && (len(all) != traces || partial) {
			err = fmt.Errorf("%d tasks, partial %t", len(all), partial)
		}
		return err
	})
	nodes[0].kill(syscall.SIGTERM) // with all its rows on its disk: this is about who asks, not about what is lost
	there := map[string]bool{}
	var sum followedTrace
	for i := range traces {
		f, err := followed(t, s, id(i))
		if err != nil || f.partial == 0 || f.silent > 0 || f.spans != 0 && f.spans != spans {
			t.Errorf("trace %s with a node away: %+v, %v", id(i), f, err)
		}
		there[id(i)] = f.spans > 0
		sum.spans, sum.bare = sum.spans+f.spans, sum.bare+f.bare
	}
	if sum.spans == 0 || sum.spans == traces*spans || sum.bare == 0 || sum.bare == sum.spans {
		t.Errorf("of all or none of the spans and prompts were on the node that is away, which proves nothing: %+v", sum)
	}
	all, partial, err := taskIDs(s)
	if err != nil || !partial || len(all) != sum.spans/spans {
		t.Errorf("%d tasks, partial %t, %v; want the %d that are there", len(all), partial, err, sum.spans/spans)
	}
	unknown := fmt.Sprintf("%032x", 0xdef)
	there[unknown] = false
	for id, there := range there {
		for _, path := range []string{"/tasks/" + id, "/tasks/" + id + "/logs"} {
			var got struct{ Partial bool }
			err := s.Get("/api/mindscope/v1"+path, &got)
			refused, _ := errors.AsType[*harness.StatusError](err)
			if there && (err != nil || !got.Partial) || !there && (refused == nil || refused.Code != http.StatusServiceUnavailable) {
				t.Errorf("%s, which is there: %t: partial %t, %v", path, there, got.Partial, err)
			}
		}
	}

	nodes[0].start()
	harness.Eventually(t, time.Minute, "whole answers", func() error {
		for i := range traces {
			if f, err := followed(t, s, id(i)); err != nil || f != (followedTrace{spans: spans}) {
				return fmt.Errorf("trace %s: %+v, %w", id(i), f, err)
			}
		}
		return s.Get("/api/mindscope/v1/tasks/"+id(0), nil)
	})
	if refused, ok := errors.AsType[*harness.StatusError](s.Get("/api/mindscope/v1/tasks/"+unknown, nil)); !ok || refused.Code != http.StatusNotFound {
		t.Errorf("a task that nobody has: %v", refused)
	}
}

// taskIDs lists the tasks.
func taskIDs(s *harness.Server) (ids []string, partial bool, err error) {
	var got struct {
		Tasks   []struct{ ID string }
		Partial bool
	}
	if err := s.Get("/api/mindscope/v1/tasks?limit=100", &got); err != nil {
		return nil, false, err
	}
	for _, t := range got.Tasks {
		ids = append(ids, t.ID)
	}
	return ids, got.Partial, nil
}

// followedTrace is what all pages of a trace have: spans, those without their prompt, and pages without one that do not say
// that they are partial.
type followedTrace struct{ spans, bare, silent, partial int }

func followed(t *testing.T, s *harness.Server, id string) (followedTrace, error) {
	t.Helper()
	var out followedTrace
	for page := ""; ; {
		var got apiSpans
		if err := s.Get("/api/mindscope/v1/traces/"+id+"?limit=2&page="+url.QueryEscape(page), &got); err != nil {
			return out, err
		}
		bare := 0
		for _, sp := range got.Spans {
			if text, _ := sp.Fields["attr.gen_ai.input.messages"].(string); !strings.Contains(text, id+" "+sp.SpanID) {
				bare++
			}
		}
		out.spans += len(got.Spans)
		out.bare += bare
		if got.Partial {
			out.partial++
		} else if bare > 0 {
			out.silent++
		}
		if page = got.Next; page == "" {
			return out, nil
		}
	}
}

// sendSpans sends a trace whose spans have prompts of their own.
func sendSpans(url, trace string, n int) error {
	now := time.Now().UnixNano()
	var all []string
	for i := range n {
		id := fmt.Sprintf("%016x", i+1)
		prompt := `[{\"role\":\"user\",\"content\":\"` + trace + " " + id + strings.Repeat(" and more", 80) + `\"}]`
		all = append(all, fmt.Sprintf(`{"traceId":%q,"spanId":%q,"name":"chat","startTimeUnixNano":"%d","endTimeUnixNano":"%d",
			"attributes":[{"key":"gen_ai.input.messages","value":{"stringValue":"%s"}}]}`, trace, id, now+int64(i), now+1000, prompt))
	}
	body := `{"resourceSpans":[{"scopeSpans":[{"spans":[` + strings.Join(all, ",") + `]}]}]}`
	resp, err := http.Post(url+"/v1/traces", "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}
