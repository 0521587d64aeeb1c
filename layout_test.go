package mp_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each file has 40 to 450 lines. It is about one noun, with its config and its errors.
func TestFileSizes(t *testing.T) {
	for _, dir := range []string{".", "ipc"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has no files: %v", dir, err)
		}

		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(text, []byte("\n")); n < 40 || n > 450 {
				t.Errorf("%s has %d lines: it must have 40 to 450", file, n)
			}
		}
	}
}
