// Package tree finds the files that the examples work on.
package tree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// GoRoot asks the go command for the root of the installed Go. The program itself does not know
// that root: runtime.GOROOT returns at best the root of the Go that built the program.
func GoRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	root := strings.TrimSpace(string(out))
	if err == nil && root == "" {
		err = errors.New("it printed nothing")
	}
	if err != nil {
		return "", fmt.Errorf("cannot find the installed Go with go env GOROOT, name a directory instead: %w", err)
	}
	return root, nil
}

// Files returns the names of the files below dir, relative to dir, with slashes, in the order of
// the walk. If extensions are given, only files with one of them are returned. Anything but a
// regular file is left out: a link would make its target count twice, and a named pipe would block
// its reader. Files calls skip for each directory below dir that it cannot read.
func Files(dir string, skip func(name string, why error), extensions ...string) ([]string, error) {
	var names []string
	// Unlike filepath.WalkDir, this follows dir itself if it is a link.
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && name == ".":
			return fmt.Errorf("cannot read %s: %w", dir, Reason(err))
		case err != nil:
			skip(filepath.Join(dir, name), Reason(err))
		case d.Type().IsRegular() && (len(extensions) == 0 || slices.Contains(extensions, strings.ToLower(path.Ext(name)))):
			names = append(names, name)
		}
		return nil
	})
	return names, err
}

// Reason returns an error without its path. It is for messages that already name the file.
func Reason(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
