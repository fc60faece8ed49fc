package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBudgets(t *testing.T) {
	file := write(t, `
budgets:
  press-day: {team: press, period: day, usd: 25.50}
  small:
    project: acme
    per: [team, model]
    agent: critic
    type: article
    period: hour
    tokens: 2_000_000
`)
	got, err := Load(Sources{File: file, Getenv: env("HOME", "/h")})
	if err != nil {
		t.Fatal(err)
	}
	want := []Budget{
		{Name: "press-day", Project: "default", Team: "press", Period: "day", PicoUSD: 25_500_000_000_000},
		{Name: "small", Project: "acme", Per: []string{"team", "model"}, Agent: "critic", TaskType: "article", Period: "hour", Tokens: 2_000_000},
	}
	if d := cmp.Diff(want, got.Budgets); d != "" {
		t.Error(d)
	}
}

func TestBudgetProblems(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := Load(Sources{File: write(t, "budgets:\n  b: "+text+"\n"), Getenv: env("HOME", "/h")})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	f("{period: day}", "budget b has no limit (usd or tokens)")
	f("{usd: 1}", "budget b has no period")
	f("{period: day, usd: 1, tokens: 1}", "make it two budgets")
	f("{period: week, usd: 1}", `budgets.b.period = "week": must be hour, day or month (config.yaml, line 2)`)
	f("{period: day, usd: 1e3}", "must be a number of US dollars")
	f("{period: day, usd: -1}", "must be above 0")
	f("{period: day, usd: 0.0000000000001}", "at most twelve decimals")
	f("{period: day, usd: 1, per: [colour]}", "must be some of team, agent, model, type")
	f("{period: day, usd: 1, weather: fine}", "must be one of the keys")
	f("25", "must be a mapping of keys")
	f("{period: day, usd: 1, usd: 2}", "is set twice")
}
