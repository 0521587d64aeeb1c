package attacks

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// TagVar is in the environment of an attacked program and of all that it and its workers start,
// whoever their parent is later.
const TagVar = "MP_ATTACKS_TAG"

// Tagged are the processes that carry a tag.
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

// settling is how long what has been killed may take to be gone.
const settling = 5 * time.Second

// processesLeft fails a row after which there are processes but this one and those of others.
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
