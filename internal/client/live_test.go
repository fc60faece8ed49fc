package client

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLive: whole states and changes give what runs.
func TestLive(t *testing.T) {
	task := func(id, since, status string) string {
		return `{"id":"` + id + `","team":"press","status":"` + status + `","since":"2026-03-01T10:00:0` + since + `Z"}`
	}
	c, _ := server(t, 200, strings.Join([]string{
		"id: 7\nevent: tasks\ndata: {\"tasks\":[" + task("a", "1", "running") + "," + task("b", "2", "running") + "],\"total\":2}\n",
		"id: 8\nevent: changes\ndata: {\"tasks\":[" + task("c", "0", "running") + "," + task("b", "2", "lost") + "],\"gone\":[],\"total\":3}\n",
		"id: 8\nevent: changes\ndata: {\"tasks\":[],\"gone\":[],\"total\":3}\n",
		"id: 9\nevent: changes\ndata: {\"tasks\":[],\"gone\":[{\"team\":\"press\",\"id\":\"a\"},{\"team\":\"other\",\"id\":\"b\"}],\"total\":2}\n",
		"id: 1\nevent: tasks\ndata: {\"tasks\":[],\"total\":0}\n",
	}, "\n"))
	var got []string
	err := c.Live(t.Context(), func(r RunningTasks) {
		var words []string
		for _, task := range r.Tasks {
			words = append(words, task.ID+" "+task.Status)
		}
		got = append(got, strings.Join(words, ", "))
		if len(r.Tasks) != r.Total {
			t.Errorf("%d tasks, %d in total", len(r.Tasks), r.Total)
		}
	})
	if !errors.Is(err, ErrStreamEnded) {
		t.Error(err)
	}
	want := []string{"a running, b running", "c running, a running, b lost", "c running, a running, b lost", "c running, b lost", ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
