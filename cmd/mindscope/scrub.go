package main

import (
	"context"
	"errors"
	"time"
)

// scrubCmd takes a leaked secret out of everything stored.
type scrubCmd struct {
	Match  string   `help:"RE2 expression; what it matches becomes [scrubbed]." required:"" placeholder:"REGEXP"`
	Since  duration `help:"Only rows of this time back, e.g. 24h or 7d; all when missing." placeholder:"DURATION"`
	Until  duration `help:"Only rows older than this, e.g. 1h." placeholder:"DURATION"`
	Yes    bool     `help:"Rewrite them; without it, only what would be rewritten is counted."`
	Output string   `short:"o" help:"text or json." enum:"text,json" default:"text"`
}

// Run scrubs, or counts, and prints the receipt.
func (c *scrubCmd) Run(ctx context.Context, g *globals, std stdio) error {
	if c.Since > 0 && c.Until >= c.Since {
		return usageError{errors.New("--until must be less long ago than --since")}
	}
	body := map[string]any{"match": c.Match, "dry_run": !c.Yes}
	now := time.Now().UTC()
	for name, ago := range map[string]duration{"since": c.Since, "until": c.Until} {
		if ago > 0 {
			body[name] = now.Add(-time.Duration(ago))
		}
	}
	return removal(ctx, g, std, "/scrubs", body, c.Output)
}
