package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/mindscope/mindscope/internal/client"
)

// whenceCmd tells where an artifact or record came from.
type whenceCmd struct {
	Of      string `arg:"" help:"Key, digest, URI or id of an artifact; or the id of a record, also as TABLE/ID."`
	Prompts int    `help:"How many calls of models to show the prompts of, for each time it was made." default:"1" placeholder:"N"`
	JSON    bool   `name:"json" help:"The same as -o json."`
	Output  string `short:"o" help:"text or json." enum:"text,json" default:"text"`
}

type thing struct {
	Artifact *struct {
		Key    string `json:"key"`
		Digest string `json:"digest"`
		Size   int64  `json:"size"`
	} `json:"artifact"`
	Table string `json:"record_table"`
	ID    string `json:"record_id"`
}

func (t thing) String() string {
	switch {
	case t.Artifact == nil && t.ID == "":
		return "a record of " + oneLine(t.Table, 80)
	case t.Artifact == nil:
		return "record " + oneLine(t.Table, 80) + "/" + oneLine(t.ID, 80)
	}
	text := oneLine(t.Artifact.Key, 120)
	if t.Artifact.Digest != "" {
		text += " (" + oneLine(t.Artifact.Digest, 19) + ")"
	}
	return text
}

// doing is whose work something was.
type doing struct {
	Task  string    `json:"task"`
	Team  string    `json:"team"`
	Agent string    `json:"agent"`
	Time  time.Time `json:"time"`
}

func (d doing) String() string {
	agent := d.Agent
	if agent == "" {
		agent = "somebody"
	}
	return fmt.Sprintf("%s by %s of task %s (%s)", d.Time.Local().Format("2006-01-02 15:04:05"), oneLine(agent, 40), oneLine(d.Task, 80), oneLine(d.Team, 40))
}

type callOf struct {
	Model   string `json:"model"`
	TraceID string `json:"trace_id"`
	SpanID  string `json:"span_id"`
	USD     string `json:"usd"`
	Tokens  struct {
		Total int64 `json:"total"`
	} `json:"tokens"`
}

type lineageAnswer struct {
	Origins []struct {
		doing
		thing
		Calls    []callOf `json:"calls"`
		USD      string   `json:"usd"`
		Unpriced int      `json:"unpriced_calls"`
		From     []thing  `json:"from"`
	} `json:"origins"`
	Uses []struct {
		doing
		thing
		Made []thing `json:"made"`
	} `json:"uses"`
	Cut     bool `json:"cut"`
	Partial bool `json:"partial"`
}

// Run prints origins and uses.
func (c *whenceCmd) Run(ctx context.Context, g *globals, std stdio) error {
	cl, err := client.New(g.Server, g.Project)
	if err != nil {
		return usageError{err}
	}
	raw, err := cl.Get(ctx, "/lineage", url.Values{"of": {c.Of}})
	if errors.Is(err, client.ErrNotFound) {
		return askError{err, "`mindscope task ID` shows what a task stored; names are compared whole", exitNotFound}
	}
	if err != nil {
		return explain(err)
	}
	if c.JSON || c.Output == "json" {
		return printJSON(std.Out, raw)
	}
	var l lineageAnswer
	if err := json.Unmarshal(raw, &l); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	return c.print(ctx, cl, paletteOf(g, std.Out), std, &l)
}

func (c *whenceCmd) print(ctx context.Context, cl *client.Client, p palette, std stdio, l *lineageAnswer) error {
	for _, o := range l.Origins {
		fmt.Fprintf(std.Out, "%s %s\n", p.bold(o.thing.String()), "was made "+o.doing.String())
		for _, from := range o.From {
			fmt.Fprintf(std.Out, "   from %s\n", from)
		}
		for i, call := range o.Calls {
			cost := ""
			if call.USD != "" {
				cost = " · " + humanMoney(call.USD)
			}
			fmt.Fprintf(std.Out, "   by %s · %s tokens%s\n", oneLine(call.Model, 60), humanCount(call.Tokens.Total), cost)
			if i < len(o.Calls)-c.Prompts { // the newest are what it was made by
				continue
			}
			if err := prompts(ctx, cl, p, std, call); err != nil {
				return err
			}
		}
		if o.USD != "" || o.Unpriced > 0 {
			fmt.Fprintf(std.Out, "   cost %s", humanMoney(first(o.USD, "0")))
			if o.Unpriced > 0 {
				fmt.Fprintf(std.Out, " + %d calls of unknown price", o.Unpriced)
			}
			fmt.Fprintln(std.Out)
		}
	}
	for _, u := range l.Uses {
		fmt.Fprintf(std.Out, "%s was used %s\n", p.bold(u.thing.String()), u.doing)
		for _, made := range u.Made {
			fmt.Fprintf(std.Out, "   which then made %s\n", made)
		}
	}
	if len(l.Uses) == 0 {
		fmt.Fprintln(std.Out, "nothing used it later")
	}
	if l.Cut {
		fmt.Fprintln(std.Out, "… there is more than is looked at")
	}
	if l.Partial {
		fmt.Fprintln(std.Out, p.red("a part of the store did not answer: there may be more"))
	}
	return nil
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// prompts prints what a model was told. Content that is not kept is none.
func prompts(ctx context.Context, cl *client.Client, p palette, std stdio, call callOf) error {
	raw, err := cl.Get(ctx, "/traces/"+url.PathEscape(call.TraceID)+"/spans/"+url.PathEscape(call.SpanID)+"/messages", nil)
	if errors.Is(err, client.ErrNotFound) {
		return nil
	}
	if err != nil {
		return explain(err)
	}
	var said struct {
		Input []struct {
			Role  string `json:"role"`
			Parts []struct {
				Text string `json:"text"`
			} `json:"parts"`
		} `json:"input"`
	}
	if err := json.Unmarshal(raw, &said); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	for _, m := range said.Input {
		for _, part := range m.Parts {
			if part.Text != "" {
				fmt.Fprintln(std.Out, "      "+p.dim(oneLine(m.Role, 20)+": "+oneLine(part.Text, 200)))
			}
		}
	}
	return nil
}
