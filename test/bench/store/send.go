package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mindscope/mindscope/test/load"
)

// senders is how many tasks are sent at once.
const senders = 4

// sent is what a sender has sent.
type sent struct {
	spans, requests int
	bytes           int64
	took            time.Duration
}

// send makes tasks until more says no and sends them to an OTLP/HTTP address. The requests of a task go one after the
// other, as an agent's exporter sends them; several tasks are under way at once.
func send(ctx context.Context, addr string, g *load.Generator, spansPerTask int, more func(task int) bool) (sent, error) {
	var s sent
	start := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	tasks := make(chan [][]byte, senders)
	for range senders {
		group.Go(func() error {
			for requests := range tasks {
				for _, body := range requests {
					if err := post(ctx, addr, body); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(tasks)
		for task := 0; more(task); task++ {
			requests, err := g.Requests(time.Now().Add(-10 * time.Minute))
			if err != nil {
				return err
			}
			select {
			case tasks <- requests:
			case <-ctx.Done():
				return ctx.Err()
			}
			for _, body := range requests {
				s.requests++
				s.bytes += int64(len(body))
			}
			s.spans += spansPerTask
		}
		return nil
	})
	err := group.Wait()
	s.took = time.Since(start)
	return s, err
}

func post(ctx context.Context, addr string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/v1/traces", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("send spans: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	// An empty answer says that all was taken.
	if resp.StatusCode != http.StatusOK || len(answer) != 0 {
		return fmt.Errorf("send spans: %s: %.200q", resp.Status, answer)
	}
	return nil
}
