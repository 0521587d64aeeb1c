// Package screen is where the output of workers goes for which nobody has said another place: to a
// file of this process, or to who shows something at the terminal and keeps lines from running into
// that.
package screen

import (
	"io"
	"os"
	"sync"
)

// A File is written to, or what covers it.
type File struct{ f *os.File }

// To writes to f.
func To(f *os.File) File { return File{f} }

var covers = struct {
	sync.RWMutex
	by map[*os.File]io.Writer
}{by: map[*os.File]io.Writer{}}

// Cover has what would be written to f go to w, until uncover is called. The last one that covers it
// counts. W is not called any more when uncover has returned.
func Cover(f *os.File, w io.Writer) (uncover func()) {
	covers.Lock()
	defer covers.Unlock()
	below, was := covers.by[f]
	covers.by[f] = w
	return sync.OnceFunc(func() {
		covers.Lock()
		defer covers.Unlock()
		switch {
		case covers.by[f] != w: // another one covers it by now
		case was:
			covers.by[f] = below
		default:
			delete(covers.by, f)
		}
	})
}

// Write writes whole lines.
func (s File) Write(lines []byte) (int, error) {
	covers.RLock()
	defer covers.RUnlock()
	if w := covers.by[s.f]; w != nil {
		return w.Write(lines)
	}
	return s.f.Write(lines)
}
