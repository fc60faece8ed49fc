// Package ui holds the page that people see in a browser: where to send, and where the data can be had.
package ui

import _ "embed"

//go:embed placeholder.html
var placeholder []byte

// Page returns the page as HTML. The caller must not change it.
func Page() []byte { return placeholder }
