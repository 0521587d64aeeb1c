package sys

import "strconv"

// IsExiting reports whether the kernel is tearing down the first thread of a process, as it does at
// the end of the process. The thread then has the flag PF_EXITING, even once it is a zombie.
func IsExiting(inProc int) bool {
	const exiting, flagsAt = 0x4, 6 // of the field flags in /proc/PID/stat
	fields, err := statOf(inProc)
	if err != nil || len(fields) <= flagsAt {
		return false
	}
	flags, _ := strconv.ParseUint(fields[flagsAt], 10, 64)
	return flags&exiting != 0
}
