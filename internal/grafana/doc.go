// Package grafana describes what a stock Grafana shows of MindScope: four dashboards, the data sources that they read and
// the files that provision both. There is one description, in Go; deploy/grafana holds what it gives (`make dashboards`) and
// `mindscope grafana provision` writes the same from the binary.
//
// Three dashboards are the mission's: their first panels are the ones it names, under its names. The fourth is about
// MindScope itself.
//
// The JSON is Grafana's classic form with schema version 39 and holds only what Grafana 10 to 13 have in common.
package grafana
