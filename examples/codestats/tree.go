package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// A tree is the Go files below a directory.
type tree struct {
	dir   string
	names []string // relative to dir, with slashes, in the order of the walk
	paths []string // the same files as the system knows them
}

// listTree finds the Go files below dir. Only regular files count: a link would
// count its target twice, and a named pipe would block its reader. A directory
// inside that cannot be read is skipped with a word on stderr.
func listTree(dir string) (tree, error) {
	t := tree{dir: dir}
	// Unlike filepath.WalkDir, this follows dir itself if that is a link.
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && name == ".":
			return fmt.Errorf("cannot read %s: %w", dir, reason(err))
		case err != nil:
			fmt.Fprintf(os.Stderr, "codestats: skipping %s: %v\n", filepath.Join(dir, name), reason(err))
			return nil
		case d.Type().IsRegular() && path.Ext(name) == ".go":
			t.names = append(t.names, name)
			t.paths = append(t.paths, filepath.Join(dir, filepath.FromSlash(name)))
		}
		return nil
	})
	if err == nil && len(t.names) == 0 {
		err = fmt.Errorf("no Go files below %s", dir)
	}
	return t, err
}

// reason strips an error of its path, which os.DirFS gives relative to the root.
func reason(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

// warm reads every file once, so that the way measured first does not pay for
// the disk. A file that cannot be read is the analysis' business.
func (t tree) warm(ctx context.Context) error {
	for _, path := range t.paths {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		_, _ = os.ReadFile(path)
	}
	return nil
}
