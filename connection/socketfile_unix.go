//go:build unix

package connection

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// listen is like net.Listen, except for the files of Unix sockets: it replaces a file that a killed
// process has left behind, and Close does not remove another listener's file.
func listen(network, address string) (net.Listener, error) {
	if network != "unix" || strings.HasPrefix(address, "@") || address == "" {
		return net.Listen(network, address)
	}

	path, err := filepath.Abs(address) // the working directory may change before Close
	if err != nil {
		return nil, err
	}
	defer lockDir(path)()
	l, err := net.Listen(network, address)
	if errors.Is(err, syscall.EADDRINUSE) && isStale(address) && os.Remove(address) == nil {
		l, err = net.Listen(network, address)
	}
	if err != nil {
		return nil, err
	}
	file, err := os.Lstat(path)
	if err != nil { // another process has removed it already
		file = nil
	}

	u := l.(*net.UnixListener)
	u.SetUnlinkOnClose(false)
	return &fileListener{UnixListener: u, path: path, file: file}, nil
}

// isStale reports whether an address in use belongs to a socket on which no process listens.
func isStale(address string) bool {
	if info, err := os.Lstat(address); err != nil || info.Mode().Type() != fs.ModeSocket {
		return false
	}
	c, err := net.DialTimeout("unix", address, time.Second)
	if err == nil {
		_ = c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// lockDir keeps other listeners out of the directory of a socket, because the file of a listener
// that does not listen yet looks stale. It returns a function that releases the lock. If this
// process may not read the directory, there is no lock.
func lockDir(path string) (unlock func()) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return func() {}
	}
	// Another process's lock on the directory must not block the listener forever.
	for begin := time.Now(); time.Since(begin) < lockTime; time.Sleep(lockPause) {
		if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
			break
		}
	}
	return func() { _ = dir.Close() }
}

const (
	lockTime  = 2 * time.Second
	lockPause = time.Millisecond
)

// A fileListener listens on a socket with a file.
type fileListener struct {
	*net.UnixListener
	path string
	file fs.FileInfo // nil if the file was already gone in listen
}

// Close removes the file, unless another listener's file has replaced it.
func (l *fileListener) Close() error {
	defer lockDir(l.path)()
	err := l.UnixListener.Close()
	if err != nil { // closed already
		return err
	}
	// The inode number of a removed file may be used for the next file, so compare the times too.
	if now, err := os.Lstat(l.path); err == nil && l.file != nil && os.SameFile(now, l.file) && now.ModTime().Equal(l.file.ModTime()) {
		return os.Remove(l.path)
	}
	return nil
}
