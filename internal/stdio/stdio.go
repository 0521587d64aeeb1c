// Package stdio holds the default destinations of workers' output: files of this process, or a
// writer that covers such a file. A writer that shows something on the terminal can thus keep lines
// of output from running into what it shows.
package stdio

import (
	"io"
	"os"
	"sync"
)

// A File writes to a file, or to the writer that covers the file.
type File struct{ f *os.File }

// To returns a File that writes to f.
func To(f *os.File) File { return File{f} }

var covers = struct {
	sync.RWMutex
	by map[*os.File]io.Writer
}{by: map[*os.File]io.Writer{}}

// Cover redirects output for f to w until uncover is called. If several writers cover f, the output
// goes to the latest. After uncover has returned, w is not called again.
func Cover(f *os.File, w io.Writer) (uncover func()) {
	covers.Lock()
	defer covers.Unlock()
	below, was := covers.by[f]
	covers.by[f] = w
	return sync.OnceFunc(func() {
		covers.Lock()
		defer covers.Unlock()
		switch {
		case covers.by[f] != w: // another writer covers f by now
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
