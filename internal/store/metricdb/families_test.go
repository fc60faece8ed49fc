package metricdb

import (
	"path/filepath"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/metadata"
)

// TestFamiliesKeepTheirTexts notes families as a scrape does: their texts are of a buffer that is used again.
func TestFamiliesKeepTheirTexts(t *testing.T) {
	f := &families{path: filepath.Join(t.TempDir(), familiesFile)}
	buffer := []byte("tasks_total counter Tasks.")
	text := func(from, to int) string { return unsafe.String(&buffer[from], to-from) }
	f.note("", text(0, 11), metadata.Metadata{Type: model.MetricType(text(12, 19)), Help: text(20, 26)})
	for i := range buffer {
		buffer[i] = '?'
	}
	want := map[string]Family{"tasks_total": {Type: "counter", Help: "Tasks."}}
	if diff := cmp.Diff(want, f.all()); diff != "" {
		t.Error(diff)
	}
}
