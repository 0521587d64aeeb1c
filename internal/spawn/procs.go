package spawn

import (
	"os"
	"strconv"
	"strings"
)

// A process whose environment contains the right GOMAXPROCS starts sooner than a process that sets
// it, because setting it stops the world. The previous value of the variable is kept in procsSaved
// until the package's initialization restores it for programs that tasks start.
const (
	procsVar   = "GOMAXPROCS"
	procsSaved = "MP_PROCESS_PROCS"
)

// withProcs returns variables that set GOMAXPROCS for a process with the given environment, but not
// for the process's children.
func withProcs(env []string, n int) []string {
	if n <= 0 {
		return nil
	}
	saved := procsSaved + "=none"
	for _, v := range env {
		if old, ok := strings.CutPrefix(v, procsVar+"="); ok {
			saved = procsSaved + "=was " + old // the last variable counts
		}
	}
	return []string{procsVar + "=" + strconv.Itoa(n), saved}
}

// restoreProcs, in the started process, removes the variables that withProcs added and restores
// GOMAXPROCS.
func restoreProcs() {
	saved, ok := os.LookupEnv(procsSaved)
	if !ok {
		return
	}
	_ = os.Unsetenv(procsSaved)
	if old, was := strings.CutPrefix(saved, "was "); was {
		_ = os.Setenv(procsVar, old)
	} else {
		_ = os.Unsetenv(procsVar)
	}
}
