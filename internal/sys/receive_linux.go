package sys

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Receive calls receive, and calls it again if a signal interrupts it. Receive also calls it once
// more if the other end was closed with unread messages, because a socket that keeps message
// boundaries reports that error before it delivers messages that came earlier.
func Receive(receive func() error) error {
	err := receive()
	for reset := false; errors.Is(err, unix.EINTR) || errors.Is(err, unix.ECONNRESET) && !reset; err = receive() {
		reset = reset || errors.Is(err, unix.ECONNRESET)
	}
	return err
}
