package grafana

// The classic dashboard JSON, as far as it is written here. Options of panels are maps: each panel type has its own.
type dashboard struct {
	UID           string       `json:"uid"`
	Title         string       `json:"title"`
	Description   string       `json:"description"`
	Tags          []string     `json:"tags"`
	Timezone      string       `json:"timezone"`
	Editable      bool         `json:"editable"`
	GraphTooltip  int          `json:"graphTooltip"`
	Time          timeRange    `json:"time"`
	Refresh       string       `json:"refresh"`
	SchemaVersion int          `json:"schemaVersion"`
	Panels        []jsonPanel  `json:"panels"`
	Templating    templating   `json:"templating"`
	Annotations   annotations  `json:"annotations"`
	Links         []headerLink `json:"links"`
}

type timeRange struct {
	From string `json:"from"`
	To   string `json:"to"`
}

type gridPos struct {
	H int `json:"h"`
	W int `json:"w"`
	X int `json:"x"`
	Y int `json:"y"`
}

type ref struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type jsonPanel struct {
	ID              int              `json:"id"`
	Type            string           `json:"type"`
	Title           string           `json:"title"`
	Description     string           `json:"description,omitempty"`
	Collapsed       *bool            `json:"collapsed,omitempty"`
	Panels          []jsonPanel      `json:"panels,omitzero"`
	Datasource      *ref             `json:"datasource,omitempty"`
	GridPos         gridPos          `json:"gridPos"`
	Targets         []target         `json:"targets,omitempty"`
	Options         map[string]any   `json:"options,omitempty"`
	FieldConfig     *fieldConfig     `json:"fieldConfig,omitempty"`
	Transformations []transformation `json:"transformations,omitempty"`
}

type transformation struct {
	ID      string         `json:"id"`
	Options map[string]any `json:"options"`
}

// target is a query of any of the three kinds; what a kind does not have stays empty.
type target struct {
	RefID      string `json:"refId"`
	Datasource ref    `json:"datasource"`

	// Prometheus, and Expr for Loki as well.
	EditorMode   string `json:"editorMode,omitempty"`
	Expr         string `json:"expr,omitempty"`
	LegendFormat string `json:"legendFormat,omitempty"`
	Format       string `json:"format,omitempty"`
	Interval     string `json:"interval,omitempty"`
	Instant      *bool  `json:"instant,omitempty"`
	Range        *bool  `json:"range,omitempty"`
	Exemplar     *bool  `json:"exemplar,omitempty"`

	// Tempo, and QueryType for Loki as well.
	QueryType string `json:"queryType,omitempty"`
	Query     string `json:"query,omitempty"`
	Limit     int    `json:"limit,omitempty"`
	TableType string `json:"tableType,omitempty"`
	// Filters are the builder's; Tempo's queries must have them, if only empty.
	Filters []string `json:"filters,omitzero"`
	// MaxLines is Loki's.
	MaxLines int `json:"maxLines,omitempty"`
}

type fieldConfig struct {
	Defaults  fieldDefaults `json:"defaults"`
	Overrides []override    `json:"overrides"`
}

type fieldDefaults struct {
	Unit       string         `json:"unit,omitempty"`
	Decimals   *int           `json:"decimals,omitempty"`
	Min        *float64       `json:"min,omitempty"`
	Max        *float64       `json:"max,omitempty"`
	NoValue    string         `json:"noValue,omitempty"`
	Color      map[string]any `json:"color,omitempty"`
	Thresholds *thresholds    `json:"thresholds,omitempty"`
	Links      []dataLink     `json:"links,omitempty"`
	Custom     map[string]any `json:"custom,omitempty"`
}

type thresholds struct {
	Mode  string      `json:"mode"`
	Steps []threshold `json:"steps"`
}

type threshold struct {
	Color string   `json:"color"`
	Value *float64 `json:"value"`
}

type dataLink struct {
	Title       string `json:"title"`
	URL         string `json:"url"`
	TargetBlank bool   `json:"targetBlank"`
}

type override struct {
	Matcher    matcher    `json:"matcher"`
	Properties []property `json:"properties"`
}

type matcher struct {
	ID      string `json:"id"`
	Options string `json:"options"`
}

type property struct {
	ID    string `json:"id"`
	Value any    `json:"value"`
}

type templating struct {
	List []variable `json:"list"`
}

type variable struct {
	Type        string   `json:"type"`
	Name        string   `json:"name"`
	Label       string   `json:"label,omitempty"`
	Description string   `json:"description,omitempty"`
	Hide        int      `json:"hide"`
	SkipURLSync bool     `json:"skipUrlSync"`
	Query       any      `json:"query"`
	Definition  string   `json:"definition,omitempty"`
	Datasource  *ref     `json:"datasource,omitempty"`
	Current     *option  `json:"current,omitempty"`
	Options     []option `json:"options,omitempty"`
	Multi       bool     `json:"multi"`
	IncludeAll  bool     `json:"includeAll"`
	AllValue    string   `json:"allValue,omitempty"`
	Refresh     int      `json:"refresh,omitempty"`
	Sort        int      `json:"sort,omitempty"`
	Regex       string   `json:"regex,omitempty"`
}

type option struct {
	Selected bool `json:"selected"`
	// Text and Value are a string, or a list of them where several can be chosen.
	Text  any `json:"text"`
	Value any `json:"value"`
}

type annotations struct {
	List []annotation `json:"list"`
}

type annotation struct {
	Name        string `json:"name"`
	Datasource  ref    `json:"datasource"`
	Enable      bool   `json:"enable"`
	IconColor   string `json:"iconColor"`
	Expr        string `json:"expr"`
	Step        string `json:"step"`
	TitleFormat string `json:"titleFormat"`
	TextFormat  string `json:"textFormat"`
}

type headerLink struct {
	Title       string   `json:"title"`
	Type        string   `json:"type"`
	Icon        string   `json:"icon"`
	Tooltip     string   `json:"tooltip"`
	URL         string   `json:"url"`
	Tags        []string `json:"tags"`
	AsDropdown  bool     `json:"asDropdown"`
	TargetBlank bool     `json:"targetBlank"`
	IncludeVars bool     `json:"includeVars"`
	KeepTime    bool     `json:"keepTime"`
}
