package shm

import "golang.org/x/sys/unix"

// Room is how many bytes of addresses other processes' segments may take here: half of what there
// are.
func Room() uint64 {
	const most = 1 << 46 // of the 47 bits that most machines have
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_AS, &limit) == nil {
		return min(most, limit.Cur/2)
	}
	return most
}
