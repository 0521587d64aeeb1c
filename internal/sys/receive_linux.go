package sys

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Receive calls receive again if a signal has interrupted it. It also calls receive once more if
// the other end was closed with unread messages, because a socket that keeps message boundaries
// reports that before messages that came earlier.
func Receive(receive func() error) error {
	err := receive()
	for reset := false; errors.Is(err, unix.EINTR) || errors.Is(err, unix.ECONNRESET) && !reset; err = receive() {
		reset = reset || errors.Is(err, unix.ECONNRESET)
	}
	return err
}
