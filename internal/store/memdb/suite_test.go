package memdb_test

import (
	"flag"
	"testing"

	"github.com/mindscope/mindscope/internal/store"
	"github.com/mindscope/mindscope/internal/store/memdb"
	"github.com/mindscope/mindscope/internal/store/storetest"
)

var rewrite = flag.Bool("rewrite", false, "write the answers of the query tests into their files")

func TestSuite(t *testing.T) {
	open := func(testing.TB, string) store.Events { return memdb.New(memdb.Config{}) }
	storetest.Run(t, open, storetest.Options{Volatile: true, Rewrite: *rewrite})
}
