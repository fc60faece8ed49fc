// Package ui holds the page that people see in a browser. Until the page of its own issue is built it is a plain one
// that says where the data can be had.
package ui

import _ "embed"

//go:embed placeholder.html
var placeholder []byte

// Page returns the page as HTML. The caller must not change it.
func Page() []byte { return placeholder }
