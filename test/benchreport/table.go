package main

import (
	"fmt"
	"io"
	"io/fs"
	"text/tabwriter"
)

// sizeSmall marks figures of a quick look: they are not held to what full ones must reach.
const sizeSmall = "small"

// table writes the figures of one benchmark with what they must reach. It returns an error when one of them does not.
func table(out io.Writer, dir fs.FS, name string) error {
	s, err := readSheet(dir, name+".yaml")
	if err != nil {
		return err
	}
	values, err := readFigures(dir, name+".json")
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\tmeasured\tmust reach\t\n", s.Title)
	missed := 0
	for _, r := range s.Rows {
		v, ok := values[r.Key].(float64)
		if !ok {
			return fmt.Errorf("%s.json has no number %q, which %s.yaml asks for", name, r.Key, name)
		}
		target, met := r.target(v)
		if met == notMet {
			missed++
			met = "NOT MET"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.What, withUnit(v, r.Unit), target, met)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if values["size"] == sizeSmall {
		_, err := fmt.Fprintln(out, "A quick look: what must be reached is for the full size, on a machine that does nothing else.")
		return err
	}
	if missed > 0 {
		return fmt.Errorf("%d of the figures of %s do not reach what they must", missed, name)
	}
	return nil
}
