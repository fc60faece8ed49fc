// Package panels reads dashboards as Grafana does and fills in the variables of their queries, so that tests can ask
// what a panel asks.
package panels

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Board is a dashboard, as far as tests look at it.
type Board struct {
	UID           string  `json:"uid"`
	Title         string  `json:"title"`
	Editable      *bool   `json:"editable"`
	SchemaVersion int     `json:"schemaVersion"`
	Panels        []Panel `json:"panels"`
	Templating    struct {
		List []Variable `json:"list"`
	} `json:"templating"`
	Annotations struct {
		List []struct {
			Name string `json:"name"`
			Expr string `json:"expr"`
		} `json:"list"`
	} `json:"annotations"`
	Links []Link `json:"links"`
}

// Panel is a panel or a row.
type Panel struct {
	ID          int    `json:"id"`
	Type        string `json:"type"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Datasource  *Ref   `json:"datasource"`
	GridPos     struct {
		X, Y, W, H int
	} `json:"gridPos"`
	Panels      []Panel  `json:"panels"`
	Targets     []Target `json:"targets"`
	FieldConfig struct {
		Defaults struct {
			Unit  string `json:"unit"`
			Links []Link `json:"links"`
		} `json:"defaults"`
		Overrides []struct {
			Properties []struct {
				ID    string          `json:"id"`
				Value json.RawMessage `json:"value"`
			} `json:"properties"`
		} `json:"overrides"`
	} `json:"fieldConfig"`
}

// Ref names a data source.
type Ref struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// Link is a link of a panel or dashboard.
type Link struct {
	Title string `json:"title"`
	URL   string `json:"url"`
	Type  string `json:"type"`
}

// Target is a query.
type Target struct {
	RefID        string `json:"refId"`
	Datasource   *Ref   `json:"datasource"`
	Expr         string `json:"expr"`
	Query        string `json:"query"`
	QueryType    string `json:"queryType"`
	LegendFormat string `json:"legendFormat"`
	Format       string `json:"format"`
	Interval     string `json:"interval"`
	Instant      bool   `json:"instant"`
	Exemplar     bool   `json:"exemplar"`
	Limit        int    `json:"limit"`
}

// Variable is a variable of a dashboard.
type Variable struct {
	Type       string          `json:"type"`
	Name       string          `json:"name"`
	Label      string          `json:"label"`
	Query      json.RawMessage `json:"query"`
	Definition string          `json:"definition"`
	Datasource *Ref            `json:"datasource"`
	Refresh    int             `json:"refresh"`
	Hide       int             `json:"hide"`
	Multi      bool            `json:"multi"`
	AllValue   string          `json:"allValue"`
	Regex      string          `json:"regex"`
	Current    struct {
		Value any `json:"value"`
	} `json:"current"`
}

// Load reads the dashboards of a folder, ordered by file name.
func Load(dir string) ([]Board, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("list dashboards: %w", err)
	}
	slices.Sort(files)
	var all []Board
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read dashboard: %w", err)
		}
		var b Board
		if err := json.Unmarshal(raw, &b); err != nil {
			return nil, fmt.Errorf("read dashboard %s: %w", file, err)
		}
		all = append(all, b)
	}
	return all, nil
}

// All are the dashboard's panels, those in rows included and the rows left out.
func (b Board) All() []Panel {
	var all []Panel
	var walk func([]Panel)
	walk = func(ps []Panel) {
		for _, p := range ps {
			if p.Type != "row" {
				all = append(all, p)
			}
			walk(p.Panels)
		}
	}
	walk(b.Panels)
	return all
}

// AllLinks are the panel's data links, those of single columns included.
func (p Panel) AllLinks() ([]Link, error) {
	links := slices.Clone(p.FieldConfig.Defaults.Links)
	for _, o := range p.FieldConfig.Overrides {
		for _, prop := range o.Properties {
			if prop.ID != "links" {
				continue
			}
			var more []Link
			if err := json.Unmarshal(prop.Value, &more); err != nil {
				return nil, fmt.Errorf("read links of %s: %w", p.Title, err)
			}
			links = append(links, more...)
		}
	}
	return links, nil
}

// View is the time range of a dashboard and the width of its panels.
type View struct {
	From, To time.Time
	// Points is how many points a panel shows at most: its width in pixels. 1000 by default.
	Points int
	// Scrape is the interval that the data source names, 15 s by default.
	Scrape time.Duration
	// Values are what is chosen for variables; those with a value for all of theirs have it.
	Values map[string]string
}

// longer is the value of the dashboards' hidden variables that tell whether a time range is longer than d, by their own rule.
func (v View) longer(d time.Duration) string {
	if v.To.Sub(v.From) > d {
		return ".*"
	}
	return ".+"
}

// Step is the step of a query whose least step is written as in its field interval.
func (v View) Step(least string) time.Duration {
	points, scrape := v.Points, v.scrape(least)
	if points == 0 {
		points = 1000
	}
	return max(round(v.To.Sub(v.From)/time.Duration(points)), scrape)
}

func (v View) scrape(least string) time.Duration {
	if least != "" {
		if d, err := time.ParseDuration(least); err == nil {
			return d
		}
	}
	if v.Scrape > 0 {
		return v.Scrape
	}
	return 15 * time.Second
}

// round rounds a step as Grafana does, to one that people like.
func round(d time.Duration) time.Duration {
	for _, r := range []struct{ below, to time.Duration }{
		{1500 * time.Millisecond, time.Second},
		{3500 * time.Millisecond, 2 * time.Second},
		{7500 * time.Millisecond, 5 * time.Second},
		{12500 * time.Millisecond, 10 * time.Second},
		{17500 * time.Millisecond, 15 * time.Second},
		{25 * time.Second, 20 * time.Second},
		{45 * time.Second, 30 * time.Second},
		{90 * time.Second, time.Minute},
		{210 * time.Second, 2 * time.Minute},
		{450 * time.Second, 5 * time.Minute},
		{750 * time.Second, 10 * time.Minute},
		{1050 * time.Second, 15 * time.Minute},
		{1500 * time.Second, 20 * time.Minute},
		{2700 * time.Second, 30 * time.Minute},
		{5400 * time.Second, time.Hour},
		{9000 * time.Second, 2 * time.Hour},
	} {
		if d <= r.below {
			return r.to
		}
	}
	return 3 * time.Hour
}

// Fill replaces the variables in a query. least is the query's field interval. A variable without a value stays.
func (v View) Fill(text, least string) string {
	whole := v.To.Sub(v.From)
	step := v.Step(least)
	scrape := v.scrape(least)
	values := map[string]string{
		"__range": seconds(whole) + "s", "__range_s": seconds(whole), "__range_ms": strconv.FormatInt(whole.Milliseconds(), 10),
		"__interval": seconds(step) + "s", "__rate_interval": seconds(max(step+scrape, 4*scrape)) + "s",
		"__from": strconv.FormatInt(v.From.UnixMilli(), 10), "__to": strconv.FormatInt(v.To.UnixMilli(), 10),
		"__from:date:iso": v.From.UTC().Format(time.RFC3339Nano), "__to:date:iso": v.To.UTC().Format(time.RFC3339Nano),
		"long": v.longer(6 * time.Hour), "week": v.longer(7 * 24 * time.Hour),
	}
	maps.Copy(values, v.Values)
	return regexp.MustCompile(`\$\{([^}]+)\}|\$([A-Za-z_][A-Za-z0-9_]*)`).ReplaceAllStringFunc(text, func(found string) string {
		name := strings.Trim(found, "${}")
		if value, ok := values[name]; ok {
			return value
		}
		if value, ok := values[strings.SplitN(name, ":", 2)[0]]; ok {
			return value
		}
		return found
	})
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }

// Everything returns the values of a dashboard's variables where nothing is chosen: all of what can be chosen, and what
// the file says of the rest.
func (b Board) Everything() map[string]string {
	values := map[string]string{}
	for _, v := range b.Templating.List {
		switch {
		case v.Name == "long" || v.Name == "week":
		case v.AllValue != "":
			values[v.Name] = v.AllValue
		case v.Current.Value != nil:
			values[v.Name] = fmt.Sprint(v.Current.Value)
		}
	}
	return values
}
