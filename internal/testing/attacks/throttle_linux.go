package attacks

import (
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-multiprocessing/mp"
	"github.com/go-multiprocessing/mp/internal/link"
)

// throttleVar is an environment variable that simulates an honest worker on a slow machine. Its
// value is the number of bytes that the worker reads from its parent per second.
const throttleVar = "MP_ATTACKS_THROTTLE"

// Throttle puts a worker that has throttleVar in its environment behind a slow line. In other
// processes it does nothing. It must be called before mp.Init.
func Throttle() {
	rate, err := strconv.Atoi(os.Getenv(throttleVar))
	if err != nil || !mp.IsWorker() {
		return
	}
	own, err := unix.FcntlInt(link.FirstFD, unix.F_DUPFD_CLOEXEC, 100)
	if err != nil {
		panic(err)
	}

	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		panic(err)
	}
	if err := unix.Dup3(pair[0], link.FirstFD, 0); err != nil {
		panic(err)
	}
	_ = unix.Close(pair[0])
	go carry(pair[1], own, 0)    // from the worker
	go carry(own, pair[1], rate) // to the worker
}

// catchUp is how much lost time a line can make up for. A line loses time for lack of a processor
// or of bytes. Without catchUp, the line would be slower than its rate, and much slower on a busy
// machine, where its processes may not run for a second.
const catchUp = 2 * time.Second

// carry copies bytes at a rate in bytes per second. Zero means as fast as possible.
func carry(from, to, rate int) {
	const part = 64 << 10
	_, _ = unix.SetNonblock(from, false), unix.SetNonblock(to, false)
	buf := make([]byte, part)
	due := time.Now()
	for {
		n, err := unix.Read(from, buf)
		if err == unix.EINTR || err == unix.EAGAIN {
			continue
		}
		if err != nil || n == 0 {
			_ = unix.Shutdown(to, unix.SHUT_WR)
			return
		}

		for b := buf[:n]; len(b) > 0; {
			k, err := unix.Write(to, b)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				return
			}

			b = b[k:]
		}
		if rate > 0 {
			due = due.Add(time.Second * time.Duration(n) / time.Duration(rate))
			if late := time.Since(due); late > catchUp {
				due = due.Add(late - catchUp)
			}
			time.Sleep(time.Until(due))
		}
	}
}
