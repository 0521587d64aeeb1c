package sys

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Receive calls receive again when a signal has interrupted it, and once more when the other end was closed with mail
// unread: a socket that keeps the boundaries of messages reports that before the messages that came earlier.
func Receive(receive func() error) error {
	err := receive()
	for reset := false; errors.Is(err, unix.EINTR) || errors.Is(err, unix.ECONNRESET) && !reset; err = receive() {
		reset = reset || errors.Is(err, unix.ECONNRESET)
	}
	return err
}
