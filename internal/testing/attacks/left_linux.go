package attacks

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// TagVar is an environment variable that marks an attacked program and all processes that it and
// its workers start. It identifies them even when their parent has changed.
const TagVar = "MP_ATTACKS_TAG"

// Tagged returns the processes with the given tag.
func Tagged(tag string) (pids []int) {
	want := []byte(TagVar + "=" + tag + "\x00")
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		env, err := os.ReadFile(dir + "/environ")
		if err != nil || !bytes.Contains(env, want) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// settling is how long killed processes may take to disappear.
const settling = 5 * time.Second

// processesLeft returns the processes with the tag, except this one, that are left after a row.
func processesLeft(tag string) (left []int) {
	const pause = 20 * time.Millisecond
	for deadline := time.Now().Add(settling); ; time.Sleep(pause) {
		left = nil
		for _, pid := range Tagged(tag) {
			if pid != os.Getpid() {
				left = append(left, pid)
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			return left
		}
	}
}
