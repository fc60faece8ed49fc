package config

import "reflect"

// Changed returns the keys of the settings that differ between two configurations, but for budgets: those are taken over while
// the server runs.
func Changed(a, b Config) []string {
	var keys []string
	for _, k := range settings() {
		if k.setNamed == nil && k.text(&a) != k.text(&b) {
			keys = append(keys, k.key)
		}
	}
	a.Budgets, b.Budgets = nil, nil
	if len(keys) == 0 && !reflect.DeepEqual(a, b) {
		keys = append(keys, "those that only the file can hold") // patterns and policies by name, and what is not shown
	}
	return keys
}
