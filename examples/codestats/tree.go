package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/go-multiprocessing/mp/examples/internal/tree"
)

// A goTree lists the Go files below a directory.
type goTree struct {
	dir   string
	names []string // relative to dir, with slashes, in the order of the walk
	paths []string // the same files as operating system paths
}

// listTree finds the Go files below dir. If it cannot read a directory, it skips that directory
// with a message on stderr.
func listTree(dir string) (goTree, error) {
	names, err := tree.Files(dir, func(name string, why error) {
		fmt.Fprintf(os.Stderr, "codestats: skipping %s: %v\n", name, why)
	}, ".go")
	if err == nil && len(names) == 0 {
		err = fmt.Errorf("no Go files below %s", dir)
	}
	t := goTree{dir: dir, names: names}
	for _, name := range names {
		t.paths = append(t.paths, filepath.Join(dir, filepath.FromSlash(name)))
	}
	return t, err
}

// warm reads every file once, so that the first way to be measured does not pay for reading the
// disk. It ignores errors in reading, since the analysis handles them.
func (t goTree) warm(ctx context.Context) error {
	for _, path := range t.paths {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		_, _ = os.ReadFile(path)
	}
	return nil
}
