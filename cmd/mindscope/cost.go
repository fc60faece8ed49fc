package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// costCmd asks for money.
type costCmd struct {
	Report    costReportCmd    `cmd:"" default:"withargs" help:"Exact sums by team, agent, model and more."`
	Reconcile costReconcileCmd `cmd:"" help:"Compare with a provider's bill, by model and day."`
}

type costReportCmd struct {
	Month  string   `help:"A month, UTC: 2026-11." placeholder:"MONTH" xor:"time"`
	Since  duration `help:"Calls of this time back, e.g. 24h or 7d; this month when neither is given." placeholder:"DURATION" xor:"time"`
	By     string   `help:"Keys with commas: team, agent, model, provider, type, task, source, version, day." default:"team,agent,model"`
	Team   string   `help:"Only this team." placeholder:"TEAM"`
	Output string   `short:"o" help:"table, csv or json." enum:"table,csv,json" default:"table"`
}

// costAnswer is the server's answer.
type costAnswer struct {
	By    []string `json:"by"`
	Lines []struct {
		Key    []string `json:"key"`
		Calls  int64    `json:"calls"`
		Tokens struct {
			Input      int64 `json:"input"`
			CacheRead  int64 `json:"cache_read"`
			CacheWrite int64 `json:"cache_write"`
			Output     int64 `json:"output"`
			Reasoning  int64 `json:"reasoning"`
			Total      int64 `json:"total"`
		} `json:"tokens"`
		USD      string `json:"usd"`
		Unpriced int64  `json:"unpriced_calls"`
	} `json:"lines"`
	USD      string `json:"usd"`
	Calls    int64  `json:"calls"`
	Unpriced int64  `json:"unpriced_calls"`
}

// Run prints the sums.
func (c *costReportCmd) Run(ctx context.Context, g *globals, std stdio) error {
	q := url.Values{"by": {c.By}}
	if c.Team != "" {
		q.Set("team", c.Team)
	}
	if c.Since > 0 {
		q.Set("since", ago(c.Since))
	} else {
		month := c.Month
		if month == "" {
			month = time.Now().UTC().Format("2006-01")
		}
		since, until, err := monthRange(month)
		if err != nil {
			return usageError{err}
		}
		q.Set("since", since.Format(time.RFC3339))
		q.Set("until", until.Format(time.RFC3339))
	}
	var answer costAnswer
	done, err := ask(ctx, g, std, "/costs", q, c.Output == "json", &answer)
	if err != nil || done {
		return err
	}
	if c.Output == "csv" {
		return answer.csv(std)
	}
	return answer.table(std)
}

func (a *costAnswer) csv(std stdio) error {
	w := csv.NewWriter(std.Out)
	head := append(append([]string{}, a.By...), "calls", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens",
		"reasoning_tokens", "usd", "unpriced_calls")
	if err := w.Write(head); err != nil {
		return err
	}
	n := func(i int64) string { return strconv.FormatInt(i, 10) }
	for _, l := range a.Lines {
		record := make([]string, 0, len(head))
		for _, k := range l.Key {
			record = append(record, sheetSafe(k))
		}
		t := l.Tokens
		record = append(record, n(l.Calls), n(t.Input), n(t.CacheRead), n(t.CacheWrite), n(t.Output), n(t.Reasoning), l.USD, n(l.Unpriced))
		if err := w.Write(record); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

// sheetSafe keeps a name that a sender chose from being run as a formula by a spreadsheet.
func sheetSafe(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

func (a *costAnswer) table(std stdio) error {
	if len(a.Lines) == 0 {
		fmt.Fprintln(std.Out, "No calls of models in this time.")
		return nil
	}
	w := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
	for _, key := range a.By {
		fmt.Fprintf(w, "%s\t", strings.ToUpper(key))
	}
	fmt.Fprintln(w, "CALLS\tTOKENS\tUSD\tUNPRICED")
	for _, l := range a.Lines {
		for _, k := range l.Key {
			if k == "" {
				k = "–"
			}
			fmt.Fprintf(w, "%s\t", oneLine(k, 50))
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%d\n", l.Calls, humanCount(l.Tokens.Total), l.USD, l.Unpriced)
	}
	fmt.Fprintf(w, "total%s%d\t\t%s\t%d\n", strings.Repeat("\t", max(len(a.By), 1)), a.Calls, a.USD, a.Unpriced)
	return w.Flush()
}
