package shm

import "golang.org/x/sys/unix"

// Room returns how many bytes of this process's address space the segments of other processes may
// take, which is half of it.
func Room() uint64 {
	const most = 1 << 46 // most machines have 47-bit addresses
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_AS, &limit) == nil {
		return min(most, limit.Cur/2)
	}
	return most
}
