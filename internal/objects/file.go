package objects

import (
	"errors"
	"os"

	"github.com/go-multiprocessing/mp/internal/shm"
	"github.com/go-multiprocessing/mp/internal/sys"
)

// SendFile lets other processes receive a duplicate of f, until ForgetFiles is called with the
// returned id.
func SendFile(f *os.File) (id uint64, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	h := &here
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.begin(); err != nil {
		return 0, err
	}

	defer h.end() // if an error follows
	id = h.newID()
	var own int
	cerr := raw.Control(func(fd uintptr) { own, err = shm.DupFD(int(fd)) })
	if err := errors.Join(cerr, err); err != nil {
		return 0, err
	}

	if err := h.dir.Publish(id, own, 0, false); err != nil {
		shm.CloseFD(own)
		return 0, err
	}
	return id, nil
}

// ForgetFiles undoes SendFile. Processes that have received the files keep them.
func ForgetFiles(ids []uint64) {
	if len(ids) == 0 {
		return
	}
	h := &here
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		if h.dir != nil {
			h.dir.Destroy(id)
		}
	}
	h.end()
}

// ReceiveFile returns a duplicate of a file that was sent. The caller owns the duplicate. If take
// is set, no other process can receive the file; this is for a file from a child that no longer
// needs it.
func ReceiveFile(id uint64, name string, take bool) (*os.File, error) {
	fd, err := receiveFile(id, take)
	if err != nil {
		return nil, err
	}
	// The lock is not held here: NewFile may wait for the process that serves the file.
	return os.NewFile(uintptr(fd), name), nil
}

// LoseFiles ends files that a child has sent and that no process will receive.
func LoseFiles(ids []uint64) {
	for _, id := range ids {
		if fd, err := receiveFile(id, true); err == nil {
			lostFiles.Close(fd)
		}
	}
}

var lostFiles sys.Closer // closing a file may wait for the process that serves it

// DiscardFile closes a received file that will not be used. It does not wait, because the sender
// decides how long closing takes, as with a lingering socket.
func DiscardFile(f *os.File) { new(sys.Closer).CloseFile(f) }

func receiveFile(id uint64, take bool) (fd int, err error) {
	h := &here
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.begin(); err != nil {
		return -1, err
	}
	defer h.end()

	fd, err = h.dir.FetchFile(id)
	if err != nil {
		return -1, err
	}

	if take {
		h.dir.Take(id)
		h.dir.Destroy(id)
	} else {
		h.dir.Drop(id)
	}
	return fd, nil
}
