package mptest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-multiprocessing/mp/internal/race"
)

// races are the data races that the race detector finds in what the tests start. It reports each on
// the stderr of its own process and changes the status with which that exits, if it does: a test that
// looks at neither would pass. So the reports go into files.
type races struct{ dir string }

// watchRaces is for what is started from now on. It does without where no files can be written, and
// where GORACE says already what becomes of reports.
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

// reportDir makes a directory, and says what must stand around its path in GORACE; dir is "" if
// there is none, or nothing will do.
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
