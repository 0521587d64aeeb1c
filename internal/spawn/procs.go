package spawn

import (
	"os"
	"strconv"
	"strings"
)

// A process that starts with the right GOMAXPROCS starts sooner than one that sets it, which stops
// the world. The previous value of the variable is kept in procsSaved until the package's init
// restores it for programs that tasks start.
const (
	procsVar   = "GOMAXPROCS"
	procsSaved = "MP_PROCESS_PROCS"
)

// withProcs returns variables that set GOMAXPROCS only for a process with the given environment,
// not for its children.
func withProcs(env []string, n int) []string {
	if n <= 0 {
		return nil
	}
	saved := procsSaved + "=none"
	for _, v := range env {
		if old, ok := strings.CutPrefix(v, procsVar+"="); ok {
			saved = procsSaved + "=was " + old // the last one counts
		}
	}
	return []string{procsVar + "=" + strconv.Itoa(n), saved}
}

// restoreProcs undoes withProcs in the started process.
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
