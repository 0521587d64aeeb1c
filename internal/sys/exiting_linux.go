package sys

import "strconv"

// IsExiting reports whether the kernel is taking down the first thread of a process, as it does at the end of the
// process: by then the thread has a flag, or is a zombie.
func IsExiting(inProc int) bool {
	const exiting, flagsAt = 0x4, 6 // PF_EXITING
	fields, err := statOf(inProc)
	if err != nil || len(fields) <= flagsAt {
		return false
	}
	flags, _ := strconv.ParseUint(fields[flagsAt], 10, 64)
	return flags&exiting != 0
}
