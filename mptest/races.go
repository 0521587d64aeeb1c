package mptest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// races are the data races that the race detector finds in what the tests start. It reports each on
// the stderr of its own process and changes the status with which that exits, if it does: a test that
// looks at neither would pass. So the reports go into files.
type races struct{ dir string }

// watchRaces is for what is started from now on. It does without where no files can be written, and
// where GORACE says already what becomes of reports.
func watchRaces() (r races) {
	if !raceEnabled {
		return r
	}
	options := os.Getenv("GORACE")
	if options == "" {
		options = "atexit_sleep_ms=0"
	}
	if quote := quoteFor(os.TempDir()); quote != "" && !strings.Contains(options, "log_path") {
		if dir, err := os.MkdirTemp("", "mptest-races-"); err == nil {
			// A worker may have another working directory.
			if r.dir, err = filepath.Abs(dir); err != nil {
				r.dir = dir
			}
			options += " log_path=" + quote + filepath.Join(r.dir, "of") + quote
		}
	}
	_ = os.Setenv("GORACE", options)
	return r
}

// quoteFor is what may stand around a path in GORACE; "" if nothing may.
func quoteFor(path string) string {
	for _, quote := range []string{"'", `"`} {
		if !strings.Contains(path, quote) {
			return quote
		}
	}
	return ""
}

// found returns the reports, and removes them.
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
