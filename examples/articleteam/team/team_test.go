package team

import (
	"database/sql"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gocloud.dev/blob/fileblob"

	"github.com/mindscope/mindscope/examples/scriptedllm"
	"github.com/mindscope/mindscope/sdk/artifact"
	"github.com/mindscope/mindscope/sdk/sdktest"
)

// The ids of the task and the trace are in the SQLite rows, in the objects' metadata and in what the model's server got:
// the trace there, and never the task, which is nobody's business outside of the team.
func TestIDsInTheThingsThemselves(t *testing.T) {
	rec := sdktest.New(t)
	model := &scriptedllm.Server{Stall: time.Second}
	srv := httptest.NewServer(model)
	defer srv.Close()
	dir := t.TempDir()
	crew, err := New(t.Context(), Config{Dir: dir, BaseURL: srv.URL + "/v1", CallTimeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	out, err := crew.Do(t.Context(), "task-456", "Bees in cities")
	if err != nil {
		t.Fatal(err)
	}
	if err := crew.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(rec.Task("task-456")); n < 15 {
		t.Errorf("%d spans carry the task's id", n)
	}
	rows := sqliteRows(t, dir)
	if len(rows) < 2 {
		t.Errorf("%d rows", len(rows))
	}
	for _, r := range rows {
		if r != [2]string{"task-456", out.TraceID} {
			t.Errorf("a row has the ids %v, want task-456 and %s", r, out.TraceID)
		}
	}
	bucket, err := fileblob.OpenBucket(filepath.Join(dir, ArtifactsDir), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer bucket.Close()
	for _, key := range []string{"task-456/draft-0.md", "task-456/article.md"} {
		attrs, err := bucket.Attributes(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if attrs.Metadata[artifact.MetaTaskID] != "task-456" || attrs.Metadata[artifact.MetaTraceID] != out.TraceID {
			t.Errorf("%s has the metadata %v", key, attrs.Metadata)
		}
	}
	requests := model.Requests()
	if len(requests) < 3 {
		t.Errorf("the model got %d requests", len(requests))
	}
	for _, r := range requests {
		if !strings.Contains(r.Header.Get("traceparent"), out.TraceID) {
			t.Errorf("a request has the traceparent %q", r.Header.Get("traceparent"))
		}
		for name, values := range r.Header {
			if strings.EqualFold(name, "baggage") || strings.Contains(strings.Join(values, " "), "task-456") {
				t.Errorf("a request tells the provider of the task: %s: %v", name, values)
			}
		}
	}
}

func sqliteRows(t *testing.T, dir string) [][2]string {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, RecordsFile))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query("SELECT task_id, trace_id FROM task_steps")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out [][2]string
	for rows.Next() {
		var r [2]string
		if err := rows.Scan(&r[0], &r[1]); err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
