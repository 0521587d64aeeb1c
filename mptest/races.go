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
func watchRaces() races {
	options := os.Getenv("GORACE")
	if options == "" {
		options = "atexit_sleep_ms=0"
	}
	var r races
	if !strings.Contains(options, "log_path") {
		if dir, err := os.MkdirTemp("", "mptest-races-"); err == nil {
			r.dir = dir
			options += " log_path=" + filepath.Join(dir, "of")
		}
	}
	_ = os.Setenv("GORACE", options)
	return r
}

// found returns the reports, and removes them.
func (r races) found() (reports []string) {
	if r.dir == "" {
		return nil
	}
	defer os.RemoveAll(r.dir)
	files, err := filepath.Glob(filepath.Join(r.dir, "of.*"))
	if err != nil {
		return []string{err.Error()}
	}
	for _, file := range files {
		report, err := os.ReadFile(file)
		if err != nil {
			reports = append(reports, err.Error())
			continue
		}
		pid := strings.TrimPrefix(filepath.Base(file), "of.")
		reports = append(reports, fmt.Sprintf("process %s:\n%s", pid, report))
	}
	return reports
}
