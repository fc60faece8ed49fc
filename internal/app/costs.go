package app

import (
	"time"

	"github.com/mindscope/mindscope/internal/enrich/cost"
	"github.com/mindscope/mindscope/internal/query/overlay"
	"github.com/mindscope/mindscope/internal/query/team"
)

// priceBook lets the questions of money ask the price book of the enrich step.
type priceBook struct{ book *cost.Book }

var _ team.Prices = priceBook{}

func (b priceBook) Version() string { return b.book.Version() }

func (b priceBook) Price(c team.Call) (team.Priced, bool) { return priced(b.book.PriceCall, c) }

func (b priceBook) Table(c team.Call) (team.Priced, bool) { return priced(b.book.TableCall, c) }

func priced(ask func(cost.Call) (cost.Quote, bool), c team.Call) (team.Priced, bool) {
	q, ok := ask(cost.Call{
		Provider: c.Provider, Model: c.Model, RequestModel: c.RequestModel, At: c.At,
		Input: c.Input, CacheRead: c.CacheRead, CacheWrite5m: c.CacheWrite5m, CacheWrite1h: c.CacheWrite1h,
		Output: c.Output, Reasoning: c.Reasoning,
	})
	if !ok {
		return team.Priced{}, false
	}
	return team.Priced{Cost: team.PicoUSD(q.Total()), Parts: q.JSON(), Model: q.Model, Own: q.Own}, true
}

func (b priceBook) With(file []byte) (team.Prices, error) {
	o, err := cost.ParseOverrides(file)
	if err != nil {
		return nil, err
	}
	book, err := cost.NewBook(o)
	if err != nil {
		return nil, err
	}
	return priceBook{book}, nil
}

func (b priceBook) Show(provider, model string, at time.Time) []team.PriceEntry {
	var list []team.PriceEntry
	for _, e := range b.book.Show(provider, model, at) {
		out := team.PriceEntry{Source: "table", Provider: e.Provider, Model: e.Model, Valid: e.Valid, InForce: e.InForce}
		if e.Own {
			out.Source = "own"
		}
		for _, p := range e.Prices {
			out.Prices = append(out.Prices, team.PriceLine{Bucket: p.Bucket, USD: p.USD, Above: p.Above})
		}
		list = append(list, out)
	}
	return list
}

// costs builds the questions of money.
func (a *App) costs(events *overlay.Events) *team.Costs {
	return team.NewCosts(events, team.CostOptions{
		Prices: func() team.Prices { return priceBook{a.priced.Book()} },
		Writer: events, Changed: events.Changed,
	})
}
