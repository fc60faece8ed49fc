// Package rule evaluates recording and alerting rules with Prometheus' own rule manager and delivers alerts with
// Alertmanager's own packages, in this process: a user's rule files and alertmanager.yml hold as they are.
//
// The shipped rules are files in the usual form (folder shipped); the thresholds in them are settings.
package rule
