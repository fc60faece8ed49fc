package main

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestFirstEvent: the size of the first event's data; a stream without one is an error that says why.
func TestFirstEvent(t *testing.T) {
	f := func(stream string, want int, mark error) {
		t.Helper()
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, stream) }))
		defer server.Close()
		got, err := firstEvent(t.Context(), server.URL)
		if got != want || !errors.Is(err, mark) {
			t.Errorf("%q: got %d, %v; want %d, %v", stream, got, err, want, mark)
		}
		if err != nil && strings.Contains(err.Error(), "%!") {
			t.Errorf("%q: %v", stream, err)
		}
	}
	f("id: 1\nevent: tasks\ndata: {}\n\ndata: longer\n\n", 2, nil)
	f("id: 1\n", 0, io.ErrUnexpectedEOF)
	f("", 0, io.ErrUnexpectedEOF)
}
