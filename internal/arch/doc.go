// Package arch holds one test: who may import whom, and the few rules of the code that a reader of single files can't
// see. It stands beside the flow and nothing imports it.
package arch
