package mptest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-multiprocessing/mp/internal/race"
)

// races finds data races in processes that the tests start. The race detector reports a race on the
// stderr of the process and changes its exit status, but a test that checks neither would pass. So
// races makes the detector write its reports to files.
type races struct{ dir string }

// watchRaces makes processes that are started from now on write their reports to files. It does
// nothing if no files can be written, or if GORACE already says where reports go.
func watchRaces() (r races) {
	if !race.Enabled {
		return r
	}
	options := os.Getenv("GORACE")
	if options == "" {
		options = "atexit_sleep_ms=0"
	}
	if !strings.Contains(options, "log_path") {
		if dir, quote := reportDir(); dir != "" {
			r.dir = dir
			options += " log_path=" + quote + filepath.Join(dir, "of") + quote
		}
	}
	_ = os.Setenv("GORACE", options)
	return r
}

// reportDir makes a directory, and returns its path and the quotes that the path needs in GORACE.
// dir is "" if the directory cannot be made, or if no quotes fit.
func reportDir() (dir, quote string) {
	temp, err := filepath.Abs(os.TempDir()) // a worker may have another working directory
	if err != nil {
		return "", ""
	}
	if quote = quoteFor(temp); quote == "" {
		return "", ""
	}
	if dir, err = os.MkdirTemp(temp, "mptest-races-"); err != nil {
		return "", ""
	}
	return dir, quote
}

// quoteFor returns quotes for a path in GORACE, or "" if none fit.
func quoteFor(path string) string {
	for _, quote := range []string{"'", `"`} {
		if !strings.Contains(path, quote) {
			return quote
		}
	}
	return ""
}

// found returns the reports and removes their files.
func (r races) found() (reports []string) {
	if r.dir == "" {
		return nil
	}
	defer os.RemoveAll(r.dir)
	files, err := os.ReadDir(r.dir)
	if err != nil {
		return []string{err.Error()}
	}

	for _, file := range files {
		report, err := os.ReadFile(filepath.Join(r.dir, file.Name()))
		if err != nil {
			reports = append(reports, err.Error())
			continue
		}
		pid := strings.TrimPrefix(file.Name(), "of.")
		reports = append(reports, fmt.Sprintf("process %s:\n%s", pid, report))
	}

	return reports
}
