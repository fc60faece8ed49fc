package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/url"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// costReconcileCmd compares what was counted with what a provider bills.
type costReconcileCmd struct {
	Bill   string `arg:"" help:"CSV file with a heading: date (or day), model, usd (or cost, amount)." placeholder:"BILL.csv"`
	Output string `short:"o" help:"table or csv." enum:"table,csv" default:"table"`
}

// billKey is a day, UTC, and a model.
type billKey struct{ day, model string }

// figures are what both sides say.
type figures struct {
	ours, bill *big.Rat
	unpriced   int64
}

// maxBill bounds the lines of a bill.
const maxBill = 1_000_000

// Run prints the differences, the largest first.
func (c *costReconcileCmd) Run(ctx context.Context, g *globals, std stdio) error {
	file, err := os.Open(c.Bill)
	if err != nil {
		return usageError{fmt.Errorf("read bill: %w", err)}
	}
	defer file.Close()
	all, err := readBill(file)
	if err != nil {
		return usageError{fmt.Errorf("read bill %s: %w", c.Bill, err)}
	}
	since, until := daysOf(all)
	q := url.Values{"by": {"day,model"}, "since": {since.Format(time.RFC3339)}, "until": {until.Format(time.RFC3339)}}
	var answer costAnswer
	if _, err := ask(ctx, g, std, "/costs", q, false, &answer); err != nil {
		return err
	}
	for _, l := range answer.Lines {
		if len(l.Key) != 2 {
			return errors.New("read the server's answer: a sum without its day and model")
		}
		usd, ok := new(big.Rat).SetString(l.USD)
		if !ok {
			return fmt.Errorf("read the server's answer: %q is no sum", l.USD)
		}
		f := at(all, billKey{l.Key[0], strings.ToLower(l.Key[1])})
		f.ours.Add(f.ours, usd)
		f.unpriced += l.Unpriced
	}
	return c.print(std, all)
}

func at(all map[billKey]*figures, k billKey) *figures {
	f, ok := all[k]
	if !ok {
		f = &figures{ours: new(big.Rat), bill: new(big.Rat)}
		all[k] = f
	}
	return f
}

// readBill reads a bill. Its errors name the line.
func readBill(r io.Reader) (map[billKey]*figures, error) {
	in := csv.NewReader(r)
	head, err := in.Read()
	if err != nil {
		return nil, fmt.Errorf("line 1: %w", err)
	}
	columns := map[string]int{"day": -1, "model": -1, "usd": -1}
	aliases := map[string]string{
		"day": "day", "date": "day", "model": "model", "usd": "usd", "cost": "usd", "amount": "usd", "cost_usd": "usd", "amount_usd": "usd",
	}
	for i, name := range head {
		name = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")))
		if key, ok := aliases[name]; ok && columns[key] < 0 {
			columns[key] = i
		}
	}
	for _, key := range []string{"day", "model", "usd"} {
		if columns[key] < 0 {
			return nil, fmt.Errorf("line 1: there is no column %s; columns are date, model, usd", key)
		}
	}
	all := map[billKey]*figures{}
	for {
		record, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err // names the line itself
		}
		line, _ := in.FieldPos(0)
		day := strings.TrimSpace(record[columns["day"]])
		if len(day) > len(time.DateOnly) { // 2026-11-24T00:00:00Z
			day = day[:len(time.DateOnly)]
		}
		if _, err := time.Parse(time.DateOnly, day); err != nil {
			return nil, fmt.Errorf("line %d: %q is no date like 2026-01-31", line, record[columns["day"]])
		}
		text := strings.TrimPrefix(strings.TrimSpace(record[columns["usd"]]), "$")
		usd, ok := new(big.Rat).SetString(text)
		if !ok || len(text) > 40 || strings.ContainsAny(text, "/eE") {
			return nil, fmt.Errorf("line %d: %q is no amount of dollars like 12.34", line, record[columns["usd"]])
		}
		if len(all) >= maxBill {
			return nil, fmt.Errorf("line %d: more than %d days and models", line, maxBill)
		}
		f := at(all, billKey{day, strings.ToLower(strings.TrimSpace(record[columns["model"]]))})
		f.bill.Add(f.bill, usd)
	}
	if len(all) == 0 {
		return nil, errors.New("it has no lines")
	}
	return all, nil
}

// daysOf returns the first day of a bill and the day behind its last.
func daysOf(all map[billKey]*figures) (since, until time.Time) {
	for k := range all {
		day, err := time.Parse(time.DateOnly, k.day)
		if err != nil {
			panic("BUG: day of a bill: " + err.Error()) // readBill has read it
		}
		if since.IsZero() || day.Before(since) {
			since = day
		}
		if next := day.AddDate(0, 0, 1); next.After(until) {
			until = next
		}
	}
	return since, until
}

func (c *costReconcileCmd) print(std stdio, all map[billKey]*figures) error {
	keys := make([]billKey, 0, len(all))
	ours, bill := new(big.Rat), new(big.Rat)
	for k, f := range all {
		keys = append(keys, k)
		ours.Add(ours, f.ours)
		bill.Add(bill, f.bill)
	}
	slices.SortFunc(keys, func(a, b billKey) int {
		da, db := gap(all[a].bill, all[a].ours), gap(all[b].bill, all[b].ours)
		return cmp.Or(db.Abs(db).Cmp(da.Abs(da)), cmp.Compare(a.day, b.day), cmp.Compare(a.model, b.model))
	})
	rows := [][]string{{"day", "model", "bill_usd", "ours_usd", "difference_usd", "note"}}
	for _, k := range keys {
		f := all[k]
		rows = append(rows, []string{k.day, k.model, money(f.bill), money(f.ours), money(gap(f.bill, f.ours)), f.note()})
	}
	rows = append(rows, []string{"total", "", money(bill), money(ours), money(gap(bill, ours)), ""})
	if c.Output == "csv" {
		w := csv.NewWriter(std.Out)
		for _, row := range rows {
			row[1] = sheetSafe(row[1])
		}
		return w.WriteAll(rows)
	}
	w := tabwriter.NewWriter(std.Out, 0, 0, 2, ' ', 0)
	for i, row := range rows {
		if i == 0 {
			fmt.Fprintln(w, strings.ToUpper(strings.ReplaceAll(strings.Join(row, "\t"), "_usd", " usd")))
			continue
		}
		row[1] = oneLine(row[1], 60)
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

func gap(bill, ours *big.Rat) *big.Rat { return new(big.Rat).Sub(bill, ours) }

func (f *figures) note() string {
	var notes []string
	switch {
	case f.ours.Sign() == 0 && f.unpriced == 0 && f.bill.Sign() != 0:
		notes = append(notes, "not seen here")
	case f.bill.Sign() == 0 && f.ours.Sign() != 0:
		notes = append(notes, "not on the bill")
	}
	if f.unpriced > 0 {
		notes = append(notes, fmt.Sprintf("calls without a price: %d", f.unpriced))
	}
	return strings.Join(notes, ", ")
}

// money prints dollars exactly, without zeros at the end.
func money(r *big.Rat) string {
	text := strings.TrimRight(r.FloatString(12), "0")
	text = strings.TrimSuffix(text, ".")
	if text == "-0" || text == "" {
		return "0"
	}
	return text
}
