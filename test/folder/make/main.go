// Command make writes a data folder of the present format for the tests of later releases:
//
//	go run ./test/folder/make test/folder/testdata/format-3
package main

import (
	"fmt"
	"os"

	"github.com/mindscope/mindscope/test/folder"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: make FOLDER")
		os.Exit(2)
	}
	if err := folder.Make(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "make:", err)
		os.Exit(1)
	}
}
