package team

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	query "github.com/mindscope/mindscope/internal/query/team"
)

// Costs mounts the routes of money.
func (a *API) Costs(c *query.Costs) {
	h := costHandlers{c}
	get(a, "sum-costs", "/costs", "Exact sums of money and tokens by keys, each call counted once", h.report)
	get(a, "show-price", "/prices", "What the price book holds for a model", h.show)
	get(a, "check-prices", "/prices/disagreements", "Who disagrees with whom on what calls cost", h.check)
	huma.Register(a.huma, huma.Operation{
		OperationID: "recost", Method: http.MethodPost, Path: Prefix + "/recosts", MaxBodyBytes: 1 << 20,
		Summary: "Compute costs anew by the prices of now, or ask what other prices or another model would cost",
		Errors:  []int{http.StatusBadRequest, http.StatusServiceUnavailable},
	}, func(ctx context.Context, in *recostInput) (*recostOutput, error) {
		out, err := h.recost(ctx, in)
		if err != nil {
			return nil, problem(err)
		}
		return out, nil
	})
	a.undescribe("/recosts")
}

type costHandlers struct{ costs *query.Costs }

type costsInput struct {
	ProjectInput
	Since time.Time `query:"since" doc:"Calls of this time or later (RFC 3339)."`
	Until time.Time `query:"until" doc:"Calls before this time (RFC 3339)."`
	By    string    `query:"by" maxLength:"200" doc:"Keys, with commas: team, agent, model, provider, type, task, source, version, day (UTC). None: one sum."`
	Team  string    `query:"team" doc:"Only this team."`
}

// CostLine is a sum.
type CostLine struct {
	Key      []string `json:"key" doc:"In the order of by."`
	Calls    int64    `json:"calls"`
	Tokens   Tokens   `json:"tokens"`
	USD      string   `json:"usd" doc:"Exact decimal number of US dollars."`
	Unpriced int64    `json:"unpriced_calls" doc:"Calls whose price is not known; they are not part of usd."`
}

type costsOutput struct {
	Body struct {
		By       []string   `json:"by"`
		Lines    []CostLine `json:"lines" doc:"Ordered by key; they add up to the total."`
		USD      string     `json:"usd"`
		Calls    int64      `json:"calls"`
		Unpriced int64      `json:"unpriced_calls"`
	}
}

func (h costHandlers) report(ctx context.Context, in *costsInput) (*costsOutput, error) {
	project, err := in.project()
	if err != nil {
		return nil, err
	}
	by := []string{}
	for key := range strings.SplitSeq(in.By, ",") {
		if key = strings.TrimSpace(key); key != "" && !slices.Contains(by, key) {
			by = append(by, key)
		}
	}
	lines, err := h.costs.Report(ctx, project, query.CostQuery{Since: in.Since, Until: in.Until, By: by, Team: in.Team})
	if err != nil {
		return nil, err
	}
	out := &costsOutput{}
	out.Body.By, out.Body.Lines = by, make([]CostLine, 0, len(lines))
	var total query.PicoUSD
	for _, l := range lines {
		out.Body.Lines = append(out.Body.Lines, CostLine{l.Key, l.Calls, wireTokens(l.Tokens), l.Cost.String(), l.Unpriced})
		total += l.Cost
		out.Body.Calls += l.Calls
		out.Body.Unpriced += l.Unpriced
	}
	out.Body.USD = total.String()
	return out, nil
}

type showPriceInput struct {
	Model    string    `query:"model" required:"true" minLength:"1" maxLength:"512"`
	Provider string    `query:"provider" maxLength:"128"`
	At       time.Time `query:"at" doc:"The time to mark the price in force at; default now."`
}

// PriceEntry is a price list of a model.
type PriceEntry struct {
	Source   string      `json:"source" enum:"own,table" doc:"own: the operator's; they go first."`
	Provider string      `json:"provider,omitempty"`
	Model    string      `json:"model"`
	Valid    string      `json:"valid,omitempty" doc:"When it holds; absent for always."`
	InForce  bool        `json:"in_force"`
	Prices   []PriceLine `json:"prices"`
}

// PriceLine is a price.
type PriceLine struct {
	Bucket string `json:"bucket"`
	USD    string `json:"usd" doc:"For a million tokens; for a thousand of requests."`
	Above  int64  `json:"above,omitempty" doc:"Holds for all tokens of calls with more input tokens than this."`
}

type showPriceOutput struct {
	Body struct {
		Version string       `json:"version"`
		Entries []PriceEntry `json:"entries"`
	}
}

func (h costHandlers) show(_ context.Context, in *showPriceInput) (*showPriceOutput, error) {
	entries, version, err := h.costs.Show(in.Provider, in.Model, in.At)
	if err != nil {
		return nil, err
	}
	out := &showPriceOutput{}
	out.Body.Version = version
	for _, e := range entries {
		w := PriceEntry{Source: e.Source, Provider: e.Provider, Model: e.Model, Valid: e.Valid, InForce: e.InForce, Prices: []PriceLine{}}
		for _, p := range e.Prices {
			w.Prices = append(w.Prices, PriceLine{p.Bucket, p.USD, p.Above})
		}
		out.Body.Entries = append(out.Body.Entries, w)
	}
	return out, nil
}

type checkInput struct {
	ProjectInput
	Since time.Time `query:"since" doc:"Calls of this time or later (RFC 3339)."`
}

// Disagreement is a model on whose cost two sources differ.
type Disagreement struct {
	Who      string `json:"who" doc:"Which two, in the order of the figures: 'provider, book' or 'own, table'."`
	Provider string `json:"provider,omitempty"`
	Model    string `json:"model"`
	Calls    int64  `json:"calls" doc:"Calls on which they differ."`
	First    string `json:"first_usd"`
	Second   string `json:"second_usd"`
}

type checkOutput struct {
	Body struct {
		Disagreements []Disagreement `json:"disagreements"`
	}
}

func (h costHandlers) check(ctx context.Context, in *checkInput) (*checkOutput, error) {
	project, err := in.project()
	if err != nil {
		return nil, err
	}
	list, err := h.costs.Check(ctx, project, in.Since)
	if err != nil {
		return nil, err
	}
	out := &checkOutput{}
	out.Body.Disagreements = []Disagreement{}
	for _, d := range list {
		out.Body.Disagreements = append(out.Body.Disagreements, Disagreement{d.Who, d.Provider, d.Model, d.Calls, d.First.String(), d.Second.String()})
	}
	return out, nil
}

type recostInput struct {
	ProjectInput
	JSONOnly
	Body struct {
		Since   time.Time `json:"since,omitzero" doc:"Calls of this time or later; default all."`
		Until   time.Time `json:"until,omitzero" doc:"Calls before this time; default all."`
		Team    string    `json:"team,omitempty" maxLength:"1024" doc:"Only this team."`
		Model   string    `json:"model,omitempty" maxLength:"1024" doc:"Only calls of this model."`
		Apply   bool      `json:"apply,omitempty" doc:"Store the new costs. Nothing is overwritten: readers take the newest."`
		AsModel string    `json:"as_model,omitempty" maxLength:"1024" doc:"What if all calls were calls of this model; can't be applied."`
		Prices  string    `json:"prices,omitempty" doc:"What if these were the operator's prices (YAML); can't be applied."`
	}
}

// RecostLine is what becomes of the calls of a model.
type RecostLine struct {
	Provider string `json:"provider,omitempty"`
	Model    string `json:"model"`
	Calls    int64  `json:"calls"`
	Changed  int64  `json:"changed" doc:"Calls that get another cost."`
	First    int64  `json:"first" doc:"Those of them that had none."`
	Unknown  int64  `json:"unknown" doc:"Calls whose price is not known; they keep the cost they have."`
	Before   string `json:"before_usd"`
	After    string `json:"after_usd"`
}

type recostOutput struct {
	Body struct {
		Version string       `json:"version"`
		Applied bool         `json:"applied"`
		Stored  int64        `json:"stored" doc:"Spans that got a new cost."`
		Before  string       `json:"before_usd"`
		After   string       `json:"after_usd"`
		Lines   []RecostLine `json:"lines"`
	}
}

func (h costHandlers) recost(ctx context.Context, in *recostInput) (*recostOutput, error) {
	project, err := in.project()
	if err != nil {
		return nil, err
	}
	q := query.RecostQuery{
		Since: in.Body.Since, Until: in.Body.Until, Team: in.Body.Team, Model: in.Body.Model, Apply: in.Body.Apply, AsModel: in.Body.AsModel,
	}
	if in.Body.Prices != "" {
		q.File = []byte(in.Body.Prices)
	}
	r, err := h.costs.Recost(ctx, project, q)
	if err != nil {
		return nil, err
	}
	out := &recostOutput{}
	out.Body.Version, out.Body.Applied, out.Body.Stored = r.Version, r.Applied, r.Stored
	out.Body.Before, out.Body.After, out.Body.Lines = r.Before.String(), r.After.String(), []RecostLine{}
	for _, l := range r.Lines {
		out.Body.Lines = append(out.Body.Lines, RecostLine{
			l.Provider, l.Model, l.Calls, l.Changed, l.First, l.Unknown, l.Before.String(), l.After.String(),
		})
	}
	return out, nil
}
