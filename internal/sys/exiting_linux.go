package sys

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// IsExiting reports whether the kernel is taking down the first thread of a process, as it does at the end of the
// process: by then the thread has a flag, or is a zombie.
func IsExiting(inProc int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", inProc))
	if err != nil {
		return false
	}
	const exiting, flagsAt = 0x4, 6 // PF_EXITING; the field of the flags behind the name, which may contain anything
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= flagsAt {
		return false
	}
	flags, _ := strconv.ParseUint(string(fields[flagsAt]), 10, 64)
	return flags&exiting != 0
}
